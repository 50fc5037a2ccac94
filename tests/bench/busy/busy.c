/* What a release takes while more threads allocate than there are CPUs, and what it leaves. */
#include "shim/spillway.h"
#include "tests/bench/alloc/workload.h"
#include "tests/bench/idle/block.h"
#include "tests/bench/idle/release.h"
#include "tests/preload/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

/*
 * busy THREADS WHAT: 512 MiB of blocks of 4,000 bytes are freed while so many threads allocate and
 * free 16 to 527 bytes without a pause.  Then WHAT:
 *
 *	release		the main thread gives back all by the allocator's own call
 *	lazy, eager, full	the process's level is raised (spillway only) until nine tenths went
 *	calm		nothing, for 12 s
 *	fork		instead of freeing it forks, five times
 *
 * One line: seconds (of fork: the median), MiB of what was freed that stay (of RSS less lazy
 * pages), milliseconds of CPU of the main thread, and slices that it had to give up.
 */

#define FREED_BYTES (512 * MIB)
#define BLOCK_BYTES 4000U
#define LIVE 64U
#define FORKS 5
#define CALM_NS 12000000000U
#define LEVEL_NS 60000000000U
#define LOOK_NS 50000000U

static void *churn_run(void *arg)
{
	uint64_t seed = (uint64_t)(uintptr_t)arg;
	void *blocks[LIVE] = {NULL};

	for (size_t i = 0;; i = (i + 1) % LIVE) {
		size_t bytes = 16 + random_step(&seed) % 512;

		free(blocks[i]);
		blocks[i] = block_make(bytes);
	}
	return NULL;
}

static void threads_begin(unsigned long count)
{
	pthread_attr_t attr;
	pthread_t thread;

	CHECK(pthread_attr_init(&attr) == 0 && pthread_attr_setstacksize(&attr, 128 * KIB) == 0);
	for (unsigned long i = 1; i <= count; i++)
		CHECK(pthread_create(&thread, &attr, churn_run, (void *)(uintptr_t)i) == 0);
	pthread_attr_destroy(&attr);
	nanosleep(&(struct timespec){.tv_nsec = 500000000}, NULL);
}

static long resident_kib(void)
{
	static const char rollup[] = "/proc/self/smaps_rollup";

	return check_proc_number(rollup, "Rss", 10) - check_proc_number(rollup, "LazyFree", 10);
}

/* Until a tenth is left, or all the time. */
static void wait_for(uint64_t start_ns, uint64_t most_ns, long end_kib)
{
	/* Of the two counts the one that costs nothing. */
	while (clock_ns(CLOCK_MONOTONIC) - start_ns < most_ns &&
		check_proc_number("/proc/self/status", "VmRSS", 10) > end_kib)
		nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
}

static int compare(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a;
	uint64_t right = *(const uint64_t *)b;

	return (left > right) - (left < right);
}

static uint64_t fork_ns(void)
{
	uint64_t took_ns[FORKS];

	for (size_t i = 0; i < FORKS; i++) {
		uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0)
			_exit(0);
		took_ns[i] = clock_ns(CLOCK_MONOTONIC) - start_ns;
		CHECK(waitpid(child, NULL, 0) == child);
	}
	qsort(took_ns, FORKS, sizeof *took_ns, compare);
	return took_ns[FORKS / 2];
}

static void perform(const char *what, uint64_t start_ns, long before_kib)
{
	static const char *const levels[] = {"calm", "lazy", "eager", "full"};

	if (strcmp(what, "release") == 0)
		release_all();
	else if (strcmp(what, "calm") == 0)
		wait_for(start_ns, CALM_NS, 0);
	for (int level = 1; level < 4; level++) {
		if (strcmp(what, levels[level]) != 0)
			continue;
		CHECK(spillway_is_loaded() && spillway_set_level((enum spillway_level)level) == 0);
		wait_for(start_ns, LEVEL_NS,
			before_kib - (long)(FREED_BYTES / KIB) + (long)(FREED_BYTES / KIB / 10));
	}
}

int main(int argc, char **argv)
{
	static void *blocks[FREED_BYTES / BLOCK_BYTES];
	size_t count = sizeof blocks / sizeof blocks[0];
	struct rusage before;
	struct rusage after;
	uint64_t start_ns;
	uint64_t cpu_ns;
	uint64_t took_ns;
	long before_kib;

	CHECK(argc == 3);
	for (size_t i = 0; i < count; i++)
		blocks[i] = block_make(BLOCK_BYTES);
	threads_begin(strtoul(argv[1], NULL, 10));
	before_kib = resident_kib();
	for (size_t i = 0; i < count && strcmp(argv[2], "fork") != 0; i++)
		free(blocks[i]);
	CHECK(getrusage(RUSAGE_THREAD, &before) == 0);
	cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	start_ns = clock_ns(CLOCK_MONOTONIC);
	if (strcmp(argv[2], "fork") == 0) {
		took_ns = fork_ns();
	} else {
		perform(argv[2], start_ns, before_kib);
		took_ns = clock_ns(CLOCK_MONOTONIC) - start_ns;
	}
	cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	CHECK(getrusage(RUSAGE_THREAD, &after) == 0);
	printf("%.3f %ld %.1f %ld\n", (double)took_ns / 1e9,
		resident_kib() / 1024 - before_kib / 1024 + (long)(FREED_BYTES / MIB),
		(double)cpu_ns / 1e6, after.ru_nivcsw - before.ru_nivcsw);
	fflush(stdout);
	_exit(0);
}
