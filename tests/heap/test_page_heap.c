#include "shim/heap/base/gate.h"
#include "shim/heap/base/transit.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/pages/page_heap_state.h"
#include "shim/heap/pages/page_map.h"
#include "shim/heap/pages/page_reserve.h"
#include "shim/heap/scavenge/chunk_maps.h"
#include "shim/heap/scavenge/page_hunt.h"
#include "tests/support/fake_os.h"
#include "tests/support/random.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define RUNS 300

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

static struct page_hunt hunt_for(bool lazy)
{
	return (struct page_hunt){
		.dirty = true,
		.lazy = lazy,
		.idle_before_ns = UINT64_MAX,
		.run_pages_min = 1,
		.pages_max = SIZE_MAX,
		.transit_pages = TRANSIT_PAGES_MAX,
		.below = UINTPTR_MAX,
	};
}

static void hunt_all(bool lazy, enum page_outcome outcome)
{
	struct page_hunt hunt = hunt_for(lazy);

	while (page_hunt(&hunt))
		page_hunt_end(&hunt, outcome);
}

static void test_runs_never_overlap_and_counters_add_up(void **state)
{
	static struct {
		unsigned char *start;
		size_t pages;
	} runs[RUNS];

	(void)state;
	for (int i = 0; i < 30000; i++) {
		size_t k = random_below(RUNS);
		size_t pages = 1 + random_below(random_below(8) == 0 ? 2000 : 50);
		size_t alignment = PAGE_BYTES << random_below(12);

		if (runs[k].start != NULL) {
			assert_int_equal(*runs[k].start, k % 251);
			page_heap_put(runs[k].start, runs[k].pages, 0);
			runs[k].start = NULL;
		} else {
			runs[k].start = page_heap_take(pages, alignment).start;
			runs[k].pages = pages;
			assert_non_null(runs[k].start);
			assert_int_equal((uintptr_t)runs[k].start % alignment, 0);
			*runs[k].start = (unsigned char)(k % 251);
		}
		if (i % 400 == 0)
			hunt_all(i % 800 == 0, i % 800 == 0 ? PAGE_CLEAN : PAGE_LAZY);
		if (i % 3000 == 0)
			verify();
	}
	for (size_t k = 0; k < RUNS; k++)
		if (runs[k].start != NULL)
			page_heap_put(runs[k].start, runs[k].pages, 0);
	verify();
	assert_int_equal(stats_now().in_use, 0);
}

static void test_lowest_warm_run_is_taken_before_a_lower_clean_one(void **state)
{
	unsigned char *low;
	unsigned char *middle;
	unsigned char *high;

	(void)state;
	hunt_all(true, PAGE_CLEAN);
	low = page_heap_take(8, PAGE_BYTES).start;
	middle = page_heap_take(8, PAGE_BYTES).start;
	high = page_heap_take(8, PAGE_BYTES).start;
	assert_true(low < middle && middle < high);
	page_heap_put(low, 8, 0);
	hunt_all(true, PAGE_CLEAN);
	page_heap_put(high, 8, 0);
	assert_ptr_equal(page_heap_take(8, PAGE_BYTES).start, high);
	assert_ptr_equal(page_heap_take(8, PAGE_BYTES).start, low);
	page_heap_put(low, 8, 0);
	page_heap_put(middle, 8, 0);
	page_heap_put(high, 8, 0);
}

static void test_a_run_across_states_is_one_run(void **state)
{
	unsigned char *run;
	struct page_taken taken;

	(void)state;
	hunt_all(true, PAGE_CLEAN);
	run = page_heap_take(30, PAGE_BYTES).start;
	page_heap_put(run, 10, 0);
	hunt_all(true, PAGE_CLEAN);
	page_heap_put(run + 10 * PAGE_BYTES, 10, 0);
	hunt_all(false, PAGE_LAZY);
	page_heap_put(run + 20 * PAGE_BYTES, 10, 0);
	taken = page_heap_take(30, PAGE_BYTES);
	assert_ptr_equal(taken.start, run);
	assert_false(taken.zero);
	assert_true(taken.clean_mask == (((uint64_t)1 << 10) - 1));
	page_heap_put(run, 30, 0);
}

