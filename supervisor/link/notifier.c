/* A futex word as a descriptor that an event loop can wait for. */
#include "supervisor/link/notifier.h"

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
 * What a service that notifies in a loop may cost: BURST notifications in a row, each PAUSE_NS
 * after the one before it; then one every REFILL_NS.  A heap that waits is served at the loop's own
 * pace as well.
 */
#define PAUSE_NS 200000
/* How long the end of the thread is waited for at first; each wait is twice the last. */
#define FIRST_PAUSE_NS 20000L
#define BURST 64U
#define REFILL_NS 10000000

struct notifier {
	_Atomic uint32_t *word;
	uint32_t seen; /* taken before the thread runs, so that none falls in between */
	int event_fd;
	pthread_t thread;
	_Atomic bool stop;
	_Atomic bool ended;
};

static long futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
	return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

/* How many notifications are allowed now, and until when the time was counted that allows more. */
struct allowance {
	uint64_t left;
	uint64_t counted_ns;
};

/* Spends one; the pause until the next one is allowed. */
static long allowance_pause_ns(struct allowance *allowance, uint64_t now_ns)
{
	uint64_t fresh = (now_ns - allowance->counted_ns) / REFILL_NS;
	allowance->left = allowance->left + fresh < BURST ? allowance->left + fresh : BURST;
	allowance->counted_ns += fresh * REFILL_NS;
	if (allowance->left == 0)
		return REFILL_NS;
	allowance->left--;
	return PAUSE_NS;
}

static void *notifier_run(void *argument)
{
	struct notifier *notifier = argument;
	const uint64_t one = 1;
	struct allowance allowance = {.left = BURST, .counted_ns = clock_now_ns()};
	uint32_t seen = notifier->seen;
	while (!atomic_load(&notifier->stop)) {
		uint32_t now = atomic_load(notifier->word);
		if (now == seen) {
			futex(notifier->word, FUTEX_WAIT, seen);
			continue;
		}
		seen = now;
		if (atomic_load(&notifier->stop))
			break;
		/* Full only when nobody has drained it, and then the message is there already. */
		ssize_t ignored = write(notifier->event_fd, &one, sizeof one);
		(void)ignored;
		const struct timespec pause = {
			.tv_nsec = allowance_pause_ns(&allowance, clock_now_ns())};
		nanosleep(&pause, NULL);
	}
	atomic_store(&notifier->ended, true);
	return NULL;
}

int notifier_open(_Atomic uint32_t *word, struct notifier **notifier)
{
	struct notifier *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->word = word;
	made->seen = atomic_load(word);
	made->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int error = made->event_fd >= 0 ? thread_start(&made->thread, notifier_run, made) : -errno;
	if (error != 0) {
		if (made->event_fd >= 0)
			close(made->event_fd);
		free(made);
		return error;
	}
	*notifier = made;
	return 0;
}

void notifier_close(struct notifier *notifier)
{
	struct timespec pause = {.tv_nsec = FIRST_PAUSE_NS};
	if (notifier == NULL)
		return;
	atomic_store(&notifier->stop, true);
	/* Once is not enough: the word is the services' too, and the thread may be about to sleep.
	 */
	while (!atomic_load(&notifier->ended)) {
		atomic_fetch_add(notifier->word, 1);
		futex(notifier->word, FUTEX_WAKE, INT_MAX);
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < (long)PAUSE_NS)
			pause.tv_nsec *= 2;
	}
	pthread_join(notifier->thread, NULL);
	close(notifier->event_fd);
	free(notifier);
}

int notifier_fd(const struct notifier *notifier)
{
	return notifier->event_fd;
}

void notifier_drain(struct notifier *notifier)
{
	uint64_t count;
	ssize_t ignored = read(notifier->event_fd, &count, sizeof count);
	(void)ignored;
}
