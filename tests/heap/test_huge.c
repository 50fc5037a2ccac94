#include "shim/heap/base/gate.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/scavenge/background.h"
#include "shim/heap/scavenge/huge_look.h"
#include "shim/heap/scavenge/page_hunt.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/heap/scavenge/scavenge_costs.h"
#include "shim/heap/scavenge/scavenge_policy.h"
#include "tests/support/fake_os.h"
#include "tests/support/random.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* There are no huge pages here: this is about what the heap believes of them and asks for. */

#define MIB ((size_t)1 << 20)
#define SECOND_NS ((uint64_t)1000000000)
#define ADVICES_MAX 4096U

/* What was advised since watch_begin, range by range. */
static struct {
	uintptr_t start;
	size_t bytes;
	enum os_advice advice;
} seen[ADVICES_MAX];
static size_t seen_count;

static void watch(const struct os_range *ranges, size_t count, enum os_advice advice)
{
	for (size_t i = 0; i < count && seen_count < ADVICES_MAX; i++) {
		seen[seen_count].start = (uintptr_t)ranges[i].start;
		seen[seen_count].bytes = ranges[i].bytes;
		seen[seen_count++].advice = advice;
	}
}

static void watch_begin(void)
{
	seen_count = 0;
	atomic_store(&fake_os.watch, watch);
}

static size_t seen_bytes(enum os_advice advice, const void *start, size_t bytes)
{
	uintptr_t from = (uintptr_t)start;
	size_t sum = 0;

	for (size_t i = 0; i < seen_count; i++)
		if (seen[i].advice == advice && seen[i].start >= from &&
			seen[i].start + seen[i].bytes <= from + bytes)
			sum += seen[i].bytes;
	return sum;
}

/* Whether each DONTNEED of less than a huge page comes right after a FREE of the same bytes. */
static bool parts_were_split(uintptr_t from, uintptr_t to)
{
	for (size_t i = 0; i < seen_count; i++) {
		bool was_freed = false;

		if (seen[i].advice != OS_DONTNEED || seen[i].start < from || seen[i].start >= to ||
			(seen[i].start | seen[i].bytes) % CHUNK_BYTES == 0)
			continue;
		for (size_t k = 0; k < i; k++)
			was_freed |= seen[k].advice == OS_FREE && seen[k].start == seen[i].start &&
				     seen[k].bytes == seen[i].bytes;
		if (!was_freed)
			return false;
	}
	return true;
}

static void verify(void)
{
	const char *wrong = heap_check();

	if (wrong != NULL)
		fail_msg("%s", wrong);
}

static struct page_stats stats_now(void)
{
	struct page_stats stats;

	page_heap_stats(&stats);
	return stats;
}

static struct heap_stats heap_stats_now(void)
{
	struct heap_stats stats;

	heap_stats_read(&stats);
	return stats;
}

static struct heap_pass release(enum heap_level level, enum heap_cause cause)
{
	struct heap_pass pass = {
		.level = level, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};

	heap_scavenge(&pass, cause);
	return pass;
}

static void ahead(uint64_t ns)
{
	atomic_fetch_add(&fake_os.now_ahead_ns, ns);
}

/* The first page of a chunk in which nothing is resident. */
static unsigned char *take_void(size_t pages)
{
	unsigned char *start;

	release(HEAP_FULL, HEAP_BY_FULL);
	assert_int_equal(stats_now().dirty, 0);
	start = page_heap_take(pages, CHUNK_BYTES).start;
	assert_non_null(start);
	return start;
}

static void give(void *start, size_t pages)
{
	page_heap_put(start, pages, 0);
}