static void test_only_pages_known_clean_count_as_zero(void **state)
{
	struct page_taken taken = page_heap_take(4, PAGE_BYTES);

	(void)state;
	page_heap_put(taken.start, 4, 0);
	assert_false(page_heap_take(4, PAGE_BYTES).zero);
	page_heap_put(taken.start, 4, 0);
	hunt_all(false, PAGE_LAZY);
	assert_false(page_heap_take(4, PAGE_BYTES).zero);
	page_heap_put(taken.start, 4, 0);
	hunt_all(true, PAGE_CLEAN);
	assert_true(page_heap_take(4, PAGE_BYTES).zero);
	page_heap_put(taken.start, 4, 0);
}

static void test_pages_in_transit_are_not_handed_out(void **state)
{
	struct page_hunt hunt = hunt_for(true);
	struct page_taken taken = page_heap_take(4, PAGE_BYTES);
	void *other;

	(void)state;
	page_heap_put(taken.start, 4, 0);
	assert_true(page_hunt(&hunt));
	other = page_heap_take(4, PAGE_BYTES).start;
	assert_ptr_not_equal(other, taken.start);
	page_hunt_end(&hunt, PAGE_AS_BEFORE);
	page_heap_put(other, 4, 0);
	assert_ptr_equal(page_heap_take(4, PAGE_BYTES).start, taken.start);
	page_heap_put(taken.start, 4, 0);
	verify();
}

static void test_hunt_keeps_the_cushion_and_its_bounds(void **state)
{
	struct page_hunt hunt = hunt_for(false);
	struct page_stats before;
	void *run;

	(void)state;
	hunt_all(true, PAGE_CLEAN);
	run = page_heap_take(100, PAGE_BYTES).start;
	page_heap_put(run, 100, 0);
	before = stats_now();
	assert_int_equal(before.dirty, 100);
	hunt.cushion_pages = 70;
	hunt.pages_max = 20;
	while (page_hunt(&hunt))
		page_hunt_end(&hunt, PAGE_LAZY);
	assert_int_equal(stats_now().dirty, 80);
	hunt.pages_max = 1000;
	hunt.below = UINTPTR_MAX;
	while (page_hunt(&hunt))
		page_hunt_end(&hunt, PAGE_LAZY);
	assert_int_equal(stats_now().dirty, 70);
	assert_int_equal(stats_now().lazy, 30);
	hunt_all(true, PAGE_CLEAN);
	assert_int_equal(stats_now().clean, before.clean + 100);
	verify();
}

static void test_hunt_takes_whole_kernel_pages_only(void **state)
{
	struct page_hunt hunt = hunt_for(true);
	void *held;
	void *run;

	(void)state;
	hunt_all(true, PAGE_CLEAN);
	/* Or the chunk would go as a whole. */
	held = page_heap_take(1, PAGE_BYTES).start;
	run = page_heap_take(3, PAGE_BYTES).start;
	page_heap_put(run, 3, 0);
	atomic_store(&fake_os.page_bytes, 4 * PAGE_BYTES);
	/* Of four pages one is held. */
	assert_false(page_hunt(&hunt));
	run = page_heap_take(70, 4 * PAGE_BYTES).start;
	page_heap_put(run, 70, 0);
	hunt = hunt_for(true);
	assert_true(page_hunt(&hunt));
	for (size_t i = 0; i < hunt.count; i++)
		assert_int_equal(
			((uintptr_t)hunt.ranges[i].start | hunt.ranges[i].bytes) % (4 * PAGE_BYTES),
			0);
	page_hunt_end(&hunt, PAGE_CLEAN);
	/* A page beside free clean ones goes with them. */
	run = page_heap_take(2, 4 * PAGE_BYTES).start;
	page_heap_put(run, 2, 0);
	hunt = hunt_for(true);
	assert_true(page_hunt(&hunt));
	assert_int_equal(hunt.count, 1);
	assert_ptr_equal(hunt.ranges[0].start, run);
	assert_int_equal(hunt.ranges[0].bytes, 4 * PAGE_BYTES);
	page_hunt_end(&hunt, PAGE_CLEAN);
	atomic_store(&fake_os.page_bytes, 0);
	page_heap_put(held, 1, 0);
	hunt_all(true, PAGE_CLEAN);
}

