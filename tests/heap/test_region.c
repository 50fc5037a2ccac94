#include "shim/heap/pages/region.h"
#include "shim/heap/scavenge/region_hunt.h"
#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define CHUNKS 70 /* more than a group */
#define PAGES ((size_t)CHUNKS * CHUNK_PAGES)
#define START 0x10000000U

/* One byte a page: what the region should know. */
enum model_state { TAKEN, DIRTY, LAZY, CLEAN, FRESH, HELD_DIRTY, HELD_LAZY };

static struct region region;
static unsigned char model[PAGES];
static void *metadata;

static int setup(void **state)
{
	(void)state;
	metadata = calloc(1, region_metadata_bytes(PAGES));
	memset(&region, 0, sizeof region);
	region_init(&region, (void *)(uintptr_t)START, PAGES, metadata);
	region_grow(&region, PAGES / 2 / CHUNK_PAGES * CHUNK_PAGES);
	region_grow(&region, PAGES - region.committed);
	memset(model, FRESH, sizeof model);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(metadata);
	return 0;
}

static bool model_is_free(size_t page)
{
	return model[page] >= DIRTY && model[page] <= FRESH;
}

static bool model_is_warm(size_t page)
{
	return model[page] == DIRTY || model[page] == LAZY;
}

static size_t model_find(enum run_kind kind, size_t pages)
{
	size_t run = 0;

	for (size_t i = 0; i < PAGES; i++) {
		run = (kind == RUN_WARM ? model_is_warm(i) : model_is_free(i)) ? run + 1 : 0;
		if (run == pages)
			return i + 1 - pages;
	}
	return SIZE_MAX;
}

static size_t model_count(enum model_state what, size_t page, size_t pages)
{
	size_t count = 0;

	for (size_t i = page; i < page + pages; i++)
		count += model[i] == what;
	return count;
}

static size_t random_pages(void)
{
	return 1 + random_below(random_below(4) == 0 ? 3000 : 40);
}

static void take_somewhere(void)
{
	size_t pages = random_pages();
	enum run_kind kind = (enum run_kind)random_below(RUN_KINDS);
	size_t expected = model_find(kind, pages);
	struct page_counts counts;

	assert_true(region_find(&region, kind, pages) == expected);
	if (expected == SIZE_MAX)
		return;
	assert_true(region_is_free(&region, expected, pages));
	counts = region_count(&region, expected, pages);
	assert_int_equal(counts.dirty, model_count(DIRTY, expected, pages));
	assert_int_equal(counts.lazy, model_count(LAZY, expected, pages));
	assert_int_equal(counts.fresh, model_count(FRESH, expected, pages));
	assert_int_equal(counts.clean, counts.fresh + model_count(CLEAN, expected, pages));
	region_take(&region, expected, pages);
	memset(model + expected, TAKEN, pages);
}

/* Some run of pages of this state, cut at random. */
static size_t pick_run(enum model_state what, size_t *pages)
{
	size_t at = random_below(PAGES);
	size_t end;

	while (at < PAGES && model[at] != what)
		at++;
	for (end = at; end < PAGES && model[end] == what && end - at < 3000; end++)
		;
	*pages = end > at ? 1 + random_below(end - at) : 0;
	return at;
}

static void give_some(void)
{
	size_t pages;
	size_t page = pick_run(TAKEN, &pages);
	uint64_t clean = pages != 0 && pages <= 64 ? random_next() >> (64 - pages) : 0;

	if (pages == 0)
		return;
	region_give(&region, page, pages, clean, 1000);
	memset(model + page, DIRTY, pages);
	for (size_t i = 0; i < 64 && i < pages; i++)
		if ((clean >> i & 1) != 0)
			model[page + i] = CLEAN;
}

static void hold_some(void)
{
	size_t pages;
	bool lazy = random_below(2) == 0;
	size_t page = pick_run(lazy ? LAZY : DIRTY, &pages);

	if (pages == 0)
		return;
	region_hold(&region, page, pages);
	memset(model + page, lazy ? HELD_LAZY : HELD_DIRTY, pages);
}

