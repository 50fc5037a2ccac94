#include "shim/spillway.h"
#include "tests/preload/check.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>

/*
 * What spillway.h promises.  One argument names what is tried; without the library
 * there is but "alone".
 */
#define LARGE_BYTES (1 * MIB)

static struct spillway_stats stats_now(void)
{
	struct spillway_stats stats;

	CHECK(spillway_stats(&stats, sizeof stats) == 0);
	return stats;
}

/* Leaves so much idle and resident. */
static void idle_make(size_t bytes)
{
	check_churn(bytes / LARGE_BYTES, LARGE_BYTES);
}

static void test_alone(void)
{
	CHECK(!spillway_is_loaded());
	CHECK(spillway_stats == NULL && spillway_free_os_memory == NULL &&
		spillway_set_level == NULL && spillway_subscribe == NULL &&
		spillway_unsubscribe == NULL);
}

static void test_stats(void)
{
	struct {
		struct spillway_stats known;
		uint64_t grown[4];
	} later;
	struct spillway_stats before;
	struct spillway_stats after;
	void *block;

	CHECK(spillway_is_loaded());
	free(check_opaque(malloc(100)));
	errno = EDOM;
	CHECK(spillway_stats(NULL, sizeof before) == -EINVAL);
	CHECK(spillway_stats(&before, 0) == -EINVAL);
	CHECK(spillway_stats(&before, sizeof before - 8) == -EINVAL);
	CHECK(spillway_stats(&before, SIZE_MAX) == -EINVAL);
	memset(&later, 0x77, sizeof later);
	CHECK(spillway_stats(&later.known, sizeof later) == 0);
	CHECK(later.known.mapped_bytes != 0 && later.grown[0] == 0 && later.grown[3] == 0);
	CHECK(errno == EDOM);

	before = stats_now();
	CHECK(before.level == SPILLWAY_CALM && before.price_ns != 0 && before.cpu_permille != 0);
	block = check_opaque(malloc(30 * MIB));
	after = stats_now();
	CHECK(after.in_use_bytes >= before.in_use_bytes + 30 * MIB);
	CHECK(after.in_use_bytes + after.idle_dirty_bytes + after.lazy_bytes + after.clean_bytes +
			after.metadata_bytes ==
		after.mapped_bytes);
	free(block);
}

static void test_free_os_memory(void)
{
	struct spillway_stats before = stats_now();
	struct spillway_stats after;

	idle_make(40 * MIB);
	check_churn(4000, 1000);
	CHECK(spillway_free_os_memory() >= 40 * MIB);
	after = stats_now();
	CHECK(after.released_full_bytes >= before.released_full_bytes + 40 * MIB);
	CHECK(after.idle_dirty_bytes < MIB && after.lazy_bytes == 0 && after.advise_calls != 0 &&
		after.advise_ns != 0);
	CHECK(spillway_free_os_memory() == 0);
}

static _Atomic unsigned calls;
static _Atomic unsigned last_level;
static _Atomic bool inside;
static _Atomic bool leaving;

static void on_level(enum spillway_level level, void *with)
{
	CHECK(with == &calls);
	check_churn(20, 300 * KIB);
	last_level = level;
	calls++;
}

static void on_level_slow(enum spillway_level level, void *with)
{
	(void)level;
	(void)with;
	inside = true;
	while (!leaving)
		patience_pause();
	/* So that whoever unsubscribes most likely has to wait. */
	nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
	inside = false;
}

static void on_level_once(enum spillway_level level, void *with)
{
	(void)level;
	CHECK(spillway_unsubscribe(on_level_once, with) == 0);
	(*(_Atomic unsigned *)with)++;
}

/* As the thread that subscribed it may do, too. */
static void on_level_either(enum spillway_level level, void *with)
{
	int error = spillway_unsubscribe(on_level_either, with);

	(void)level;
	CHECK(error == 0 || error == -ENOENT);
	(*(_Atomic unsigned *)with)++;
}

static void level_change(enum spillway_level level)
{
	unsigned before = calls;

	CHECK(spillway_set_level(level) == 0);
	CHECK_SOON(5, calls != before && last_level == level);
}