static void test_what_was_there_before_may_become_huge(void **state)
{
	void *block = heap_malloc(100);

	(void)state;
	assert_int_equal(heap_stats_now().huge_bytes, 0);
	huge_use(true);
	assert_false(huge_is_on());
	atomic_store(&fake_os.huge_pages, true);
	huge_use(false);
	assert_false(huge_is_on());
	huge_use(true);
	assert_true(huge_is_on());
	assert_int_equal(atomic_load(&fake_os.advised[OS_HUGE]), 1);
	assert_int_equal(heap_stats_now().huge_bytes, CHUNK_BYTES);
	assert_int_equal(
		heap_stats_now().idle_dirty_bytes + heap_stats_now().in_use_bytes, CHUNK_BYTES);
	verify();
	heap_free(block);
	release(HEAP_FULL, HEAP_BY_FULL);
	assert_int_equal(heap_stats_now().huge_bytes, 0);
	assert_int_equal(heap_stats_now().idle_dirty_bytes, 0);
	verify();
}

static size_t asked_bytes;

static bool on_gate(size_t bytes)
{
	asked_bytes += bytes;
	return false;
}

static void test_the_first_page_of_a_chunk_makes_all_of_it_resident(void **state)
{
	struct page_stats before = stats_now();
	unsigned char *first;
	unsigned char *second;
	size_t cold;

	(void)state;
	gate_set(on_gate);
	asked_bytes = 0;
	first = take_void(8);
	assert_int_equal(asked_bytes, CHUNK_BYTES);
	assert_int_equal(stats_now().huge, before.huge + 1);
	assert_int_equal(stats_now().dirty, CHUNK_PAGES - 8);
	second = page_heap_take(8, PAGE_BYTES).start;
	assert_ptr_equal(second, first + 8 * PAGE_BYTES);
	assert_true(page_heap_extend(second + 8 * PAGE_BYTES, 4, &cold));
	assert_int_equal(asked_bytes, CHUNK_BYTES);
	verify();
	/* The rest, and a page of the next chunk. */
	assert_true(page_heap_extend(second + 12 * PAGE_BYTES, CHUNK_PAGES - 20 + 1, &cold));
	assert_int_equal(asked_bytes, 2 * CHUNK_BYTES);
	assert_int_equal(stats_now().huge, before.huge + 2);
	assert_int_equal(stats_now().dirty, CHUNK_PAGES - 1);
	verify();
	gate_set(NULL);
	give(first, CHUNK_PAGES + 1);
	release(HEAP_FULL, HEAP_BY_FULL);
	verify();
}

static void test_fresh_pages_of_a_huge_chunk_are_not_said_to_be_not_resident(void **state)
{
	struct page_taken taken;
	unsigned char *start = take_void(8);

	(void)state;
	give(start, 8);
	release(HEAP_FULL, HEAP_BY_FULL);
	taken = page_heap_take(8, CHUNK_BYTES);
	assert_true(taken.zero);
	assert_true(taken.clean_mask == 0);
	page_heap_put(taken.start, 8, 0xff);
	assert_int_equal(stats_now().dirty, CHUNK_PAGES);
	verify();
}

static void test_whole_ones_go_whole_at_every_level(void **state)
{
	static const enum heap_level levels[] = {HEAP_CALM, HEAP_LAZY, HEAP_EAGER, HEAP_FULL};

	(void)state;
	for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
		bool away = levels[i] >= HEAP_EAGER;
		struct heap_pass pass = {
			.level = levels[i], .max_bytes = 4096, .idle_before_ns = UINT64_MAX};
		unsigned char *start = take_void(3 * CHUNK_PAGES);

		give(start, 3 * CHUNK_PAGES);
		watch_begin();
		heap_scavenge(&pass, HEAP_GROWTH);
		/* More than was asked for, by less than a chunk. */
		assert_int_equal(pass.clean_bytes + pass.lazy_bytes, CHUNK_BYTES);
		assert_true(pass.more);
		assert_int_equal(seen_bytes(away ? OS_DONTNEED : OS_FREE, start, 3 * CHUNK_BYTES),
			CHUNK_BYTES);
		assert_int_equal(
			seen_bytes(away ? OS_FREE : OS_DONTNEED, start, 3 * CHUNK_BYTES), 0);
		verify();
	}
	release(HEAP_FULL, HEAP_BY_FULL);
}