static void release_some(void)
{
	size_t pages;
	bool lazy = random_below(2) == 0;
	size_t page = pick_run(lazy ? HELD_LAZY : HELD_DIRTY, &pages);
	enum region_state to = (enum region_state)random_below(3);
	unsigned char now = lazy ? LAZY : DIRTY;

	if (pages == 0)
		return;
	region_release(&region, page, pages, to);
	if (to == REGION_LAZY)
		now = LAZY;
	else if (to == REGION_CLEAN)
		now = CLEAN;
	memset(model + page, now, pages);
}

static bool is_hunted(size_t page, bool dirty, bool lazy)
{
	return (dirty && model[page] == DIRTY) || (lazy && model[page] == LAZY);
}

/* Marks the runs of at least so many pages, none longer than its chunk. */
static void naive_hunt(unsigned char *found, bool dirty, bool lazy, size_t pages_min)
{
	size_t run = 0;

	for (size_t i = 0; i < PAGES; i++) {
		if (i % CHUNK_PAGES == 0)
			run = 0;
		run = is_hunted(i, dirty, lazy) ? run + 1 : 0;
		if (run == pages_min)
			memset(found + i + 1 - run, 1, run);
		else if (run > pages_min)
			found[i] = 1;
	}
}

static void verify_hunt(bool dirty, bool lazy, size_t pages_min)
{
	struct region_hunt hunt = {.dirty = dirty,
		.lazy = lazy,
		.idle_before_ns = UINT64_MAX,
		.pages_min = pages_min,
		.broken_only = true,
		.looks = SIZE_MAX};
	unsigned char expected[PAGES] = {0};
	unsigned char found[PAGES] = {0};
	size_t below = PAGES;
	size_t end;

	region_hunt_begin(&hunt);
	for (size_t last = PAGES; region_hunt(&region, &hunt, &below, &end); last = below) {
		assert_true(below < end && end <= last);
		memset(found + below, 1, end - below);
	}
	naive_hunt(expected, dirty, lazy, pages_min);
	assert_memory_equal(found, expected, PAGES);
}

static void verify(void)
{
	struct page_counts counts = {0};
	size_t allocated = 0;
	size_t held = model_count(HELD_DIRTY, 0, PAGES) + model_count(HELD_LAZY, 0, PAGES);
	size_t at_end = 0;
	const char *wrong = held == 0 ? region_check(&region, &counts, &allocated) : NULL;

	if (wrong != NULL)
		fail_msg("%s", wrong);
	while (at_end < PAGES && model_is_free(PAGES - 1 - at_end))
		at_end++;
	assert_int_equal(region_free_at_end(&region), at_end);
	for (size_t pages_min = 1; pages_min <= 16; pages_min += 5) {
		verify_hunt(true, true, pages_min);
		verify_hunt(true, false, pages_min);
		verify_hunt(false, true, pages_min);
	}
}

static void verify_summaries(void)
{
	const char *wrong = region_check_summaries(&region);

	if (wrong != NULL)
		fail_msg("%s", wrong);
}

static void test_random_operations_equal_a_byte_per_page(void **state)
{
	(void)state;
	for (int i = 0; i < 6000; i++) {
		switch (random_below(i < 3000 ? 9 : 7)) {
		case 0:
		case 1:
			give_some();
			break;
		case 2:
			hold_some();
			break;
		case 3:
		case 4:
			release_some();
			break;
		default:
			take_somewhere();
		}
		verify_summaries();
		if (i % 500 == 0)
			verify();
	}
	for (int i = 0; i < 20000; i++)
		release_some();
	verify();
}

/* The highest such run below *first; false: none. */
static bool hunt_below(struct region_hunt *hunt, size_t *first, size_t *end)
{
	hunt->looks = SIZE_MAX;
	region_hunt_begin(hunt);
	return region_hunt(&region, hunt, first, end);
}

