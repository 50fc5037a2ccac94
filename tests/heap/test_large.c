#include "shim/heap/base/os.h"
#include "shim/heap/base/page.h"
#include "shim/heap/base/run_bin.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/scavenge/growth.h"
#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

static struct heap_stats stats_now(void)
{
	struct heap_stats stats;

	heap_stats_read(&stats);
	return stats;
}

static void test_realloc_grows_in_place_where_the_next_pages_are_free(void **state)
{
	unsigned char *block = heap_malloc(150000);

	(void)state;
	memset(block, 7, 100000);
	for (size_t size = 150000; size < 20000000; size += size / 3) {
		assert_ptr_equal(heap_realloc(block, size), block);
		assert_true(heap_usable_size(block) >= size);
		assert_int_equal(stats_now().large_bytes, heap_usable_size(block));
	}
	for (size_t i = 0; i < 100000; i++)
		assert_int_equal(block[i], 7);
	heap_free(block);
	assert_int_equal(stats_now().large_blocks, 0);
	assert_null(heap_check());
}

static void test_realloc_moves_where_they_are_not(void **state)
{
	unsigned char *block = heap_malloc(150000);
	unsigned char *next = heap_malloc(150000);
	unsigned char *moved;

	(void)state;
	assert_true(next > block);
	memset(block, 9, 100000);
	moved = heap_realloc(block, 200000);
	assert_ptr_not_equal(moved, block);
	for (size_t i = 0; i < 100000; i++)
		assert_int_equal(moved[i], 9);
	heap_free(moved);
	heap_free(next);
	assert_null(heap_check());
}

static void test_shrinking_gives_the_tail_back(void **state)
{
	unsigned char *block = heap_malloc(1000000);
	uint64_t idle = stats_now().idle_dirty_bytes;

	(void)state;
	assert_ptr_equal(heap_realloc(block, 100000), block);
	assert_int_equal(heap_usable_size(block),
		run_bin_round(round_up(100000, PAGE_BYTES) / PAGE_BYTES) * PAGE_BYTES);
	assert_true(stats_now().idle_dirty_bytes > idle + 800000);
	memset(block, 3, 100000);
	block = heap_realloc(block, 10);
	assert_int_equal(block[9], 3);
	assert_int_equal(stats_now().large_blocks, 0);
	heap_free(block);
	assert_null(heap_check());
}

static void test_calloc_is_zero_over_used_memory(void **state)
{
	unsigned char *block = heap_malloc(500000);

	(void)state;
	memset(block, 0xff, 500000);
	heap_free(block);
	block = heap_calloc(5, 100000);
	for (size_t i = 0; i < 500000; i++)
		assert_int_equal(block[i], 0);
	heap_free(block);
}

static void test_a_wide_calloc_over_a_little_dirt_writes_little(void **state)
{
	size_t bytes = (size_t)64 << 20;
	unsigned char *block = heap_malloc(bytes);

	(void)state;
	for (size_t at = 0; at < bytes; at += (size_t)5 << 20)
		block[at] = 0xff;
	memset(block + bytes / 2, 0xff, bytes / 4);
	heap_free(block);
	block = heap_calloc(1, bytes - 1000);
	assert_true(os_resident_bytes(block, bytes) < bytes / 2);
	for (size_t i = 0; i < bytes - 1000; i++)
		assert_int_equal(block[i], 0);
	heap_free(block);
	assert_null(heap_check());
}

static void test_alignment_of_every_power_of_two_holds(void **state)
{
	(void)state;
	for (size_t alignment = 8; alignment <= (size_t)1 << 28; alignment *= 2) {
		for (size_t size = 1; size < 100000; size = size * 5 + 3) {
			unsigned char *block = heap_memalign(alignment, size);

			assert_non_null(block);
			assert_int_equal((uintptr_t)block % alignment, 0);
			assert_true(heap_usable_size(block) >= size);
			block[0] = 1;
			block[size - 1] = 1;
			heap_free(block);
		}
	}
	assert_null(heap_check());
}

/* So much of it that all of it is idle when it is freed. */
static void touch(unsigned char *block, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += CHUNK_BYTES / 2)
		block[at] = 1;
}

/* Idle runs are hardly ever as long as the next block, so that what idles would only grow. */
static void test_what_churns_under_a_budget_stays_near_it(void **state)
{
	static unsigned char *blocks[64];
	size_t budget = (size_t)512 << 20;
	size_t count = 0;
	size_t live = 0;
	size_t most = 0;

	(void)state;
	for (int turn = 0; turn < 600; turn++) {
		size_t bytes = ((size_t)12 << 20) + random_below((size_t)8 << 20);
		struct heap_stats stats;

		while (live + bytes > budget) {
			size_t victim = random_below(count);

			live -= heap_usable_size(blocks[victim]);
			heap_free(blocks[victim]);
			blocks[victim] = blocks[--count];
		}
		blocks[count] = heap_malloc(bytes);
		assert_non_null(blocks[count]);
		touch(blocks[count], bytes);
		live += heap_usable_size(blocks[count++]);
		stats = stats_now();
		if (stats.in_use_bytes + stats.idle_dirty_bytes > most)
			most = stats.in_use_bytes + stats.idle_dirty_bytes;
	}
	print_message("# %zu MiB at most under a budget of %zu MiB\n", most >> 20, budget >> 20);
	assert_true(most <= budget + GROWTH_CUSHION_BYTES + ((size_t)20 << 20));
	while (count > 0)
		heap_free(blocks[--count]);
	assert_null(heap_check());
}

static size_t resident_bytes(void)
{
	size_t bytes = 0;
	uintptr_t start;
	size_t pages;

	for (size_t i = 0; page_heap_region_locked(i, &start, &pages); i++)
		bytes += os_resident_bytes((void *)start, pages * PAGE_BYTES);
	return bytes;
}

/* Nothing is given back here.  Of each block one page in four is touched, from the first one on. */
static void test_what_blocks_leave_untouched_stays_so(void **state)
{
	unsigned char *blocks[60] = {NULL};
	size_t live = 0;
	size_t most_live = 0;

	(void)state;
	for (int turn = 0; turn < 6000; turn++) {
		size_t victim = random_below(60);
		size_t least = (size_t)(1 << 20) << random_below(2);
		size_t bytes = least + random_below(least);

		live -= heap_usable_size(blocks[victim]);
		heap_free(blocks[victim]);
		blocks[victim] = heap_malloc(bytes);
		assert_non_null(blocks[victim]);
		for (size_t at = 0; at < bytes; at += 4 * PAGE_BYTES)
			blocks[victim][at] = 1;
		live += heap_usable_size(blocks[victim]);
		if (live > most_live)
			most_live = live;
	}
	print_message("# %zu MiB resident of %zu live\n", resident_bytes() >> 20, most_live >> 20);
	assert_true(resident_bytes() < most_live / 2);
	for (int i = 0; i < 60; i++)
		heap_free(blocks[i]);
	assert_null(heap_check());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First: what others leave idle counts here. */
		cmocka_unit_test(test_what_blocks_leave_untouched_stays_so),
		cmocka_unit_test(test_realloc_grows_in_place_where_the_next_pages_are_free),
		cmocka_unit_test(test_realloc_moves_where_they_are_not),
		cmocka_unit_test(test_shrinking_gives_the_tail_back),
		cmocka_unit_test(test_calloc_is_zero_over_used_memory),
		cmocka_unit_test(test_a_wide_calloc_over_a_little_dirt_writes_little),
		cmocka_unit_test(test_alignment_of_every_power_of_two_holds),
		cmocka_unit_test(test_what_churns_under_a_budget_stays_near_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