static void test_a_page_of_a_lazy_one_makes_the_rest_dirty(void **state)
{
	unsigned char *start = take_void(CHUNK_PAGES);

	(void)state;
	give(start, CHUNK_PAGES);
	release(HEAP_LAZY, HEAP_BY_LAZY);
	assert_int_equal(stats_now().lazy, CHUNK_PAGES);
	assert_ptr_equal(page_heap_take(1, PAGE_BYTES).start, start);
	assert_int_equal(stats_now().lazy, 0);
	assert_int_equal(stats_now().dirty, CHUNK_PAGES - 1);
	verify();
	give(start, 1);
	release(HEAP_FULL, HEAP_BY_FULL);
}

static void test_live_ones_are_left_alone_at_calm_and_lazy(void **state)
{
	unsigned char *start = take_void(8);
	struct page_stats before = stats_now();

	(void)state;
	assert_int_equal(release(HEAP_LAZY, HEAP_BY_LAZY).lazy_bytes, 0);
	assert_int_equal(release(HEAP_EAGER, HEAP_BACKGROUND).clean_bytes, 0);
	assert_int_equal(release(HEAP_EAGER, HEAP_GROWTH).clean_bytes, 0);
	assert_int_equal(stats_now().dirty, before.dirty);
	give(start, 8);
	release(HEAP_FULL, HEAP_BY_FULL);
}

static void test_eager_breaks_a_live_one_by_free_and_then_dontneed(void **state)
{
	unsigned char *start = take_void(8);
	struct page_stats before = stats_now();
	size_t part = CHUNK_BYTES - 8 * PAGE_BYTES;

	(void)state;
	watch_begin();
	assert_int_equal(release(HEAP_EAGER, HEAP_BY_EAGER).clean_bytes, part);
	assert_int_equal(seen_bytes(OS_FREE, start, CHUNK_BYTES), part);
	assert_int_equal(seen_bytes(OS_DONTNEED, start, CHUNK_BYTES), part);
	assert_true(parts_were_split((uintptr_t)start, (uintptr_t)start + CHUNK_BYTES));
	assert_int_equal(stats_now().huge, before.huge - 1);
	assert_int_equal(stats_now().huge_broken, before.huge_broken + 1);
	/* What is broken is small: the next page is one page. */
	gate_set(on_gate);
	asked_bytes = 0;
	assert_ptr_equal(page_heap_take(1, PAGE_BYTES).start, start + 8 * PAGE_BYTES);
	assert_int_equal(asked_bytes, PAGE_BYTES);
	gate_set(NULL);
	verify();
	/* And goes at calm, split again since nobody knows what khugepaged did. */
	give(start + 8 * PAGE_BYTES, 1);
	watch_begin();
	assert_int_equal(release(HEAP_EAGER, HEAP_BACKGROUND).clean_bytes, PAGE_BYTES);
	assert_true(parts_were_split((uintptr_t)start, (uintptr_t)start + CHUNK_BYTES));
	give(start, 8);
	release(HEAP_FULL, HEAP_BY_FULL);
	verify();
}

