#include "shim/heap/base/os.h"
#include "shim/heap/base/page.h"
#include "shim/heap/base/run_bin.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/caches/cache_state.h"
#include "shim/heap/caches/transfer.h"
#include "shim/heap/front/heap.h"
#include "tests/support/fake_os.h"
#include "tests/support/panic.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define KIB ((size_t)1 << 10)
#define WARM_UP 600
#define THREADS 18

static uint64_t kept_bytes(void)
{
	uint64_t blocks;
	uint64_t bytes;

	cache_run_stats(&blocks, &bytes);
	return bytes;
}

static struct heap_stats stats_now(void)
{
	struct heap_stats stats;

	heap_stats_read(&stats);
	return stats;
}

/* Until the cache keeps a block of this size. */
static void warm_up(size_t size)
{
	for (int i = 0; i < WARM_UP; i++)
		heap_free(heap_malloc(size));
}

static int end(void **state)
{
	(void)state;
	cache_drain_all(UINT64_MAX);
	assert_int_equal(kept_bytes(), 0);
	assert_int_equal(stats_now().blocks, 0);
	assert_int_equal(stats_now().large_bytes, 0);
	assert_null(heap_check());
	return 0;
}

static void test_lengths_of_bins_are_an_eighth_apart(void **state)
{
	size_t last = RUN_BIN_PAGES_MIN - 1;

	(void)state;
	assert_int_equal(run_bin_of(last), 0);
	assert_int_equal(run_bin_of(RUN_BIN_PAGES_MAX + 1), 0);
	for (unsigned bin = 1; bin <= RUN_BINS; bin++) {
		size_t pages = run_bin_pages(bin);

		assert_true(pages > last && (pages - last - 1) * 8 <= pages);
		for (size_t p = last + 1; p <= pages; p++) {
			assert_int_equal(run_bin_of(p), bin);
			assert_int_equal(run_bin_round(p), pages);
		}
		last = pages;
	}
	assert_int_equal(last, RUN_BIN_PAGES_MAX);
}

static void test_longer_lengths_are_a_sixteenth_apart(void **state)
{
	(void)state;
	for (size_t pages = RUN_BIN_PAGES_MAX + 1; pages <= 64 * RUN_BIN_PAGES_MAX; pages++) {
		size_t rounded = run_bin_round(pages);

		assert_true(rounded >= pages && (rounded - pages) * 16 < pages);
		assert_true(rounded - pages < RUN_STEP_PAGES_MAX);
		assert_int_equal(run_bin_round(rounded), rounded);
	}
}

static void test_a_block_that_comes_and_goes_is_kept(void **state)
{
	(void)state;
	for (size_t size = 132 * KIB; size <= 1024 * KIB; size += 52 * KIB) {
		uint64_t large = stats_now().large_blocks;
		void *block;
		void *again;

		warm_up(size);
		block = heap_malloc(size);
		assert_true(heap_usable_size(block) >= size);
		assert_int_equal(stats_now().large_blocks, large + 1);
		heap_free(block);
		assert_int_equal(stats_now().large_blocks, large);
		assert_true(kept_bytes() >= size);
		assert_true(stats_now().free_slot_bytes >= size);
		again = heap_malloc(size);
		assert_ptr_equal(again, block);
		heap_free(again);
	}
	assert_true(kept_bytes() <= RUN_BYTES_MAX);
	assert_null(heap_check());
}

static void test_calloc_is_zero_in_a_kept_block(void **state)
{
	static const size_t sizes[] = {40 * KIB, 100 * KIB, 300 * KIB, 1024 * KIB};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		for (int turn = 0; turn < WARM_UP; turn++) {
			unsigned char *block = heap_calloc(1, sizes[i]);

			assert_int_equal(block[0] | block[sizes[i] / 2] | block[sizes[i] - 1], 0);
			block[0] = block[sizes[i] / 2] = block[sizes[i] - 1] = 1;
			heap_free(block);
		}
		assert_true(kept_bytes() >= sizes[i]);
	}
}

static void test_a_kept_block_grows_and_shrinks_within_its_length(void **state)
{
	unsigned char *block;

	(void)state;
	warm_up(260 * KIB);
	block = heap_malloc(260 * KIB);
	memset(block, 7, 260 * KIB);
	assert_ptr_equal(heap_realloc(block, heap_usable_size(block)), block);
	assert_ptr_equal(heap_realloc(block, 258 * KIB), block);
	block = heap_realloc(block, 700 * KIB);
	for (size_t i = 0; i < 258 * KIB; i += 100)
		assert_int_equal(block[i], 7);
	heap_free(block);
}

