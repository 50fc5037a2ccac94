/* A futex word as a descriptor that an event loop can wait for. */
#include "supervisor/link/doorbell.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/base/clock.h"
#include "supervisor/base/thread.h"

/*
 * What a service that rings for ever may cost: RINGS in a row, each PAUSE_NS after the one before
 * it; then one every RING_NS.  A heap that waits is served at the loop's own pace as well.
 */
#define PAUSE_NS 200000
#define RINGS 64U
#define RING_NS 10000000

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

/* How many rings are left, and until when the time was counted that brings new ones. */
struct rings {
	uint64_t left;
	uint64_t counted_ns;
};

/* Takes a ring; the pause until the next one may be. */
static long rings_pause_ns(struct rings *rings, uint64_t now_ns)
{
	uint64_t fresh = (now_ns - rings->counted_ns) / RING_NS;
	rings->left = rings->left + fresh < RINGS ? rings->left + fresh : RINGS;
	rings->counted_ns += fresh * RING_NS;
	if (rings->left == 0)
		return RING_NS;
	rings->left--;
	return PAUSE_NS;
}

static void *doorbell_run(void *argument)
{
	struct doorbell *doorbell = argument;
	const uint64_t one = 1;
	struct rings rings = {.left = RINGS, .counted_ns = clock_now_ns()};
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
		const struct timespec pause = {.tv_nsec = rings_pause_ns(&rings, clock_now_ns())};
		nanosleep(&pause, NULL);
	}
	atomic_store(&doorbell->ended, true);
	return NULL;
}

int doorbell_open(_Atomic uint32_t *word, struct doorbell **doorbell)
{
	struct doorbell *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->word = word;
	made->seen = atomic_load(word);
	made->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int error = made->event_fd >= 0 ? thread_start(&made->thread, doorbell_run, made) : -errno;
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