static void test_whole_ones_go_first_then_broken_ones_then_live_ones(void **state)
{
	struct heap_pass pass = {
		.level = HEAP_EAGER, .max_bytes = PAGE_BYTES, .idle_before_ns = UINT64_MAX};
	unsigned char *start = take_void(4 * CHUNK_PAGES);

	(void)state;
	/* The lowest stays live, the next is broken, then one is whole and the highest live. */
	give(start + CHUNK_BYTES + PAGE_BYTES, CHUNK_PAGES - 1);
	release(HEAP_EAGER, HEAP_BY_EAGER);
	assert_ptr_equal(page_heap_take(20, PAGE_BYTES).start, start + CHUNK_BYTES + PAGE_BYTES);
	give(start + CHUNK_BYTES + PAGE_BYTES, 20);
	give(start + 100 * PAGE_BYTES, 100);
	give(start + 2 * CHUNK_BYTES, CHUNK_PAGES);
	give(start + 3 * CHUNK_BYTES + PAGE_BYTES, 200);
	assert_int_equal(stats_now().huge, 3);
	watch_begin();
	heap_scavenge(&pass, HEAP_BY_EAGER);
	assert_int_equal(
		seen_bytes(OS_DONTNEED, start + 2 * CHUNK_BYTES, CHUNK_BYTES), CHUNK_BYTES);
	assert_int_equal(pass.clean_bytes, CHUNK_BYTES);
	pass.max_bytes = 20 * PAGE_BYTES;
	watch_begin();
	heap_scavenge(&pass, HEAP_BY_EAGER);
	assert_int_equal(
		seen_bytes(OS_DONTNEED, start + CHUNK_BYTES, CHUNK_BYTES), 20 * PAGE_BYTES);
	assert_int_equal(pass.clean_bytes, 20 * PAGE_BYTES);
	assert_int_equal(stats_now().huge, 2);
	release(HEAP_EAGER, HEAP_BY_EAGER);
	assert_int_equal(stats_now().huge, 0);
	assert_int_equal(stats_now().dirty, 0);
	verify();
	give(start, 100);
	give(start + 200 * PAGE_BYTES, CHUNK_PAGES - 200 + 1);
	give(start + 3 * CHUNK_BYTES, 1);
	give(start + 3 * CHUNK_BYTES + 201 * PAGE_BYTES, CHUNK_PAGES - 201);
	release(HEAP_FULL, HEAP_BY_FULL);
	verify();
}

static void test_dense_ones_are_broken_at_full_only(void **state)
{
	unsigned char *start = take_void(CHUNK_PAGES);

	(void)state;
	give(start, CHUNK_PAGES / HUGE_DENSE_PART);
	assert_int_equal(release(HEAP_EAGER, HEAP_BY_EAGER).clean_bytes, 0);
	give(start + 100 * PAGE_BYTES, 1);
	assert_int_equal(release(HEAP_EAGER, HEAP_BY_EAGER).clean_bytes,
		(CHUNK_PAGES / HUGE_DENSE_PART + 1) * PAGE_BYTES);
	give(start + 16 * PAGE_BYTES, 84);
	give(start + 101 * PAGE_BYTES, CHUNK_PAGES - 101);

	start = take_void(CHUNK_PAGES);
	give(start + 7 * PAGE_BYTES, 1);
	assert_int_equal(release(HEAP_EAGER, HEAP_BY_EAGER).clean_bytes, 0);
	assert_int_equal(release(HEAP_FULL, HEAP_BY_FULL).clean_bytes, PAGE_BYTES);
	give(start, 7);
	give(start + 8 * PAGE_BYTES, CHUNK_PAGES - 8);
	release(HEAP_FULL, HEAP_BY_FULL);
	verify();
}

#define SLOTS 20000U
static unsigned char *slots[SLOTS];

static void fill_slots(size_t keep_one_in)
{
	for (size_t i = 0; i < SLOTS; i++) {
		slots[i] = heap_malloc(1000);
		assert_non_null(slots[i]);
		memset(slots[i], (int)(i % 251), 1000);
	}
	for (size_t i = 0; i < SLOTS; i++)
		if (i % keep_one_in != 0) {
			heap_free(slots[i]);
			slots[i] = NULL;
		}
}

static void free_slots(void)
{
	for (size_t i = 0; i < SLOTS; i++) {
		if (slots[i] == NULL)
			continue;
		for (size_t k = 0; k < 1000; k++)
			assert_int_equal(slots[i][k], i % 251);
		heap_free(slots[i]);
		slots[i] = NULL;
	}
}

