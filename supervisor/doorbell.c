#include "supervisor/doorbell.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STACK_BYTES ((size_t)64 << 10)

/* A ring right after another waits so long, which bounds what a service that rings for ever costs.
 */
#define PAUSE_NS 200000

struct doorbell {
	_Atomic uint32_t *word;
	uint32_t seen; /* taken before the thread runs, so that no ring falls in between */
	int event_fd;
	pthread_t thread;
	_Atomic bool stop;
	_Atomic bool ended;
};

static long futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
	return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void *doorbell_run(void *argument)
{
	struct doorbell *doorbell = argument;
	const uint64_t one = 1;
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	uint32_t seen = doorbell->seen;
	while (!atomic_load(&doorbell->stop)) {
		uint32_t now = atomic_load(doorbell->word);
		if (now == seen) {
			futex(doorbell->word, FUTEX_WAIT, seen);
			continue;
		}
		seen = now;
		/* Full only when nobody has drained it, and then the message is there already. */
		ssize_t ignored = write(doorbell->event_fd, &one, sizeof one);
		(void)ignored;
		nanosleep(&pause, NULL);
	}
	atomic_store(&doorbell->ended, true);
	return NULL;
}

static int start_thread(struct doorbell *doorbell)
{
	pthread_attr_t attributes;
	sigset_t all;
	sigset_t before;
	int error = pthread_attr_init(&attributes);
	if (error != 0)
		return -error;
	size_t stack_bytes =
		STACK_BYTES > (size_t)PTHREAD_STACK_MIN ? STACK_BYTES : (size_t)PTHREAD_STACK_MIN;
	pthread_attr_setstacksize(&attributes, stack_bytes);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&doorbell->thread, &attributes, doorbell_run, doorbell);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -error;
}

int doorbell_open(_Atomic uint32_t *word, struct doorbell **doorbell)
{
	struct doorbell *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->word = word;
	made->seen = atomic_load(word);
	made->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int error = made->event_fd >= 0 ? start_thread(made) : -errno;
	if (error != 0) {
		if (made->event_fd >= 0)
			close(made->event_fd);
		free(made);
		return error;
	}
	*doorbell = made;
	return 0;
}

void doorbell_close(struct doorbell *doorbell)
{
	const struct timespec pause = {.tv_nsec = PAUSE_NS};
	if (doorbell == NULL)
		return;
	atomic_store(&doorbell->stop, true);
	/* Once is not enough: the word is the services' too, and the thread may be about to sleep.
	 */
	while (!atomic_load(&doorbell->ended)) {
		atomic_fetch_add(doorbell->word, 1);
		futex(doorbell->word, FUTEX_WAKE, INT_MAX);
		nanosleep(&pause, NULL);
	}
	pthread_join(doorbell->thread, NULL);
	close(doorbell->event_fd);
	free(doorbell);
}

int doorbell_fd(const struct doorbell *doorbell)
{
	return doorbell->event_fd;
}

void doorbell_drain(struct doorbell *doorbell)
{
	uint64_t count;
	ssize_t ignored = read(doorbell->event_fd, &count, sizeof count);
	(void)ignored;
}