static void test_level(void)
{
	struct spillway_stats before = stats_now();

	CHECK(check_worker() == 0);
	CHECK(spillway_set_level((enum spillway_level)4) == -EINVAL);
	CHECK(spillway_set_level((enum spillway_level) - 1) == -EINVAL);
	CHECK(spillway_set_level(SPILLWAY_CALM) == 0 && check_worker() == 0);
	idle_make(40 * MIB);
	CHECK(spillway_set_level(SPILLWAY_EAGER) == 0);
	CHECK(stats_now().level == SPILLWAY_EAGER);
	/* It has its name when it first ran. */
	CHECK_SOON(5, check_worker() != 0);
	CHECK_SOON(5, stats_now().idle_dirty_bytes < MIB);
	idle_make(40 * MIB);
	CHECK_SOON(5, stats_now().idle_dirty_bytes < MIB);
	/* A page on its way to the kernel is idle no more, and is counted when it has gone. */
	CHECK_SOON(5, stats_now().released_eager_bytes >= before.released_eager_bytes + 78 * MIB);
	CHECK(spillway_set_level(SPILLWAY_CALM) == 0 && stats_now().level == SPILLWAY_CALM);
}

/* Each change wakes a thread that sleeps for good. */
static void test_wakes(void)
{
	int thread = 0;

	CHECK(spillway_subscribe(on_level, (void *)&calls) == 0);
	CHECK_SOON(5, (thread = check_worker()) != 0);
	for (int i = 0; i < 2; i++) {
		CHECK_SOON(20, check_sleeps_for_good(getpid(), thread));
		level_change(SPILLWAY_LAZY);
		level_change(SPILLWAY_CALM);
	}
	for (unsigned i = 0; i < 300; i++)
		level_change((enum spillway_level)((i + 1) % 4));
}

static void test_subscribers(void)
{
	_Atomic unsigned once = 0;

	CHECK(spillway_subscribe(NULL, NULL) == -EINVAL);
	CHECK(spillway_unsubscribe(on_level, (void *)&calls) == -ENOENT);
	for (int i = 0; i < SPILLWAY_SUBSCRIBERS; i++)
		CHECK(spillway_subscribe(on_level, (void *)&calls) == 0);
	CHECK(spillway_subscribe(on_level, (void *)&calls) == -ENOSPC);
	CHECK(spillway_set_level(SPILLWAY_LAZY) == 0);
	CHECK_SOON(5, calls == SPILLWAY_SUBSCRIBERS);
	CHECK(last_level == SPILLWAY_LAZY);
	CHECK(spillway_unsubscribe(on_level, &once) == -ENOENT);
	for (int i = 1; i < SPILLWAY_SUBSCRIBERS; i++)
		CHECK(spillway_unsubscribe(on_level, (void *)&calls) == 0);

	CHECK(spillway_subscribe(on_level_once, (void *)&once) == 0);
	level_change(SPILLWAY_EAGER);
	level_change(SPILLWAY_LAZY);
	CHECK(once == 1);

	CHECK(spillway_subscribe(on_level_slow, NULL) == 0);
	CHECK(spillway_set_level(SPILLWAY_CALM) == 0);
	CHECK_SOON(5, inside);
	leaving = true;
	CHECK(spillway_unsubscribe(on_level_slow, NULL) == 0 && !inside);
	CHECK(spillway_unsubscribe(on_level, (void *)&calls) == 0);
}

/* Threads that come and go as subscribers while the level changes. */
static void *subscriber_run(void *end)
{
	_Atomic unsigned mine = 0;

	while (check_now_s() < *(double *)end) {
		CHECK(spillway_subscribe(on_level_either, (void *)&mine) == 0);
		if (spillway_unsubscribe(on_level_either, (void *)&mine) == -ENOENT)
			CHECK_SOON(5, mine != 0);
		mine = 0;
	}
	return NULL;
}