static void *freed(void)
{
	void *block;

	warm_up(200 * KIB);
	block = heap_malloc(200 * KIB);
	heap_free(block);
	assert_true(kept_bytes() >= 200 * KIB);
	return block;
}

static void free_twice(void *unused)
{
	void *block = freed();

	(void)unused;
	heap_free(block);
}

static void free_twice_with_others_between(void *unused)
{
	void *block = freed();

	(void)unused;
	heap_free(heap_malloc(300 * KIB));
	heap_free(heap_malloc(10));
	heap_free(block);
}

static void reallocate_freed(void *unused)
{
	void *block = freed();

	(void)unused;
	(void)heap_realloc(block, 10);
}

static void free_inside(void *unused)
{
	char *block = heap_malloc(200 * KIB);

	(void)unused;
	heap_free(block + PAGE_BYTES);
}

static void test_misuse_is_told_as_without_a_cache(void **state)
{
	(void)state;
	assert_true(panic_says(free_twice, NULL, "free(): double free"));
	assert_true(panic_says(free_twice_with_others_between, NULL, "free(): double free"));
	assert_true(panic_says(reallocate_freed, NULL, "realloc(): invalid pointer"));
	assert_true(panic_says(free_inside, NULL, "free(): invalid pointer"));
}

/* A pass that finds idle what was so as the last one ended; passes look at caches each 200 ms. */
static uint64_t look(uint64_t idle_before_ns)
{
	atomic_fetch_add(&fake_os.now_ahead_ns, 210000000);
	cache_drain_all(idle_before_ns);
	return os_now_ns();
}

static void test_what_is_kept_for_long_goes_back_by_calm_looks(void **state)
{
	uint64_t looked_ns;
	uint64_t in_use;

	(void)state;
	warm_up(500 * KIB);
	warm_up(1000 * KIB);
	assert_true(kept_bytes() >= 1500 * KIB);
	in_use = stats_now().in_use_bytes;
	looked_ns = look(os_now_ns());
	looked_ns = look(looked_ns);
	(void)look(looked_ns);
	assert_int_equal(kept_bytes(), 0);
	assert_true(stats_now().in_use_bytes + 1500 * KIB <= in_use);
}

static void test_limits_fall_where_blocks_are_rare(void **state)
{
	(void)state;
	warm_up(1000 * KIB);
	assert_true(kept_bytes() >= 1000 * KIB);
	for (int i = 0; i < 8; i++) {
		atomic_fetch_add(&fake_os.now_ahead_ns, 260000000);
		heap_free(heap_malloc(1000 * KIB));
		/* A miss, so that the owner looks. */
		heap_free(heap_malloc(3000));
		heap_free(heap_malloc(200 * KIB));
	}
	assert_true(kept_bytes() < 1000 * KIB);
}

struct crowd {
	pthread_mutex_t turn;
	pthread_barrier_t warm;
	pthread_barrier_t seen;
};

static void *hoard(void *arg)
{
	struct crowd *crowd = arg;

	/* One after the other: the clock stands, and nobody is to wait for a lock. */
	pthread_mutex_lock(&crowd->turn);
	for (size_t size = 140 * KIB; size <= 1024 * KIB; size += 140 * KIB)
		warm_up(size);
	pthread_mutex_unlock(&crowd->turn);
	pthread_barrier_wait(&crowd->warm);
	pthread_barrier_wait(&crowd->seen);
	cache_thread_exit();
	return NULL;
}

static void test_many_threads_do_not_hoard(void **state)
{
	pthread_t threads[THREADS];
	struct crowd crowd = {.turn = PTHREAD_MUTEX_INITIALIZER};

	(void)state;
	pthread_barrier_init(&crowd.warm, NULL, THREADS + 1);
	pthread_barrier_init(&crowd.seen, NULL, THREADS + 1);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, hoard, &crowd);
	pthread_barrier_wait(&crowd.warm);
	assert_true(kept_bytes() > RUN_BYTES_MAX);
	assert_true(kept_bytes() <= RUN_BYTES_ALL + TRANSFER_LARGE_BYTES_MAX);
	/* Parked threads lose what they keep, and their part of the bound. */
	cache_drain_all(UINT64_MAX);
	assert_int_equal(kept_bytes(), 0);
	warm_up(1024 * KIB);
	assert_true(kept_bytes() >= 1024 * KIB);
	pthread_barrier_wait(&crowd.seen);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