static void test_holes_are_made_by_the_same_rules(void **state)
{
	struct heap_pass pass = {
		.level = HEAP_EAGER,
		.max_bytes = UINT64_MAX,
		.idle_before_ns = UINT64_MAX,
		.slabs_idle_before_ns = UINT64_MAX,
	};
	struct heap_stats before;
	uintptr_t start;
	size_t pages;

	(void)state;
	release(HEAP_FULL, HEAP_BY_FULL);
	fill_slots(40);
	heap_scavenge(&pass, HEAP_BACKGROUND);
	before = heap_stats_now();
	heap_scavenge(&pass, HEAP_BACKGROUND);
	assert_int_equal(pass.clean_bytes, 0);
	assert_true(page_heap_region_locked(0, &start, &pages));
	watch_begin();
	heap_scavenge(&pass, HEAP_BY_EAGER);
	verify();
	assert_true(pass.clean_bytes > SLOTS * 1000 / 2);
	assert_true(parts_were_split(start, start + pages * PAGE_BYTES));
	assert_true(heap_stats_now().huge_broken > before.huge_broken);
	assert_true(heap_stats_now().huge_bytes < before.huge_bytes);
	free_slots();
	release(HEAP_FULL, HEAP_BY_FULL);
	assert_int_equal(heap_stats_now().in_use_bytes, 0);
	verify();
}

static void test_refused_advice_leaves_everything_as_it_was(void **state)
{
	struct page_stats before;
	unsigned char *start = take_void(8);

	(void)state;
	before = stats_now();
	atomic_store(&fake_os.refuse_advice, true);
	assert_int_equal(release(HEAP_EAGER, HEAP_BY_EAGER).clean_bytes, 0);
	atomic_store(&fake_os.refuse_advice, false);
	assert_int_equal(stats_now().huge, before.huge);
	assert_int_equal(stats_now().dirty, before.dirty);
	verify();
	give(start, 8);
	release(HEAP_FULL, HEAP_BY_FULL);
}

static void test_the_cost_of_a_huge_fault_is_that_of_whole_runs(void **state)
{
	struct scavenge_costs costs;
	unsigned char *start;

	(void)state;
	scavenge_costs_read(&costs);
	assert_true(costs.refault_huge_page_ns != 0);
	assert_int_equal(scavenge_refault_page_ns(&costs, RUN_CHUNK), costs.refault_huge_page_ns);
	assert_int_equal(scavenge_refault_page_ns(&costs, RUN_256_PAGES), costs.refault_page_ns);
	ahead(61 * SECOND_NS);
	start = take_void(CHUNK_PAGES);
	give(start, CHUNK_PAGES);
	watch_begin();
	release(HEAP_EAGER, HEAP_BACKGROUND);
	/* What was touched to measure it went again. */
	assert_int_equal(seen_bytes(OS_DONTNEED, start, CHUNK_BYTES), 2 * CHUNK_BYTES);
	assert_int_equal(os_resident_bytes(start, CHUNK_BYTES), 0);
	assert_true(heap_stats_now().refault_huge_page_ns != 0);
	verify();
}

#define RUNS 60U

/* Whatever is taken and given, at any level, and whatever the kernel fills. */
static void test_counters_add_up_whatever_happens(void **state)
{
	static struct {
		unsigned char *start;
		size_t pages;
	} runs[RUNS];
	static void *blocks[RUNS];

	(void)state;
	atomic_store(&fake_os.watch, NULL);
	for (int i = 0; i < 20000; i++) {
		size_t k = random_below(RUNS);

		if (runs[k].start != NULL) {
			assert_int_equal(*runs[k].start, k);
			give(runs[k].start, runs[k].pages);
			runs[k].start = NULL;
		} else {
			runs[k].pages = 1 + random_below(random_below(4) == 0 ? 1500 : 40);
			runs[k].start =
				page_heap_take(runs[k].pages, PAGE_BYTES << random_below(10)).start;
			assert_non_null(runs[k].start);
			*runs[k].start = (unsigned char)k;
		}
		k = random_below(RUNS);
		heap_free(blocks[k]);
		blocks[k] = heap_malloc(random_below(40000));
		if (i % 50 == 0) {
			struct heap_pass pass = {
				.level = (enum heap_level)random_below(HEAP_LEVELS),
				.max_bytes = PAGE_BYTES << random_below(14),
				.cushion_bytes = random_below(3) * MIB,
				.idle_before_ns = UINT64_MAX,
				.slabs_idle_before_ns = random_below(2) * UINT64_MAX,
			};

			heap_scavenge(&pass, random_below(2) == 0 ? HEAP_BACKGROUND : HEAP_BY_FULL);
			ahead(random_below(2) * SECOND_NS);
		}
		if (i % 200 == 0)
			verify();
	}
	for (size_t k = 0; k < RUNS; k++) {
		if (runs[k].start != NULL)
			give(runs[k].start, runs[k].pages);
		heap_free(blocks[k]);
	}
	release(HEAP_FULL, HEAP_BY_FULL);
	verify();
	assert_int_equal(stats_now().in_use, 0);
	assert_int_equal(stats_now().dirty, 0);
	assert_int_equal(stats_now().huge, 0);
	assert_int_equal(stats_now().huge_filled, 0);
}

