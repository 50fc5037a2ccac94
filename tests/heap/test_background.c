#include "shim/heap/base/os.h"
#include "shim/heap/base/page.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/background.h"
#include "shim/heap/scavenge/growth.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/heap/scavenge/scavenge_policy.h"
#include "tests/support/fake_os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/*
 * Blocks are runs of whole pages.  The clock moves only where it is pushed ahead,
 * and CPU time is what the fake kernel charges: what is measured, what a budget
 * allows and when something goes is arithmetic, and the same on every machine.
 * One thread: there is nothing for TSan.
 *
 * variants: release asan
 */

#define MIB ((size_t)1 << 20)
#define MS_NS ((uint64_t)1000000)
#define SECOND_NS (1000 * MS_NS)
#define BLOCK_BYTES MIB
#define BLOCKS 64U
#define BUSY_BYTES ((size_t)200 << 10)

static void *blocks[BLOCKS];

static struct heap_stats stats_now(void)
{
	struct heap_stats stats;

	heap_stats_read(&stats);
	return stats;
}

/* Makes resident, without a sanitizer's look at every byte. */
static void touch(void *block, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += PAGE_BYTES)
		((volatile char *)block)[at] = 1;
}

static void take_untouched(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		blocks[i] = heap_malloc(BLOCK_BYTES);
		assert_non_null(blocks[i]);
	}
}

static void take(size_t count)
{
	take_untouched(count);
	for (size_t i = 0; i < count; i++)
		touch(blocks[i], BLOCK_BYTES);
}

static void put(size_t count)
{
	for (size_t i = 0; i < count; i++)
		heap_free(blocks[i]);
}

static void ahead(uint64_t ns)
{
	atomic_fetch_add(&fake_os.now_ahead_ns, ns);
}

/* The background for so long; when it had nothing more to do, or UINT64_MAX. */
static uint64_t run_for(uint64_t ns)
{
	uint64_t begin_ns = os_now_ns();
	uint64_t gone_ns = 0;

	while (gone_ns <= ns) {
		uint64_t pause_ns = heap_background(os_now_ns());

		gone_ns = os_now_ns() - begin_ns;
		if (pause_ns == HEAP_UNTIL_USED)
			return gone_ns;
		if (gone_ns + pause_ns > ns) {
			ahead(ns - gone_ns);
			return UINT64_MAX;
		}
		ahead(pause_ns);
	}
	return UINT64_MAX;
}

static void begin(enum heap_policy policy)
{
	struct heap_tuning tuning = {
		.policy = policy, .cpu_permille = 1000, .price_ns = HEAP_PRICE_NS};
	struct heap_pass pass = {
		.level = HEAP_FULL, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};

	heap_scavenge(&pass, HEAP_BY_FULL);
	heap_tune(&tuning);
	heap_background(os_now_ns());
	assert_true(stats_now().idle_dirty_bytes == 0);
}

static void test_off_keeps_everything_and_never_wakes(void **state)
{
	(void)state;
	begin(HEAP_OFF);
	take(BLOCKS);
	put(BLOCKS);
	for (int hour = 0; hour < 3; hour++) {
		ahead(3600 * SECOND_NS);
		assert_int_equal(heap_background(os_now_ns()), HEAP_UNTIL_USED);
	}
	assert_true(stats_now().idle_dirty_bytes >= BLOCKS * BLOCK_BYTES);
}

static void test_adaptive_lets_go_about_the_break_even_and_then_sleeps(void **state)
{
	(void)state;
	uint64_t break_even_ns;

	begin(HEAP_ADAPTIVE);
	take(BLOCKS);
	put(BLOCKS);
	heap_background(os_now_ns());
	break_even_ns = stats_now().break_even_ns;
	assert_true(break_even_ns > 0);
	run_for(break_even_ns / 2);
	assert_true(stats_now().idle_dirty_bytes >= BLOCKS * BLOCK_BYTES);
	/* What goes first is measured and moves the break-even. */
	for (int i = 0; i < 5 && stats_now().idle_dirty_bytes >= MIB; i++)
		run_for(stats_now().break_even_ns);
	assert_true(stats_now().idle_dirty_bytes < MIB);
	assert_true(run_for(60 * SECOND_NS) < 60 * SECOND_NS);
	assert_null(heap_check());
}

/* What idles beside pages that come and go in the same chunk. */
static void test_what_idles_in_a_chunk_in_use_goes(void **state)
{
	void *busy;

	(void)state;
	begin(HEAP_ADAPTIVE);
	busy = heap_malloc(BUSY_BYTES);
	touch(busy, BUSY_BYTES);
	take(1);
	assert_int_equal((uintptr_t)busy / CHUNK_BYTES,
		((uintptr_t)blocks[0] + BLOCK_BYTES - 1) / CHUNK_BYTES);
	put(1);
	for (int i = 0; i < 30; i++) {
		run_for(stats_now().break_even_ns / 10);
		heap_free(busy);
		busy = heap_malloc(BUSY_BYTES);
	}
	assert_true(stats_now().idle_dirty_bytes < BLOCK_BYTES / 2);
	heap_free(busy);
	assert_null(heap_check());
}