static void test_hunt_passes_over_young_pages_and_short_runs(void **state)
{
	struct region_hunt hunt = {
		.dirty = true, .idle_before_ns = 50, .pages_min = 16, .broken_only = true};
	size_t first = PAGES;
	size_t end;

	(void)state;
	region_take(&region, 0, 3 * CHUNK_PAGES);
	region_give(&region, 0, 100, 0, 40);
	region_give(&region, 120, 10, 0, 40);
	region_give(&region, CHUNK_PAGES, 100, 0, 60);
	assert_true(hunt_below(&hunt, &first, &end));
	assert_int_equal(first, 0);
	assert_int_equal(end, 100);
	hunt.pages_min = 1;
	first = PAGES;
	assert_true(hunt_below(&hunt, &first, &end));
	assert_int_equal(first, 120);
	hunt.idle_before_ns = 39;
	first = PAGES;
	assert_false(hunt_below(&hunt, &first, &end));
}

static void test_hunt_tells_the_ages_of_words_of_one_chunk(void **state)
{
	struct region_hunt hunt = {
		.dirty = true, .idle_before_ns = 50, .pages_min = 1, .broken_only = true};
	size_t first = PAGES;
	size_t end;

	(void)state;
	region_take(&region, 0, CHUNK_PAGES);
	region_give(&region, 0, 192, 0, 40);
	assert_true(region_hunts_all(&region, &hunt, 5));
	region_give(&region, 500, 1, 0, 60);
	assert_false(region_hunts_all(&region, &hunt, 5));
	assert_true(hunt_below(&hunt, &first, &end));
	assert_int_equal(first, 0);
	assert_int_equal(end, 192);
	/* The word in the middle is used again. */
	region_take(&region, 100, 1);
	region_give(&region, 100, 1, 0, 60);
	first = PAGES;
	assert_true(hunt_below(&hunt, &first, &end));
	assert_int_equal(first, 128);
	assert_int_equal(end, 192);
	assert_true(hunt_below(&hunt, &first, &end));
	assert_int_equal(first, 0);
	assert_int_equal(end, 64);
	assert_false(hunt_below(&hunt, &first, &end));
	hunt.idle_before_ns = 60;
	assert_true(region_hunts_all(&region, &hunt, 5));
}

#define SECOND_NS ((uint64_t)1000000000)

/* A page idles in each chunk of a region in use, since second 1000 + its chunk's number. */
static void idle_everywhere(void)
{
	region_take(&region, 0, PAGES);
	for (size_t chunk = 0; chunk < CHUNKS; chunk++)
		region_give(&region, chunk * CHUNK_PAGES, 1, 0, (1000 + chunk) * SECOND_NS);
}

static void test_hunt_looks_only_where_pages_are_old_enough(void **state)
{
	struct region_hunt hunt = {.dirty = true, .pages_min = 1, .broken_only = true};
	size_t first = PAGES;
	size_t end;

	(void)state;
	idle_everywhere();
	hunt.idle_before_ns = 999 * SECOND_NS;
	assert_false(hunt_below(&hunt, &first, &end));
	/* Not a look under the top. */
	assert_int_equal(SIZE_MAX - hunt.looks, 1);
	hunt.idle_before_ns = 1000 * SECOND_NS;
	first = PAGES;
	assert_true(hunt_below(&hunt, &first, &end));
	assert_int_equal(first, 0);
	/* The nodes beside the way down to the chunk. */
	assert_in_range(SIZE_MAX - hunt.looks, 1, REGION_LEVELS * REGION_FAN + REGION_CHUNK_LOOKS);
	region_take(&region, 0, 1);
	first = PAGES;
	assert_false(hunt_below(&hunt, &first, &end));
	assert_int_equal(SIZE_MAX - hunt.looks, 1);
}