static _Atomic bool enough;

static void *use_the_heap(void *argument)
{
	static __thread unsigned char *mine[200];
	unsigned char mark = *(const unsigned char *)argument;
	uint32_t seed = mark;

	while (!atomic_load(&enough)) {
		size_t k;
		size_t size;

		seed = seed * 1664525U + 1013904223U;
		k = seed >> 16 & 127;
		size = seed % 97 == 0 ? 300000 : 16 + (seed >> 8) % 5000;
		if (mine[k] != NULL && (mine[k][0] != mark || mine[k][15] != mark))
			return argument;
		heap_free(mine[k]);
		mine[k] = heap_malloc(size);
		memset(mine[k], mark, size);
	}
	for (size_t k = 0; k < 200; k++)
		heap_free(mine[k]);
	cache_thread_exit();
	return NULL;
}

/* From here on it goes only where it is pushed ahead. */
static void clock_stop(void)
{
	atomic_store(&fake_os.now_stands_ns, os_now_ns() - atomic_load(&fake_os.now_ahead_ns));
}

static void test_releases_beside_threads_lose_nothing(void **state)
{
	static unsigned char marks[3] = {1, 2, 3};
	pthread_t threads[3];

	(void)state;
	/* A thread spins for a lock until the clock says that it should sleep. */
	atomic_store(&fake_os.now_stands_ns, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_the_heap, &marks[i]), 0);
	for (int i = 0; i < 400; i++) {
		release((enum heap_level)(i % HEAP_LEVELS), HEAP_BY_FULL);
		ahead(SECOND_NS / 4);
		heap_background(os_now_ns());
		if (i % 40 == 0)
			verify();
	}
	atomic_store(&enough, true);
	for (int i = 0; i < 3; i++) {
		void *wrong;

		assert_int_equal(pthread_join(threads[i], &wrong), 0);
		assert_null(wrong);
	}
	clock_stop();
	release(HEAP_FULL, HEAP_BY_FULL);
	verify();
	assert_int_equal(stats_now().in_use, 0);
	assert_int_equal(stats_now().huge, 0);
}

static uint64_t background_for(uint64_t ns)
{
	uint64_t end_ns = os_now_ns() + ns;
	uint64_t pause_ns = 0;

	while (os_now_ns() < end_ns) {
		pause_ns = heap_background(os_now_ns());
		ahead(pause_ns < SECOND_NS ? pause_ns : SECOND_NS);
	}
	return pause_ns;
}

/* What a huge page put in place of a chunk's small ones looks like. */
static void fill_chunk(const unsigned char *chunk)
{
	for (size_t at = 0; at < CHUNK_BYTES; at += PAGE_BYTES)
		(void)((const volatile unsigned char *)chunk)[at];
	ahead(10 * SECOND_NS);
}