static void test_what_is_wanted_all_the_time_is_kept(void **state)
{
	(void)state;
	struct heap_stats before;
	uint64_t break_even_ns;

	begin(HEAP_ADAPTIVE);
	break_even_ns = stats_now().break_even_ns;
	for (int burst = 0; burst < 100; burst++) {
		if (burst == 50)
			before = stats_now();
		take(BLOCKS);
		run_for(break_even_ns / 20);
		put(BLOCKS);
		run_for(break_even_ns / 10);
	}
	assert_int_equal(stats_now().released_background_bytes, before.released_background_bytes);
}

static void test_regrets_are_counted(void **state)
{
	(void)state;
	struct heap_stats before;
	struct heap_pass pass = {
		.level = HEAP_EAGER, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};

	begin(HEAP_ADAPTIVE);
	take(BLOCKS);
	put(BLOCKS);
	before = stats_now();
	heap_scavenge(&pass, HEAP_BY_EAGER);
	take(BLOCKS);
	assert_in_range(stats_now().regret_release_bytes - before.regret_release_bytes,
		BLOCKS * BLOCK_BYTES, BLOCKS * BLOCK_BYTES + 4 * MIB);
	assert_int_equal(stats_now().regret_hold_bytes, before.regret_hold_bytes);
	put(BLOCKS);
	before = stats_now();
	ahead(2 * before.break_even_ns);
	heap_scavenge(&pass, HEAP_BY_EAGER);
	assert_in_range(stats_now().regret_hold_bytes - before.regret_hold_bytes,
		BLOCKS * BLOCK_BYTES, BLOCKS * BLOCK_BYTES + 4 * MIB);
	ahead(2 * before.break_even_ns);
	take(BLOCKS);
	assert_int_equal(stats_now().regret_release_bytes, before.regret_release_bytes);
	put(BLOCKS);
}

/* Of 8 pages of a block so many; what is untouched for longer is not idle when it is freed. */
static void touch_eighths(unsigned char *block, size_t eighths)
{
	for (size_t at = 0; at < BLOCK_BYTES; at += 8 * PAGE_BYTES)
		touch(block + at, eighths * PAGE_BYTES);
}

/* Blocks of which so many parts of 8 are touched, looked at after their time. */
static uint64_t touched_of(size_t eighths)
{
	struct heap_stats before;
	struct heap_stats after;

	for (int turn = 0; turn < 20; turn++) {
		begin(HEAP_OFF);
		if (turn == 10)
			before = stats_now();
		for (size_t i = 0; i < BLOCKS; i++) {
			blocks[i] = heap_malloc(BLOCK_BYTES);
			assert_non_null(blocks[i]);
			touch_eighths(blocks[i], eighths);
		}
		ahead(2 * SECOND_NS);
		heap_tune(&(struct heap_tuning){
			.policy = HEAP_ADAPTIVE, .cpu_permille = 1000, .price_ns = HEAP_PRICE_NS});
		heap_background(os_now_ns());
		put(BLOCKS);
	}
	after = stats_now();
	return (after.refault_touched_bytes - before.refault_touched_bytes) * 100 /
	       (after.refault_bytes - before.refault_bytes);
}

static void test_refaults_are_those_that_are_touched(void **state)
{
	(void)state;
	assert_in_range(touched_of(8), 95, 100);
	assert_in_range(touched_of(2), 20, 60);
}

static void test_growth_is_paid_back_by_go1_12_and_by_large_blocks(void **state)
{
	(void)state;
	for (int policy = 0; policy < HEAP_POLICIES; policy++) {
		struct heap_stats before;
		uint64_t lazy_bytes;
		uint64_t due = 0;
		void *large;

		if (policy == HEAP_GO1_12)
			due = MIB;
		else if (policy == HEAP_ADAPTIVE)
			due = BLOCKS / 2 * BLOCK_BYTES - GROWTH_CUSHION_BYTES;
		begin((enum heap_policy)policy);
		take(BLOCKS);
		for (size_t i = 0; i < BLOCKS; i += 2)
			heap_free(blocks[i]);
		heap_background(os_now_ns());
		before = stats_now();
		large = heap_malloc(BLOCKS * BLOCK_BYTES);
		assert_non_null(large);
		lazy_bytes = stats_now().lazy_bytes - before.lazy_bytes;
		assert_int_equal(
			stats_now().released_growth_bytes - before.released_growth_bytes, due);
		if (policy == HEAP_GO1_12)
			assert_int_equal(lazy_bytes, MIB);
		heap_free(large);
		for (size_t i = 1; i < BLOCKS; i += 2)
			heap_free(blocks[i]);
	}
}