static void test_hunt_takes_the_last_warm_pages_with_their_whole_chunk(void **state)
{
	struct page_hunt hunt = hunt_for(true);
	uintptr_t chunk;
	void *held;
	void *run;

	(void)state;
	hunt_all(true, PAGE_CLEAN);
	held = page_heap_take(1, PAGE_BYTES).start;
	run = page_heap_take(20, PAGE_BYTES).start;
	chunk = (uintptr_t)run & ~(uintptr_t)(CHUNK_BYTES - 1);
	page_heap_put(run, 20, 0);
	assert_true(page_hunt(&hunt));
	assert_int_equal(hunt.chunk_count, 0);
	page_hunt_end(&hunt, PAGE_AS_BEFORE);
	page_heap_put(held, 1, 0);
	hunt = hunt_for(true);
	hunt.pages_max = 21;
	assert_true(page_hunt(&hunt));
	assert_int_equal(hunt.count, 1);
	assert_int_equal(hunt.chunk_count, 1);
	assert_int_equal(hunt.dirty_pages + hunt.lazy_pages, 21);
	assert_int_equal((uintptr_t)hunt.ranges[0].start, chunk);
	assert_int_equal(hunt.ranges[0].bytes, CHUNK_BYTES);
	assert_int_equal(hunt.pages_max, 0);
	page_hunt_end(&hunt, PAGE_CLEAN);
	/* Within the budget only. */
	page_heap_put(page_heap_take(21, PAGE_BYTES).start, 21, 0);
	hunt = hunt_for(true);
	hunt.pages_max = 20;
	assert_true(page_hunt(&hunt));
	assert_int_equal(hunt.chunk_count, 0);
	assert_int_equal(hunt.ranges[0].bytes, 20 * PAGE_BYTES);
	page_hunt_end(&hunt, PAGE_CLEAN);
	hunt_all(true, PAGE_CLEAN);
}

static void test_what_is_asked_for_goes_by_several_chunks_at_once(void **state)
{
	struct page_hunt hunt = hunt_for(true);
	void *run = page_heap_take(3 * (size_t)CHUNK_PAGES, CHUNK_BYTES).start;

	(void)state;
	hunt_all(true, PAGE_CLEAN);
	page_heap_put(run, 3 * (size_t)CHUNK_PAGES, 0);
	/* Else less than a chunk goes at a time. */
	assert_true(page_hunt(&hunt));
	assert_int_equal(hunt.chunk_count, 0);
	page_hunt_end(&hunt, PAGE_AS_BEFORE);
	hunt = hunt_for(true);
	hunt.transit_pages = TRANSIT_PAGES_ASKED;
	assert_true(page_hunt(&hunt));
	assert_int_equal(hunt.chunk_count, 3);
	assert_int_equal(hunt.count, 1);
	assert_ptr_equal(hunt.ranges[0].start, run);
	assert_int_equal(hunt.ranges[0].bytes, 3 * CHUNK_BYTES);
	page_hunt_end(&hunt, PAGE_CLEAN);
}

static size_t asked_bytes;
static void *freed_in_gate;
static bool gate_answer;

static bool on_gate(size_t bytes)
{
	asked_bytes += bytes;
	if (freed_in_gate != NULL)
		page_heap_put(freed_in_gate, 16, 0);
	freed_in_gate = NULL;
	return gate_answer;
}

