/* Futex words as descriptors that an event loop can wait for. */
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

/* Headers before Linux 5.16 lack them. */
#ifndef FUTEX_WAITV_MAX
#define FUTEX_32 2
struct futex_waitv {
	uint64_t val;
	uint64_t uaddr;
	uint32_t flags;
	uint32_t __reserved;
};
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

/*
 * What a service that notifies in a loop may cost: BURST notifications in a row, each PAUSE_NS
 * after the one before it; then one every REFILL_NS.  A heap that waits is served at the loop's own
 * pace as well.
 */
#define PAUSE_NS 200000
#define BURST 64U
#define REFILL_NS 10000000

/* How long a round of the thread is waited for at first; each wait is twice the last. */
#define FIRST_PAUSE_NS 20000L

/* How many notifications are allowed now, and until when the time was counted that allows more. */
struct allowance {
	uint64_t left;
	uint64_t counted_ns;
};

/* A thread and its words, under its lock.  The thread looks at the words under the lock only. */
struct notifier_group {
	struct notifier_group *next;
	pthread_mutex_t lock;
	pthread_t thread;
	_Atomic uint32_t changed; /* futex: the list is another one, or stop is set */
	_Atomic uint32_t rounds;  /* how often the thread has looked at the list */
	bool waits_for_many;      /* futex_waitv works; else the list holds one at most */
	bool stop;
	/* The loop's thread has these to itself: */
	bool runs;
	bool grown; /* since the thread was told */
	size_t count;
	struct notifier *member[NOTIFIER_WORDS];
};

struct notifier_threads {
	struct notifier_group *first;
};

struct notifier {
	struct notifier_group *group;
	_Atomic uint32_t *word;
	uint32_t seen;
	int event_fd;
	struct allowance allowance;
	uint64_t due_ns; /* changes before that are seen then */
};

/* What a round of the thread waits for: the group's own word first. */
struct wait_list {
	struct futex_waitv futex[NOTIFIER_WORDS + 1];
	size_t count;
	uint64_t until_ns; /* UINT64_MAX = for ever */
};

static void wake(_Atomic uint32_t *word, int private)
{
	syscall(SYS_futex, word, FUTEX_WAKE | private, INT_MAX, NULL, NULL, 0);
}

/* Spends one; the pause until the next one is allowed. */
static uint64_t allowance_pause_ns(struct allowance *allowance, uint64_t now_ns)
{
	uint64_t fresh = (now_ns - allowance->counted_ns) / REFILL_NS;
	allowance->left = allowance->left + fresh < BURST ? allowance->left + fresh : BURST;
	allowance->counted_ns += fresh * REFILL_NS;
	if (allowance->left == 0)
		return REFILL_NS;
	allowance->left--;
	return PAUSE_NS;
}

static void list_add(
	struct wait_list *list, _Atomic uint32_t *word, uint32_t value, unsigned private)
{
	list->futex[list->count++] = (struct futex_waitv){
		.val = value, .uaddr = (uintptr_t)word, .flags = FUTEX_32 | private};
}

/* Notifies if the word has changed and it is time, else notes what is to be waited for. */
static void look_locked(struct notifier *notifier, struct wait_list *list, uint64_t now_ns)
{
	const uint64_t one = 1;
	if (now_ns >= notifier->due_ns) {
		uint32_t value = atomic_load(notifier->word);
		if (value == notifier->seen) {
			list_add(list, notifier->word, value, 0);
			return;
		}
		notifier->seen = value;
		notifier->due_ns = now_ns + allowance_pause_ns(&notifier->allowance, now_ns);
		/* Full only when nobody has drained it, and then the message is there already. */
		ssize_t ignored = write(notifier->event_fd, &one, sizeof one);
		(void)ignored;
	}
	if (notifier->due_ns < list->until_ns)
		list->until_ns = notifier->due_ns;
}

/* false: the thread is to end. */
static bool look(struct notifier_group *group, struct wait_list *list)
{
	uint64_t now_ns = clock_now_ns();
	list->count = 0;
	list->until_ns = UINT64_MAX;
	pthread_mutex_lock(&group->lock);
	list_add(list, &group->changed, atomic_load(&group->changed), FUTEX_PRIVATE_FLAG);
	for (size_t i = 0; i < group->count; i++)
		look_locked(group->member[i], list, now_ns);
	bool goes_on = !group->stop;
	atomic_fetch_add(&group->rounds, 1);
	pthread_mutex_unlock(&group->lock);
	return goes_on;
}