/* By size, and by buckets: ages that are passed over count as too young. */
static void test_hunt_looks_only_where_pages_of_a_size_are_old_enough(void **state)
{
	struct hunt_ages ages = {.now_ns = 3000 * SECOND_NS};
	struct region_hunt hunt = {
		.dirty = true, .ages = &ages, .pages_min = 1, .broken_only = true};
	unsigned bucket = reuse_bucket(2000 * SECOND_NS);
	size_t first = PAGES;
	size_t end;

	(void)state;
	idle_everywhere();
	ages.dirty[RUN_CHUNK] = (struct hunt_age){UINT64_MAX, HUNT_ALL_BUCKETS};
	assert_false(hunt_below(&hunt, &first, &end));
	assert_int_equal(SIZE_MAX - hunt.looks, 1);
	ages.dirty[RUN_SHORT] = (struct hunt_age){UINT64_MAX, (uint64_t)1 << (bucket + 1)};
	first = PAGES;
	assert_false(hunt_below(&hunt, &first, &end));
	assert_int_equal(SIZE_MAX - hunt.looks, 1);
	ages.dirty[RUN_SHORT].buckets = (uint64_t)1 << bucket;
	first = PAGES;
	assert_true(hunt_below(&hunt, &first, &end));
	assert_int_equal(first, (CHUNKS - 1) * CHUNK_PAGES);
}

/* However few looks there are at a time, all is found, and nothing twice. */
static void test_a_hunt_goes_on_where_its_looks_ended(void **state)
{
	struct region_hunt hunt = {
		.dirty = true, .idle_before_ns = UINT64_MAX, .pages_min = 1, .broken_only = true};
	size_t below = PAGES;
	size_t found = 0;
	size_t end;

	(void)state;
	idle_everywhere();
	region_hunt_begin(&hunt);
	while (below != 0) {
		hunt.looks = REGION_LEVELS;
		if (region_hunt(&region, &hunt, &below, &end)) {
			found++;
			assert_int_equal(below, (CHUNKS - found) * CHUNK_PAGES);
		}
	}
	assert_int_equal(found, CHUNKS);
}

static void test_a_run_over_many_groups_is_found(void **state)
{
	(void)state;
	assert_int_equal(region_find(&region, RUN_ANY, PAGES), 0);
	assert_true(region_find(&region, RUN_ANY, PAGES + 1) == SIZE_MAX);
	assert_true(region_find(&region, RUN_WARM, 1) == SIZE_MAX);
	region_take(&region, 0, 1);
	assert_int_equal(region_find(&region, RUN_ANY, PAGES - 1), 1);
}

/* The tree over one chunk is that chunk; it becomes higher with more, whose nodes have what was
 * under them before. */
static void test_the_tree_grows_with_what_is_committed(void **state)
{
	int top = 0;

	(void)state;
	memset(metadata, 0, region_metadata_bytes(PAGES));
	region_init(&region, (void *)(uintptr_t)START, PAGES, metadata);
	for (size_t chunk = 0; chunk < CHUNKS; chunk++) {
		size_t base = chunk * CHUNK_PAGES;

		region_grow(&region, CHUNK_PAGES);
		verify_summaries();
		assert_in_range(region.top, top, top + 1);
		top = region.top;
		assert_int_equal(region_find(&region, RUN_ANY, CHUNK_PAGES), base - chunk);
		/* The free end of each chunk is one run with the next chunk. */
		region_take(&region, base, CHUNK_PAGES - chunk - 1);
		region_give(&region, base + chunk, 1 + chunk, 0, 1000);
		verify_summaries();
		assert_int_equal(region_find(&region, RUN_WARM, 1 + chunk), base + chunk);
	}
	/* 70 chunks are under one node of 512. */
	assert_int_equal(region.top, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_random_operations_equal_a_byte_per_page, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_hunt_passes_over_young_pages_and_short_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_hunt_tells_the_ages_of_words_of_one_chunk, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_hunt_looks_only_where_pages_are_old_enough, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_hunt_looks_only_where_pages_of_a_size_are_old_enough, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_hunt_goes_on_where_its_looks_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_run_over_many_groups_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_tree_grows_with_what_is_committed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