static void test_gate_is_asked_for_what_becomes_resident_only(void **state)
{
	void *run;

	(void)state;
	hunt_all(true, PAGE_CLEAN);
	gate_set(on_gate);
	asked_bytes = 0;
	run = page_heap_take(16, PAGE_BYTES).start;
	assert_int_equal(asked_bytes, 16 * PAGE_BYTES);
	page_heap_put(run, 16, 0);
	assert_ptr_equal(page_heap_take(16, PAGE_BYTES).start, run);
	assert_int_equal(asked_bytes, 16 * PAGE_BYTES);
	page_heap_put(run, 16, 0);
	hunt_all(false, PAGE_LAZY);
	assert_ptr_equal(page_heap_take(16, PAGE_BYTES).start, run);
	assert_int_equal(asked_bytes, 16 * PAGE_BYTES);

	freed_in_gate = run;
	assert_ptr_equal(page_heap_take(16, PAGE_BYTES).start, run);
	assert_int_equal(asked_bytes, 32 * PAGE_BYTES);
	page_heap_put(run, 16, 0);
	gate_set(NULL);
}

static void test_gate_can_have_the_range_populated(void **state)
{
	void *run;
	uint64_t before;

	(void)state;
	hunt_all(true, PAGE_CLEAN);
	gate_set(on_gate);
	gate_answer = true;
	before = atomic_load(&fake_os.advised[OS_POPULATE]);
	run = page_heap_take(16, PAGE_BYTES).start;
	assert_int_equal(atomic_load(&fake_os.advised[OS_POPULATE]), before + 1);
	page_heap_put(run, 16, 0);
	run = page_heap_take(4096, PAGE_BYTES).start;
	assert_int_equal(atomic_load(&fake_os.advised[OS_POPULATE]), before + 1);
	page_heap_put(run, 4096, 0);
	gate_answer = false;
	gate_set(NULL);
}

static void test_extension_takes_the_next_pages_if_they_are_free(void **state)
{
	unsigned char *run = page_heap_take(20, PAGE_BYTES).start;
	size_t cold;
	unsigned char *middle = run + 5 * PAGE_BYTES;

	(void)state;
	page_heap_put(middle, 10, 0);
	assert_true(page_heap_extend(middle, 4, &cold));
	assert_false(page_heap_extend(middle + 4 * PAGE_BYTES, 7, &cold));
	assert_true(page_heap_extend(middle + 4 * PAGE_BYTES, 6, &cold));
	page_heap_put(run, 20, 0);
	verify();
}

static void test_fresh_pages_are_zero_and_clean_ones_are_refaults(void **state)
{
	struct page_taken taken = page_heap_take(6, PAGE_BYTES);

	(void)state;
	assert_true(taken.zero);
	assert_int_equal(stats_now().refaulted, 0);
	page_heap_put(taken.start, 6, 0);
	hunt_all(true, PAGE_CLEAN);
	assert_ptr_equal(page_heap_take(8, PAGE_BYTES).start, taken.start);
	assert_int_equal(stats_now().refaulted, 6);
	page_heap_put(taken.start, 8, 0);
}

static size_t pieces_away(void)
{
	return page_heap.away_pieces;
}

static size_t advised_bytes;
static bool takes_meanwhile;
static unsigned char *taken_meanwhile;

static int on_advice(const struct os_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		advised_bytes += ranges[i].bytes;
	if (takes_meanwhile)
		taken_meanwhile = page_heap_take(2 * CHUNK_PAGES, CHUNK_BYTES).start;
	return os_advise(ranges, count, OS_DONTNEED);
}

