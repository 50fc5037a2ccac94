#include "tests/preload/check.h"

#include "shim/spillway.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

/*
 * More threads than processors, all of them in malloc and free all the time, so that most of them
 * were preempted and some of these inside their caches.  What idles goes back all the same, to
 * malloc_trim and at every level; a fork and a size that cannot be had come back.
 */
#define BUSY 12
#define READERS 2
#define HELD 64
#define BLOCKS 12000
#define BLOCK 4000
#define SURVIVORS 16 /* one block in so many lives on */
#define IDLE_KIB ((long)BLOCKS * BLOCK / 1024)

static char *blocks[BLOCKS];
static _Atomic bool stop;

static void *be_busy(void *first)
{
	unsigned seed = (unsigned)(size_t)first;
	void *held[HELD] = {NULL};

	while (!atomic_load(&stop)) {
		for (int i = 0; i < HELD; i++) {
			seed = seed * 1664525 + 1013904223;
			free(held[i]);
			held[i] = check_opaque(malloc(16 + (seed >> 16) % 512));
			CHECK(held[i] != NULL);
			*(char *)held[i] = 1;
		}
	}
	for (int i = 0; i < HELD; i++)
		free(held[i]);
	return NULL;
}

/* Takes the locks that reading the heap's figures takes. */
static void *be_reader(void *unused)
{
	while (!atomic_load(&stop))
		CHECK(mallinfo2().arena != 0);
	return unused;
}

static void make_idle(void)
{
	for (int i = 0; i < BLOCKS; i++)
		if (blocks[i] == NULL)
			memset(blocks[i] = check_opaque(malloc(BLOCK)), 1, BLOCK);
	for (int i = 0; i < BLOCKS; i++) {
		if (i % SURVIVORS == 0)
			continue;
		free(blocks[i]);
		blocks[i] = NULL;
	}
}

static long resident_kib(void)
{
	return check_proc_number("/proc/self/smaps_rollup", "Rss", 10);
}

/* All but the survivors and what the busy threads have. */
static bool is_given_back(long before_kib)
{
	return resident_kib() < before_kib - IDLE_KIB * 3 / 4;
}

static void verify_forks(int count)
{
	for (int i = 0; i < count; i++) {
		int status;
		pid_t child = fork();

		CHECK(child >= 0);
		if (child == 0) {
			check_hang();
			CHECK(mallinfo2().arena != 0);
			check_churn(300, 100);
			_exit(malloc_trim(0) >= 0 ? 7 : 1);
		}
		CHECK(waitpid(child, &status, 0) == child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
}

int main(void)
{
	pthread_t threads[BUSY + READERS];
	long before_kib;

	check_hang();
	for (size_t i = 0; i < BUSY + READERS; i++)
		CHECK(pthread_create(&threads[i], NULL, i < BUSY ? be_busy : be_reader,
			      (void *)(i + 1)) == 0);
	for (int level = SPILLWAY_EAGER; level <= SPILLWAY_FULL; level++) {
		make_idle();
		before_kib = resident_kib();
		spillway_set_level((enum spillway_level)level);
		CHECK_SOON(20, is_given_back(before_kib));
		spillway_set_level(SPILLWAY_CALM);
	}
	make_idle();
	before_kib = resident_kib();
	CHECK(malloc_trim(0) == 1);
	CHECK(is_given_back(before_kib));
	for (int i = 0; i < 100; i++)
		CHECK(malloc(check_hidden((size_t)1 << 62)) == NULL);
	verify_forks(10);
	atomic_store(&stop, true);
	for (int i = 0; i < BUSY + READERS; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	return 0;
}
