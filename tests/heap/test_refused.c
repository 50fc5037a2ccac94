#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/scavenge/scavenge.h"
#include "tests/support/fake_os.h"
#include "tests/support/random.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * Calls of the kernel that fail, one after the other, each in a process of its
 * own.  What counts is at how many places a call fails, not how much memory is
 * behind it, which costs a page fault for every page: blocks are few and most
 * of them small.  Threads that meet refusals are test_crowd's matter, under TSan,
 * too; here there are two, with nothing in common.
 *
 * variants: release asan
 */
#define MIB ((size_t)1 << 20)
#define BLOCKS 600
#define THREAD_BLOCKS 100

static void *blocks[BLOCKS];

enum result { PASSED, REFUSED_AND_SURVIVED, BROKEN, LEFT_SOMETHING };

/* In an attempt, which is a process of its own. */
static void require(bool condition)
{
	if (!condition)
		_exit(BROKEN);
}

static bool all_zero(const unsigned char *block, size_t size)
{
	return size == 0 || (block[0] == 0 && memcmp(block, block + 1, size - 1) == 0);
}

static void *obtain(size_t i, size_t size)
{
	void *block;

	switch (i % 4) {
	case 0:
		block = heap_calloc(1, size);
		require(block == NULL || all_zero(block, size));
		return block;
	case 1:
		block = heap_memalign((size_t)16 << i % 13, size);
		require((uintptr_t)block % ((size_t)16 << i % 13) == 0);
		return block;
	case 2:
		return heap_realloc(NULL, size);
	default:
		return heap_malloc(size);
	}
}

/* A thread with a cache of its own, which it leaves; what it could not get is false. */
static void *use_as_a_thread(void *all)
{
	void *mine[THREAD_BLOCKS];

	for (size_t i = 0; i < THREAD_BLOCKS; i++) {
		mine[i] = heap_malloc(9 * i * i);
		if (mine[i] == NULL)
			atomic_store((_Atomic bool *)all, false);
		else
			memset(mine[i], 2, 9 * i * i);
	}
	for (size_t i = 0; i < THREAD_BLOCKS; i++)
		heap_free(mine[i]);
	cache_thread_exit();
	return NULL;
}

static void use_threads(_Atomic bool *all)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		require(pthread_create(&threads[i], NULL, use_as_a_thread, all) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

/* A child has what its parent had, and the same refusals before it. */
static void use_a_fork(void)
{
	_Atomic bool unused = true;
	int status = 0;
	pid_t child;

	heap_fork_prepare();
	child = fork();
	if (child == 0) {
		heap_fork_child();
		for (size_t i = 0; i < BLOCKS; i++)
			heap_free(blocks[i]);
		use_as_a_thread(&unused);
		_exit(heap_check() == NULL ? 0 : 1);
	}
	heap_fork_parent();
	waitpid(child, &status, 0);
	require(child > 0 && status == 0);
}

/* Something of everything; false when memory ran out on the way. */
static bool use_the_heap(void)
{
	struct heap_pass pass = {.max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};
	_Atomic bool all = true;

	for (size_t i = 0; i < BLOCKS; i++) {
		size_t size = random_below(i % 50 == 0 ? 3 * MIB : 2000);

		blocks[i] = obtain(i, size);
		if (blocks[i] == NULL)
			all = false;
		else
			memset(blocks[i], 1, size);
	}
	for (size_t i = 0; i < BLOCKS; i += 2) {
		void *block = heap_realloc(blocks[i], random_below(i % 16 == 0 ? 300000 : 3000));

		if (block != NULL)
			blocks[i] = block;
		else
			all = false;
	}
	for (size_t i = 0; i < BLOCKS; i += 3) {
		heap_free(blocks[i]);
		blocks[i] = NULL;
	}
	use_threads(&all);
	use_a_fork();
	for (int level = HEAP_LAZY; level <= HEAP_FULL; level++) {
		pass.level = (enum heap_level)level;
		heap_scavenge(&pass, HEAP_BY_FULL);
	}
	for (size_t i = 0; i < BLOCKS; i++)
		heap_free(blocks[i]);
	heap_scavenge(&pass, HEAP_BY_FULL);
	return all;
}

static enum result attempt(uint64_t refuse_at, bool all_from)
{
	struct heap_stats stats;
	bool all;

	atomic_store(&fake_os.refuse_at, refuse_at);
	atomic_store(&fake_os.refuse_all_from, all_from);
	all = use_the_heap();
	atomic_store(&fake_os.refuse_at, 0);
	if (heap_check() != NULL)
		return BROKEN;
	if (!use_the_heap() || heap_check() != NULL)
		return BROKEN;
	heap_stats_read(&stats);
	if (stats.in_use_bytes != 0 || stats.blocks != 0)
		return LEFT_SOMETHING;
	return all && atomic_load(&fake_os.calls) < refuse_at ? PASSED : REFUSED_AND_SURVIVED;
}

/* Each attempt in a process of its own, since the heap cannot be started anew. */
static enum result attempt_apart(uint64_t refuse_at, bool all_from)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(attempt(refuse_at, all_from));
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? (enum result)WEXITSTATUS(status) : BROKEN;
}

static void test_any_one_refused_call_is_survived(void **state)
{
	uint64_t n = 1;

	(void)state;
	for (;; n += n < 40 ? 1 : 3) {
		enum result result = attempt_apart(n, false);

		if (result == PASSED || n > 400)
			break;
		if (result != REFUSED_AND_SURVIVED)
			fail_msg("refusing call %lu: %d", (unsigned long)n, result);
	}
	assert_true(n > 10);
}