/* Whole chunks as a caller does it that decommits them. */
static void hunt_away(void)
{
	struct page_hunt hunt = hunt_for(true);
	struct chunk_maps maps = {.count = 0};

	while (page_hunt(&hunt)) {
		for (size_t i = 0; i < hunt.chunk_count; i++) {
			assert_int_equal(os_decommit(hunt.chunks[i], CHUNK_BYTES), 0);
			hunt.away |= 1U << i;
		}
		page_hunt_end(&hunt, PAGE_CLEAN);
		if (!chunk_maps_note(&maps, &hunt))
			chunk_maps_release(&maps, on_advice);
	}
	chunk_maps_release(&maps, on_advice);
	verify();
}

static void test_chunks_that_were_decommitted_are_committed_when_they_are_taken(void **state)
{
	struct page_taken taken;
	unsigned char *middle;
	size_t before;
	size_t cold;

	(void)state;
	hunt_away();
	before = pieces_away();
	taken = page_heap_take(5 * CHUNK_PAGES, CHUNK_BYTES);
	memset(taken.start, 1, 5 * CHUNK_BYTES);
	page_heap_put(taken.start, 5 * CHUNK_PAGES, 0);
	hunt_away();
	assert_in_range(pieces_away(), 1, before + 1);
	/* All of it, of which the kernel has nothing any more. */
	taken = page_heap_take(5 * CHUNK_PAGES, CHUNK_BYTES);
	assert_true(taken.zero);
	for (size_t i = 0; i < 5 * CHUNK_BYTES; i++)
		assert_int_equal(((unsigned char *)taken.start)[i], 0);
	memset(taken.start, 1, 5 * CHUNK_BYTES);
	/* A hole in the middle is a piece of its own. */
	before = pieces_away();
	middle = (unsigned char *)taken.start + 2 * CHUNK_BYTES;
	page_heap_put(middle, CHUNK_PAGES, 0);
	hunt_away();
	assert_int_equal(pieces_away(), before + 1);
	/* A refused commit takes nothing. */
	atomic_store(&fake_os.calls, 0);
	atomic_store(&fake_os.refuse_all_from, true);
	atomic_store(&fake_os.refuse_at, 1);
	assert_false(page_heap_extend(middle, CHUNK_PAGES, &cold));
	atomic_store(&fake_os.refuse_at, 0);
	atomic_store(&fake_os.refuse_all_from, false);
	verify();
	assert_true(page_heap_extend(middle, CHUNK_PAGES, &cold));
	assert_int_equal(pieces_away(), before);
	memset(middle, 1, CHUNK_BYTES);
	page_heap_put(taken.start, 5 * CHUNK_PAGES, 0);
	hunt_away();
}

static void on_commit(enum fake_os_call call, const void *start)
{
	(void)start;
	if (call != FAKE_OS_COMMIT)
		return;
	atomic_store(&fake_os.meanwhile, NULL);
	taken_meanwhile = page_heap_take(1, PAGE_BYTES).start;
	memset(taken_meanwhile, 1, PAGE_BYTES);
}

static void test_others_take_pages_of_a_chunk_that_is_being_committed(void **state)
{
	unsigned char *chunk = page_heap_take(CHUNK_PAGES, CHUNK_BYTES).start;
	unsigned char *run;
	size_t before;

	(void)state;
	page_heap_put(chunk, CHUNK_PAGES, 0);
	hunt_away();
	before = pieces_away();
	taken_meanwhile = NULL;
	atomic_store(&fake_os.meanwhile, on_commit);
	run = page_heap_take(3, PAGE_BYTES).start;
	assert_ptr_equal(run, chunk);
	assert_ptr_equal(taken_meanwhile, chunk + 3 * PAGE_BYTES);
	memset(run, 1, 3 * PAGE_BYTES);
	assert_in_range(pieces_away(), before - 1, before);
	verify();
	page_heap_put(run, 3, 0);
	page_heap_put(taken_meanwhile, 1, 0);
	hunt_away();
}

static int forked_status;