/* A word that was unmapped meanwhile is an error, and the next list is without it. */
static void wait_for(const struct notifier_group *group, const struct wait_list *list)
{
	const struct timespec until = {.tv_sec = (time_t)(list->until_ns / 1000000000U),
		.tv_nsec = (long)(list->until_ns % 1000000000U)};
	const struct timespec *timeout = list->until_ns != UINT64_MAX ? &until : NULL;
	const struct futex_waitv *last = &list->futex[list->count - 1];
	if (group->waits_for_many)
		syscall(SYS_futex_waitv, list->futex, list->count, 0, timeout, CLOCK_MONOTONIC);
	else
		syscall(SYS_futex, (uintptr_t)last->uaddr,
			FUTEX_WAIT_BITSET | (last->flags & FUTEX_PRIVATE_FLAG), (uint32_t)last->val,
			timeout, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void *notifier_run(void *argument)
{
	struct notifier_group *group = argument;
	struct wait_list list;
	while (look(group, &list))
		wait_for(group, &list);
	return NULL;
}

/* The thread looks at the list that there is now. */
static void group_tell(struct notifier_group *group)
{
	atomic_fetch_add(&group->changed, 1);
	wake(&group->changed, FUTEX_PRIVATE_FLAG);
}

/* The same for a thread that waits for one word, which it may just be about to do.  Once is not
 * enough: others wake it as well. */
static void group_tell_by(struct notifier_group *group, _Atomic uint32_t *word, uint32_t rounds)
{
	struct timespec pause = {.tv_nsec = FIRST_PAUSE_NS};
	while (atomic_load(&group->rounds) == rounds) {
		atomic_fetch_add(word, 1);
		wake(word, 0);
		nanosleep(&pause, NULL);
		if (pause.tv_nsec < (long)PAUSE_NS)
			pause.tv_nsec *= 2;
	}
}

static size_t group_room(const struct notifier_group *group)
{
	return group->waits_for_many ? NOTIFIER_WORDS : 1;
}

/* Without a list it is refused for that, where the kernel knows it. */
static bool can_wait_for_many(void)
{
	return syscall(SYS_futex_waitv, NULL, 0, 0, NULL, CLOCK_MONOTONIC) < 0 && errno == EINVAL;
}

static int group_new(struct notifier_threads *threads, struct notifier_group **group)
{
	struct notifier_group *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->waits_for_many = can_wait_for_many();
	pthread_mutex_init(&made->lock, NULL);
	made->next = threads->first;
	threads->first = made;
	*group = made;
	return 0;
}

/* Only the loop's thread adds and removes, so it may read the count without the lock. */
static int find_group(struct notifier_threads *threads, struct notifier_group **group)
{
	for (struct notifier_group *at = threads->first; at != NULL; at = at->next) {
		if (at->count < group_room(at)) {
			*group = at;
			return 0;
		}
	}
	return group_new(threads, group);
}

int notifier_threads_open(struct notifier_threads **threads)
{
	struct notifier_threads *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	*threads = made;
	return 0;
}

void notifier_threads_close(struct notifier_threads *threads)
{
	while (threads != NULL && threads->first != NULL) {
		struct notifier_group *group = threads->first;
		threads->first = group->next;
		pthread_mutex_lock(&group->lock);
		group->stop = true;
		pthread_mutex_unlock(&group->lock);
		group_tell(group);
		if (group->runs)
			pthread_join(group->thread, NULL);
		pthread_mutex_destroy(&group->lock);
		free(group);
	}
	free(threads);
}

int notifier_open(
	struct notifier_threads *threads, _Atomic uint32_t *word, struct notifier **notifier)
{
	struct notifier *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->word = word;
	made->seen = atomic_load(word);
	made->allowance = (struct allowance){.left = BURST, .counted_ns = clock_now_ns()};
	int error = find_group(threads, &made->group);
	if (error != 0) {
		free(made);
		return error;
	}
	made->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (made->event_fd < 0) {
		error = -errno;
		free(made);
		return error;
	}
	pthread_mutex_lock(&made->group->lock);
	made->group->member[made->group->count++] = made;
	pthread_mutex_unlock(&made->group->lock);
	made->group->grown = true;
	*notifier = made;
	return 0;
}

static int group_settle(struct notifier_group *group)
{
	if (!group->grown)
		return 0;
	int error = group->runs ? 0 : thread_start(&group->thread, notifier_run, group);
	if (error != 0)
		return error;
	if (group->runs)
		group_tell(group);
	group->runs = true;
	group->grown = false;
	return 0;
}

int notifier_settle(struct notifier_threads *threads)
{
	int failed = 0;
	for (struct notifier_group *group = threads->first; group != NULL; group = group->next) {
		int error = group_settle(group);
		if (error != 0)
			failed = error;
	}
	return failed;
}

void notifier_close(struct notifier *notifier)
{
	if (notifier == NULL)
		return;
	struct notifier_group *group = notifier->group;
	size_t i = 0;
	pthread_mutex_lock(&group->lock);
	while (group->member[i] != notifier)
		i++;
	group->member[i] = group->member[--group->count];
	uint32_t rounds = atomic_load(&group->rounds);
	pthread_mutex_unlock(&group->lock);
	group_tell(group);
	if (group->runs && !group->waits_for_many)
		group_tell_by(group, notifier->word, rounds);
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