static void test_all_calls_refused_from_one_on_is_survived(void **state)
{
	(void)state;
	for (uint64_t n = 1; n < 60; n += n < 20 ? 1 : 5) {
		enum result result = attempt_apart(n, true);

		if (result != REFUSED_AND_SURVIVED && result != PASSED)
			fail_msg("refusing from call %lu: %d", (unsigned long)n, result);
	}
}

static void small_address_space(void)
{
	static void *large[64];
	size_t count = 0;
	struct heap_stats stats;

	atomic_store(&fake_os.reserve_bytes_max, 20 * MIB);
	atomic_store(&fake_os.occupied, true);
	while (count < 64 && (large[count] = heap_malloc(5 * MIB)) != NULL)
		memset(large[count++], 1, 5 * MIB);
	if (count != 64 || heap_malloc(64 * MIB) != NULL || heap_check() != NULL)
		_exit(BROKEN);
	while (count > 0)
		heap_free(large[--count]);
	heap_stats_read(&stats);
	_exit(stats.in_use_bytes == 0 && heap_check() == NULL ? PASSED : LEFT_SOMETHING);
}

static void test_many_small_regions_serve_where_large_ones_are_refused(void **state)
{
	int status = 0;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		small_address_space();
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), PASSED);
}

static void test_shrinking_never_fails(void **state)
{
	void *small = heap_malloc(20000);
	void *large = heap_malloc(200000);

	(void)state;
	atomic_store(&fake_os.refuse_all_from, true);
	atomic_store(&fake_os.refuse_at, 1);
	while (heap_malloc(64) != NULL)
		;
	assert_null(heap_malloc(64));
	assert_ptr_equal(heap_realloc(small, 64), small);
	assert_ptr_equal(heap_realloc(large, 64), large);
	assert_null(heap_realloc(small, 40000000));
	atomic_store(&fake_os.refuse_at, 0);
	heap_free(small);
	heap_free(large);
	assert_null(heap_check());
}

static size_t regions(void)
{
	uintptr_t start;
	size_t pages;
	size_t count = 0;

	while (page_heap_region_locked(count, &start, &pages))
		count++;
	return count;
}

static void test_a_region_of_which_nothing_is_given_goes_again(void **state)
{
	size_t before;

	(void)state;
	heap_free(heap_malloc(MIB));
	before = regions();
	/* Reserved and described it is, but not committed. */
	atomic_store(&fake_os.calls, 0);
	atomic_store(&fake_os.refuse_all_from, true);
	atomic_store(&fake_os.refuse_at, 4);
	assert_null(page_heap_take(((size_t)128 << 30) / PAGE_BYTES, PAGE_BYTES).start);
	atomic_store(&fake_os.refuse_at, 0);
	atomic_store(&fake_os.refuse_all_from, false);
	assert_true(atomic_load(&fake_os.calls) >= 4);
	assert_int_equal(regions(), before);
	heap_free(heap_malloc(MIB));
	assert_null(heap_check());
}

static void limited_address_space(void)
{
	static void *blocks_of_mib[400];
	struct rlimit limit = {0};
	unsigned long pages = 0;
	size_t count = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (file == NULL || fscanf(file, "%lu", &pages) != 1)
		_exit(BROKEN);
	limit.rlim_cur = pages * 4096 + 200 * MIB;
	limit.rlim_max = limit.rlim_cur;
	setrlimit(RLIMIT_AS, &limit);
	while (count < 400 && (blocks_of_mib[count] = heap_malloc(MIB)) != NULL)
		memset(blocks_of_mib[count++], 1, MIB);
	if (count < 120 || count == 400 || heap_check() != NULL)
		_exit(BROKEN);
	while (count > 0)
		heap_free(blocks_of_mib[--count]);
	/* What one size gave up serves every other. */
	for (size_t i = 0; i < 50 * MIB / 1000; i++)
		if (heap_malloc(1000) == NULL)
			_exit(BROKEN);
	_exit(heap_check() == NULL ? PASSED : BROKEN);
}

static void test_most_of_a_limited_address_space_can_be_used(void **state)
{
	int status = 0;
	pid_t child = fork();

	(void)state;
	if (child == 0)
		limited_address_space();
	waitpid(child, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), PASSED);
}

static void test_absurd_sizes_are_refused_and_do_no_harm(void **state)
{
	void *block;

	(void)state;
	assert_null(heap_malloc(SIZE_MAX));
	assert_null(heap_malloc((size_t)PTRDIFF_MAX + 1));
	assert_null(heap_malloc(PTRDIFF_MAX));
	assert_null(heap_calloc(SIZE_MAX / 2, 3));
	assert_null(heap_memalign((size_t)1 << 62, 16));
	assert_null(heap_memalign(16, SIZE_MAX - 4096));
	block = heap_malloc(100);
	assert_null(heap_realloc(block, SIZE_MAX));
	assert_null(heap_realloc(block, PTRDIFF_MAX));
	heap_free(block);
	block = heap_memalign((size_t)1 << 30, 100);
	assert_non_null(block);
	assert_int_equal((uintptr_t)block % ((size_t)1 << 30), 0);
	heap_free(block);
	assert_null(heap_check());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_one_refused_call_is_survived),
		cmocka_unit_test(test_all_calls_refused_from_one_on_is_survived),
		cmocka_unit_test(test_many_small_regions_serve_where_large_ones_are_refused),
		cmocka_unit_test(test_most_of_a_limited_address_space_can_be_used),
		cmocka_unit_test(test_shrinking_never_fails),
		cmocka_unit_test(test_absurd_sizes_are_refused_and_do_no_harm),
		cmocka_unit_test(test_a_region_of_which_nothing_is_given_goes_again),
	};

	random_run_seed();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