/* The child never hears of what its parent took, and uses the rest of the chunk. */
static void on_commit_fork(enum fake_os_call call, const void *start)
{
	pid_t child;

	(void)start;
	if (call != FAKE_OS_COMMIT)
		return;
	atomic_store(&fake_os.meanwhile, NULL);
	child = fork();
	if (child == 0) {
		unsigned char *page;

		/* cmocka's handler would go on with the tests here. */
		signal(SIGSEGV, SIG_DFL);
		page = page_heap_take(1, PAGE_BYTES).start;
		memset(page, 1, PAGE_BYTES);
		page_heap_put(page, 1, 0);
		_exit(7);
	}
	assert_true(child > 0 && waitpid(child, &forked_status, 0) == child);
}

static void test_a_fork_while_a_chunk_is_being_committed_harms_nobody(void **state)
{
	unsigned char *chunk = page_heap_take(CHUNK_PAGES, CHUNK_BYTES).start;
	unsigned char *run;

	(void)state;
	page_heap_put(chunk, CHUNK_PAGES, 0);
	hunt_away();
	forked_status = -1;
	atomic_store(&fake_os.meanwhile, on_commit_fork);
	run = page_heap_take(3, PAGE_BYTES).start;
	assert_ptr_equal(run, chunk);
	assert_true(WIFEXITED(forked_status) && WEXITSTATUS(forked_status) == 7);
	memset(run, 1, 3 * PAGE_BYTES);
	verify();
	page_heap_put(run, 3, 0);
	hunt_away();
}

/* A thread takes a chunk's pages and is refused; what it puts back is committed for the next one.
 */
static void test_pages_that_could_not_be_committed_are_committed_for_the_next(void **state)
{
	unsigned char *chunk = page_heap_take(CHUNK_PAGES, CHUNK_BYTES).start;
	unsigned char *run;
	struct page_stats before;

	(void)state;
	page_heap_put(chunk, CHUNK_PAGES, 0);
	hunt_away();
	before = stats_now();
	atomic_store(&fake_os.calls, 0);
	atomic_store(&fake_os.refuse_all_from, true);
	atomic_store(&fake_os.refuse_at, 1);
	assert_null(page_heap_take(80, PAGE_BYTES).start);
	atomic_store(&fake_os.refuse_at, 0);
	atomic_store(&fake_os.refuse_all_from, false);
	verify();
	/* But for the page by which a hunt finds the chunk. */
	assert_in_range(stats_now().dirty, before.dirty, before.dirty + 1);
	run = page_heap_take(3, PAGE_BYTES).start;
	assert_ptr_equal(run, chunk);
	memset(run, 1, 3 * PAGE_BYTES);
	page_heap_put(run, 3, 0);
	hunt_away();
}

static void test_what_the_page_map_has_is_counted_while_it_has_it(void **state)
{
	size_t before;
	void *run;

	(void)state;
	hunt_away();
	before = stats_now().metadata;
	run = page_heap_take(4 * CHUNK_PAGES, CHUNK_BYTES).start;
	assert_int_equal(stats_now().metadata, before + 1);
	page_heap_put(run, 4 * CHUNK_PAGES, 0);
	hunt_away();
	assert_int_equal(stats_now().metadata, before);
}