static void test_crowd(void)
{
	double end_s = check_now_s() + 2;
	pthread_t threads[4];

	CHECK(spillway_subscribe(on_level, (void *)&calls) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, subscriber_run, &end_s) == 0);
	for (unsigned i = 0; check_now_s() < end_s; i++)
		level_change((enum spillway_level)((i + 1) % 4));
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void child_end(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_fork(void)
{
	pid_t child;

	CHECK(spillway_subscribe(on_level, (void *)&calls) == 0);
	level_change(SPILLWAY_LAZY);
	child = fork();
	if (child == 0) {
		check_hang();
		CHECK(stats_now().level == SPILLWAY_LAZY);
		level_change(SPILLWAY_EAGER);
		CHECK(check_worker() != 0);
		_exit(0);
	}
	child_end(child);
	CHECK(last_level == SPILLWAY_LAZY);
	/* While a call is under way. */
	CHECK(spillway_subscribe(on_level_slow, NULL) == 0);
	CHECK(spillway_set_level(SPILLWAY_CALM) == 0);
	CHECK_SOON(5, inside);
	child = fork();
	if (child == 0) {
		check_hang();
		CHECK(spillway_unsubscribe(on_level_slow, NULL) == 0);
		level_change(SPILLWAY_EAGER);
		_exit(0);
	}
	child_end(child);
	leaving = true;
}

/* What is idle in a child of a fork with so much idle; the floor is no news any more. */
static uint64_t idle_after_fork(size_t bytes)
{
	struct spillway_stats before;
	uint64_t *left = check_opaque(malloc(sizeof *left));
	int ends[2];
	pid_t child;

	CHECK(pipe(ends) == 0);
	/* Sooner than the pace of the level: it leaves what idled for less than 100 ms. */
	do {
		idle_make(bytes);
		before = stats_now();
	} while (before.idle_dirty_bytes < bytes * 9 / 10);
	child = fork();
	if (child == 0) {
		struct spillway_stats after = stats_now();

		*left = after.idle_dirty_bytes + after.lazy_bytes;
		CHECK(write(ends[1], left, sizeof *left) == sizeof *left);
		_exit(0);
	}
	child_end(child);
	CHECK(read(ends[0], left, sizeof *left) == sizeof *left);
	close(ends[0]);
	close(ends[1]);
	return *left;
}

static void level_settle(enum spillway_level level)
{
	uint64_t before = UINT64_MAX;

	CHECK(spillway_set_level(level) == 0);
	while (before != stats_now().advise_calls) {
		before = stats_now().advise_calls;
		nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
	}
}

/* Whether a fork leaves that little; now and then another thread is at the same pages. */
static bool fork_leaves(size_t bytes, uint64_t most_bytes)
{
	for (int i = 0; i < 20; i++)
		if (idle_after_fork(bytes) <= most_bytes)
			return true;
	return false;
}

/* Whether a fork leaves that much; on a busy machine the thread may come before it. */
static bool fork_keeps(size_t bytes, uint64_t least_bytes)
{
	for (int i = 0; i < 20; i++)
		if (idle_after_fork(bytes) >= least_bytes)
			return true;
	return false;
}

static void test_fork_release(void)
{
	level_settle(SPILLWAY_EAGER);
	CHECK(fork_leaves(8 * MIB, 256 * KIB));
	CHECK(stats_now().idle_dirty_bytes < 256 * KIB);
	CHECK(fork_leaves(40 * MIB, 20 * MIB));
	CHECK(fork_keeps(160 * MIB, 79 * MIB));
	level_settle(SPILLWAY_FULL);
	CHECK(fork_leaves(8 * MIB, 256 * KIB));
	level_settle(SPILLWAY_LAZY);
	CHECK(fork_keeps(8 * MIB, 7 * MIB));
	level_settle(SPILLWAY_CALM);
	CHECK(fork_keeps(8 * MIB, 7 * MIB));
}

static void test_without_thread(void)
{
	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	CHECK(setrlimit(RLIMIT_NPROC, &(struct rlimit){0, 0}) == 0);
	CHECK(spillway_subscribe(on_level, (void *)&calls) == 0);
	idle_make(8 * MIB);
	CHECK(spillway_set_level(SPILLWAY_EAGER) == 0 && check_worker() == 0);
	CHECK(stats_now().level == SPILLWAY_EAGER && stats_now().released_eager_bytes != 0);
	idle_make(40 * MIB);
	patience_pause();
	idle_make(1 * MIB);
	CHECK(calls == 0);
	CHECK(spillway_set_level(SPILLWAY_CALM) == 0);
	CHECK(spillway_unsubscribe(on_level, (void *)&calls) == 0);
}

static const struct test {
	const char *name;
	void (*run)(void);
} tests[] = {
	{"alone", test_alone},
	{"stats", test_stats},
	{"free_os_memory", test_free_os_memory},
	{"level", test_level},
	{"wakes", test_wakes},
	{"subscribers", test_subscribers},
	{"crowd", test_crowd},
	{"fork", test_fork},
	{"fork_release", test_fork_release},
	{"without_thread", test_without_thread},
};

int main(int count, char **arguments)
{
	check_hang();
	for (size_t i = 0; count == 2 && i < sizeof tests / sizeof tests[0]; i++) {
		if (strcmp(arguments[1], tests[i].name) == 0) {
			tests[i].run();
			return 0;
		}
	}
	return 2;
}