static void test_what_was_first_written_to_after_it_was_broken_closes_nothing(void **state)
{
	uint64_t small = atomic_load(&fake_os.advised[OS_SMALL]);
	unsigned char *start = take_void(8);
	struct page_stats before;

	(void)state;
	release(HEAP_FULL, HEAP_BY_FULL);
	before = stats_now();
	fill_chunk(start);
	release(HEAP_LAZY, HEAP_BY_LAZY);
	assert_int_equal(stats_now().huge_filled, before.huge_filled + 1);
	assert_int_equal(atomic_load(&fake_os.advised[OS_SMALL]), small);
	assert_int_equal(stats_now().lazy, CHUNK_PAGES - 8);
	give(start, 8);
	release(HEAP_FULL, HEAP_BY_FULL);
	verify();
}

/* Filled while it was given back in pieces: the first clean pages are gone, others are not. */
static void test_what_was_filled_between_two_pieces_is_found(void **state)
{
	unsigned char *start = take_void(CHUNK_PAGES);
	struct page_stats before;

	(void)state;
	*start = 1;
	give(start + CHUNK_BYTES / 2, CHUNK_PAGES / 2);
	release(HEAP_FULL, HEAP_BY_FULL);
	fill_chunk(start);
	give(start + 8 * PAGE_BYTES, 64);
	release(HEAP_EAGER, HEAP_BACKGROUND);
	before = stats_now();
	assert_int_equal(before.dirty, 0);
	release(HEAP_LAZY, HEAP_BY_LAZY);
	assert_int_equal(stats_now().huge_filled, before.huge_filled + 1);
	assert_int_equal(stats_now().lazy, CHUNK_PAGES / 2);
	verify();
	release(HEAP_FULL, HEAP_BY_FULL);
	assert_int_equal(os_resident_bytes(start + CHUNK_BYTES / 2, CHUNK_BYTES / 2), 0);
	give(start, 8);
	give(start + 72 * PAGE_BYTES, CHUNK_PAGES / 2 - 72);
	release(HEAP_FULL, HEAP_BY_FULL);
	verify();
}

static void test_holes_that_were_filled_are_free_slots_again(void **state)
{
	struct page_stats before;
	unsigned char *start;

	(void)state;
	release(HEAP_FULL, HEAP_BY_FULL);
	fill_slots(40);
	release(HEAP_FULL, HEAP_BY_FULL);
	before = stats_now();
	/* One that is all slabs. */
	start = (unsigned char *)(((uintptr_t)slots[SLOTS / 2] & ~(CHUNK_BYTES - 1)));
	fill_chunk(start);
	release(HEAP_LAZY, HEAP_BY_LAZY);
	assert_int_equal(stats_now().huge_filled, before.huge_filled + 1);
	assert_in_range(stats_now().in_use - before.in_use, CHUNK_PAGES / 2, CHUNK_PAGES);
	verify();
	release(HEAP_FULL, HEAP_BY_FULL);
	assert_int_equal(stats_now().in_use, before.in_use);
	assert_true(os_resident_bytes(start, CHUNK_BYTES) < CHUNK_BYTES / 2);
	free_slots();
	release(HEAP_FULL, HEAP_BY_FULL);
	verify();
}

/* It goes on looking though the last look ended right behind the last of them. */
static void test_looking_does_not_end_with_the_last_chunk(void **state)
{
	static unsigned char *lives[64];
	uint64_t filled = heap_stats_now().huge_filled;
	unsigned char *start = take_void(64 * CHUNK_PAGES);

	(void)state;
	for (size_t i = 0; i < 64; i++) {
		lives[i] = start + i * CHUNK_BYTES;
		give(lives[i] + PAGE_BYTES, CHUNK_PAGES - 1);
	}
	release(HEAP_FULL, HEAP_BY_FULL);
	assert_true(background_for(60 * SECOND_NS) != HEAP_UNTIL_USED);
	fill_chunk(lives[3]);
	background_for(20 * SECOND_NS);
	assert_int_equal(heap_stats_now().huge_filled, filled + 1);
	for (size_t i = 0; i < 64; i++)
		give(lives[i], 1);
	release(HEAP_FULL, HEAP_BY_FULL);
	assert_int_equal(background_for(20 * SECOND_NS), HEAP_UNTIL_USED);
	verify();
}