static void test_entries_of_a_chunk_that_was_taken_again_stay(void **state)
{
	struct page_hunt hunt = hunt_for(true);
	struct chunk_maps maps = {.count = 0};
	unsigned char *run;
	void *again;
	size_t before;

	(void)state;
	hunt_away();
	before = stats_now().metadata;
	run = page_heap_take(3 * CHUNK_PAGES, CHUNK_BYTES).start;
	for (size_t i = 0; i < 3; i++)
		page_heap_put(run + i * CHUNK_BYTES, CHUNK_PAGES, 0);
	run = page_heap_take(3 * CHUNK_PAGES, CHUNK_BYTES).start;
	page_heap_put(run, 3 * CHUNK_PAGES, 0);
	/* Each has some. */
	for (size_t i = 0; i < 3; i++)
		page_reserve_mapped_locked(page_heap_region((uintptr_t)run),
			region_page(
				page_heap_region((uintptr_t)run), (uintptr_t)run + i * CHUNK_BYTES),
			1);
	assert_int_equal(stats_now().metadata, before + 3);
	while (page_hunt(&hunt)) {
		page_hunt_end(&hunt, PAGE_CLEAN);
		(void)chunk_maps_note(&maps, &hunt);
	}
	assert_int_equal(maps.count, 3);
	again = page_heap_take(1, CHUNK_BYTES).start;
	assert_ptr_equal(again, run);
	advised_bytes = 0;
	takes_meanwhile = true;
	chunk_maps_release(&maps, on_advice);
	takes_meanwhile = false;
	assert_int_equal(advised_bytes, 2 * page_map_of_chunk((uintptr_t)run).bytes);
	/* Those whose entries go are not to be had meanwhile. */
	assert_non_null(taken_meanwhile);
	assert_true(
		taken_meanwhile + CHUNK_BYTES <= run || taken_meanwhile >= run + 3 * CHUNK_BYTES);
	page_heap_put(taken_meanwhile, 2 * CHUNK_PAGES, 0);
	page_heap_put(again, 1, 0);
	hunt_away();
	assert_int_equal(stats_now().metadata, before);
}

static void test_entries_stay_while_a_fork_waits(void **state)
{
	struct page_hunt hunt = hunt_for(true);
	struct chunk_maps maps = {.count = 0};
	void *run = page_heap_take(CHUNK_PAGES, CHUNK_BYTES).start;

	(void)state;
	page_heap_put(run, CHUNK_PAGES, 0);
	while (page_hunt(&hunt)) {
		page_hunt_end(&hunt, PAGE_CLEAN);
		(void)chunk_maps_note(&maps, &hunt);
	}
	assert_true(maps.count != 0);
	advised_bytes = 0;
	transit_stop(false);
	chunk_maps_release(&maps, on_advice);
	transit_resume();
	assert_int_equal(advised_bytes, 0);
	assert_int_equal(maps.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fresh_pages_are_zero_and_clean_ones_are_refaults),
		cmocka_unit_test(test_only_pages_known_clean_count_as_zero),
		cmocka_unit_test(test_lowest_warm_run_is_taken_before_a_lower_clean_one),
		cmocka_unit_test(test_a_run_across_states_is_one_run),
		cmocka_unit_test(test_pages_in_transit_are_not_handed_out),
		cmocka_unit_test(test_hunt_keeps_the_cushion_and_its_bounds),
		cmocka_unit_test(test_hunt_takes_whole_kernel_pages_only),
		cmocka_unit_test(test_hunt_takes_the_last_warm_pages_with_their_whole_chunk),
		cmocka_unit_test(test_gate_is_asked_for_what_becomes_resident_only),
		cmocka_unit_test(test_gate_can_have_the_range_populated),
		cmocka_unit_test(test_extension_takes_the_next_pages_if_they_are_free),
		cmocka_unit_test(
			test_chunks_that_were_decommitted_are_committed_when_they_are_taken),
		cmocka_unit_test(test_others_take_pages_of_a_chunk_that_is_being_committed),
		cmocka_unit_test(test_a_fork_while_a_chunk_is_being_committed_harms_nobody),
		cmocka_unit_test(test_pages_that_could_not_be_committed_are_committed_for_the_next),
		cmocka_unit_test(test_what_the_page_map_has_is_counted_while_it_has_it),
		cmocka_unit_test(test_entries_of_a_chunk_that_was_taken_again_stay),
		cmocka_unit_test(test_entries_stay_while_a_fork_waits),
		cmocka_unit_test(test_what_is_asked_for_goes_by_several_chunks_at_once),
		cmocka_unit_test(test_runs_never_overlap_and_counters_add_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