#define HANDED 4U

static void *free_handed(void *blocks)
{
	for (unsigned i = 0; i < HANDED; i++)
		heap_free(((void **)blocks)[i]);
	cache_thread_exit();
	return NULL;
}

/* Blocks that another thread frees, so often that their stack grows; leaves what they were. */
static void hand_on(size_t size, void *blocks[HANDED])
{
	size_t turns = 4 * (size / RUN_MISS_BYTES / HANDED + 1);
	pthread_t thread;

	for (size_t turn = 0; turn < turns; turn++) {
		for (unsigned i = 0; i < HANDED; i++)
			blocks[i] = heap_malloc(size);
		pthread_create(&thread, NULL, free_handed, blocks);
		pthread_join(thread, NULL);
	}
}

static uint64_t stacked_bytes(void)
{
	uint64_t blocks = 0;
	uint64_t bytes = 0;

	transfer_run_stats(&blocks, &bytes);
	return bytes;
}

static void test_what_another_thread_frees_is_kept_and_goes_back(void **state)
{
	void *blocks[HANDED];
	uint64_t looked_ns;
	uint64_t in_use;

	(void)state;
	heap_free(heap_malloc(1));
	hand_on(200 * KIB, blocks);
	assert_int_equal(stacked_bytes(), 208 * KIB * HANDED);
	assert_int_equal(kept_bytes(), stacked_bytes());
	assert_int_equal(stats_now().large_bytes, 0);
	assert_null(heap_check());
	in_use = stats_now().in_use_bytes;
	looked_ns = look(os_now_ns());
	looked_ns = look(looked_ns);
	(void)look(looked_ns);
	assert_int_equal(stacked_bytes(), 0);
	assert_true(stats_now().in_use_bytes + 208 * KIB * HANDED <= in_use);
}

static void test_stacks_of_large_blocks_are_bounded(void **state)
{
	void *blocks[HANDED];
	uint64_t most = 0;

	(void)state;
	heap_free(heap_malloc(1));
	for (unsigned bin = 1; bin <= RUN_BINS; bin += 3) {
		hand_on(run_bin_pages(bin) * PAGE_BYTES, blocks);
		assert_true(stacked_bytes() <= TRANSFER_LARGE_CACHE_BYTES);
		most = stacked_bytes() > most ? stacked_bytes() : most;
	}
	assert_true(most > TRANSFER_LARGE_CACHE_BYTES / 4);
}

static void free_what_is_stacked(void *unused)
{
	void *blocks[HANDED];

	(void)unused;
	hand_on(200 * KIB, blocks);
	heap_free(blocks[1]);
}

static void test_misuse_of_what_another_thread_freed_is_told(void **state)
{
	(void)state;
	assert_true(panic_says(free_what_is_stacked, NULL, "free(): double free"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths_of_bins_are_an_eighth_apart),
		cmocka_unit_test(test_longer_lengths_are_a_sixteenth_apart),
		cmocka_unit_test_teardown(test_a_block_that_comes_and_goes_is_kept, end),
		cmocka_unit_test_teardown(test_calloc_is_zero_in_a_kept_block, end),
		cmocka_unit_test_teardown(
			test_a_kept_block_grows_and_shrinks_within_its_length, end),
		cmocka_unit_test_teardown(test_misuse_is_told_as_without_a_cache, end),
		cmocka_unit_test_teardown(test_what_is_kept_for_long_goes_back_by_calm_looks, end),
		cmocka_unit_test_teardown(test_limits_fall_where_blocks_are_rare, end),
		cmocka_unit_test_teardown(test_many_threads_do_not_hoard, end),
		cmocka_unit_test_teardown(
			test_what_another_thread_frees_is_kept_and_goes_back, end),
		cmocka_unit_test_teardown(test_stacks_of_large_blocks_are_bounded, end),
		cmocka_unit_test_teardown(test_misuse_of_what_another_thread_freed_is_told, end),
	};

	atomic_store(&fake_os.now_stands_ns, UINT64_C(1000000000000000));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