/* The last: there are no huge pages in this region from then on. */
static void test_what_khugepaged_fills_is_found_and_given_back(void **state)
{
	struct heap_stats before;
	uint64_t small = atomic_load(&fake_os.advised[OS_SMALL]);
	uint64_t filled = heap_stats_now().huge_filled;
	unsigned char *start;

	(void)state;
	start = take_void(2 * CHUNK_PAGES);
	*start = 1;
	give(start + 8 * PAGE_BYTES, CHUNK_PAGES - 8);
	release(HEAP_FULL, HEAP_BY_FULL);
	before = heap_stats_now();
	assert_true(before.huge_broken != 0);
	assert_int_equal(before.idle_dirty_bytes, 0);
	/* While broken chunks are left it looks, and finds nothing. */
	assert_true(background_for(30 * SECOND_NS) != HEAP_UNTIL_USED);
	assert_int_equal(heap_stats_now().huge_filled, filled);

	fill_chunk(start);
	release(HEAP_LAZY, HEAP_BY_LAZY);
	assert_int_equal(heap_stats_now().huge_filled, filled + 1);
	assert_int_equal(heap_stats_now().lazy_bytes, CHUNK_BYTES - 8 * PAGE_BYTES);
	assert_int_equal(atomic_load(&fake_os.advised[OS_SMALL]), small + 1);
	verify();
	background_for(120 * SECOND_NS);
	assert_int_equal(heap_stats_now().idle_dirty_bytes + heap_stats_now().lazy_bytes, 0);
	assert_true(os_resident_bytes(start, CHUNK_BYTES) <= 8 * PAGE_BYTES);
	/* All has been looked at once more. */
	assert_int_equal(background_for(60 * SECOND_NS), HEAP_UNTIL_USED);
	verify();
	give(start, 8);
	give(start + CHUNK_BYTES, CHUNK_PAGES);
	release(HEAP_FULL, HEAP_BY_FULL);
	/* No chunk becomes huge any more. */
	gate_set(on_gate);
	asked_bytes = 0;
	start = take_void(1);
	assert_int_equal(asked_bytes, PAGE_BYTES);
	assert_int_equal(heap_stats_now().huge_bytes, 0);
	gate_set(NULL);
	give(start, 1);
	verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_there_before_may_become_huge),
		cmocka_unit_test(test_the_first_page_of_a_chunk_makes_all_of_it_resident),
		cmocka_unit_test(test_fresh_pages_of_a_huge_chunk_are_not_said_to_be_not_resident),
		cmocka_unit_test(test_whole_ones_go_whole_at_every_level),
		cmocka_unit_test(test_a_page_of_a_lazy_one_makes_the_rest_dirty),
		cmocka_unit_test(test_live_ones_are_left_alone_at_calm_and_lazy),
		cmocka_unit_test(test_eager_breaks_a_live_one_by_free_and_then_dontneed),
		cmocka_unit_test(test_whole_ones_go_first_then_broken_ones_then_live_ones),
		cmocka_unit_test(test_dense_ones_are_broken_at_full_only),
		cmocka_unit_test(test_holes_are_made_by_the_same_rules),
		cmocka_unit_test(test_refused_advice_leaves_everything_as_it_was),
		cmocka_unit_test(test_the_cost_of_a_huge_fault_is_that_of_whole_runs),
		cmocka_unit_test(test_counters_add_up_whatever_happens),
		cmocka_unit_test(test_releases_beside_threads_lose_nothing),
		cmocka_unit_test(test_what_was_first_written_to_after_it_was_broken_closes_nothing),
		cmocka_unit_test(test_what_was_filled_between_two_pieces_is_found),
		cmocka_unit_test(test_holes_that_were_filled_are_free_slots_again),
		cmocka_unit_test(test_looking_does_not_end_with_the_last_chunk),
		cmocka_unit_test(test_what_khugepaged_fills_is_found_and_given_back),
	};

	clock_stop();
	atomic_store(&fake_os.cpu_ns, SECOND_NS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