static void test_dirty_pages_are_taken_before_lazy_ones(void **state)
{
	(void)state;
	struct heap_pass pass = {
		.level = HEAP_LAZY, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};
	uint64_t lazy_bytes;
	void *high;

	begin(HEAP_OFF);
	take(8);
	heap_free(blocks[0]);
	heap_free(blocks[2]);
	heap_scavenge(&pass, HEAP_BY_LAZY);
	lazy_bytes = stats_now().lazy_bytes;
	assert_true(lazy_bytes >= 2 * BLOCK_BYTES);
	/* Higher than both, but dirty. */
	high = blocks[6];
	heap_free(blocks[6]);
	blocks[6] = heap_malloc(BLOCK_BYTES);
	assert_ptr_equal(blocks[6], high);
	assert_int_equal(stats_now().lazy_bytes, lazy_bytes);
	/* Then a lazy one, before anything clean. */
	blocks[0] = heap_malloc(BLOCK_BYTES);
	assert_int_equal(stats_now().lazy_bytes, lazy_bytes - BLOCK_BYTES);
	blocks[2] = heap_malloc(BLOCK_BYTES);
	put(8);
}

/* The most that any ten seconds took of a CPU. */
static uint64_t busiest_ns(uint32_t cpu_permille)
{
	static uint64_t at_ns[100000];
	static uint64_t spent_ns[100000];
	struct heap_tuning tuning = {
		.policy = HEAP_GO1_13, .cpu_permille = cpu_permille, .price_ns = HEAP_PRICE_NS};
	uint64_t begin_ns = os_now_ns();
	uint64_t most_ns = 0;
	size_t count = 0;
	size_t first = 0;

	heap_tune(&tuning);
	while (os_now_ns() - begin_ns < 30 * SECOND_NS && count < 100000) {
		uint64_t pause_ns;

		/* Something to do with every step. */
		take_untouched(BLOCKS);
		put(BLOCKS);
		pause_ns = heap_background(os_now_ns());
		at_ns[count] = os_now_ns();
		spent_ns[count] = stats_now().background_cpu_ns;
		for (; at_ns[count] - at_ns[first] > 10 * SECOND_NS; first++)
			;
		if (spent_ns[count] - spent_ns[first] > most_ns)
			most_ns = spent_ns[count] - spent_ns[first];
		count++;
		ahead(pause_ns == HEAP_UNTIL_USED ? SECOND_NS : pause_ns);
	}
	return most_ns;
}

static void test_the_budget_holds_over_any_ten_seconds(void **state)
{
	(void)state;
	begin(HEAP_GO1_13);
	assert_in_range(busiest_ns(10), 20 * MS_NS, 100 * MS_NS);
	assert_in_range(busiest_ns(2), 4 * MS_NS, 20 * MS_NS);
}

static void test_whoever_calls_too_soon_spends_no_more(void **state)
{
	(void)state;
	struct heap_tuning tuning = {
		.policy = HEAP_GO1_13, .cpu_permille = 1, .price_ns = HEAP_PRICE_NS};
	uint64_t before_ns;

	begin(HEAP_GO1_13);
	ahead(60 * SECOND_NS);
	heap_tune(&tuning);
	before_ns = stats_now().background_cpu_ns;
	for (int i = 0; i < 200; i++) {
		take_untouched(BLOCKS);
		put(BLOCKS);
		heap_background(os_now_ns());
	}
	assert_in_range(stats_now().background_cpu_ns - before_ns, 1, 10 * MS_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* First, while nothing is known. */
		cmocka_unit_test(test_adaptive_lets_go_about_the_break_even_and_then_sleeps),
		cmocka_unit_test(test_off_keeps_everything_and_never_wakes),
		cmocka_unit_test(test_what_idles_in_a_chunk_in_use_goes),
		cmocka_unit_test(test_what_is_wanted_all_the_time_is_kept),
		cmocka_unit_test(test_regrets_are_counted),
		cmocka_unit_test(test_refaults_are_those_that_are_touched),
		cmocka_unit_test(test_growth_is_paid_back_by_go1_12_and_by_large_blocks),
		cmocka_unit_test(test_dirty_pages_are_taken_before_lazy_ones),
		cmocka_unit_test(test_the_budget_holds_over_any_ten_seconds),
		cmocka_unit_test(test_whoever_calls_too_soon_spends_no_more),
	};

	atomic_store(&fake_os.now_stands_ns, 1000000 * SECOND_NS);
	atomic_store(&fake_os.cpu_ns, SECOND_NS);
	/* Whether a block goes to the page heap depends on nothing that went before. */
	cache_go_without(true);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
