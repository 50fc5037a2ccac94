#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/scavenge/background.h"
#include "shim/heap/scavenge/page_hunt.h"
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
 * Giving back at calm in a heap of 100 GiB, nearly all of it in use.  No page is ever
 * touched, so that it costs what describes it.  The clock moves only where it is
 * pushed ahead; CPU time is what the fake kernel charges, and so much for each look
 * of a hunt.  One thread: there is nothing for TSan.
 *
 * variants: release asan
 */

#define CHUNKS ((size_t)51200)
#define LOOK_NS 20U
/* A low one, for a break-even of seconds. */
#define PRICE_NS (HEAP_PRICE_NS / 10)
#define MS_NS ((uint64_t)1000000)
#define SECOND_NS (1000 * MS_NS)

/* Of each chunk: a page in its first 64, what lives, its last 64. */
enum piece { ONE, BODY, TAIL, PIECES };

static const size_t piece_pages[PIECES] = {[ONE] = 1, [BODY] = 447, [TAIL] = 64};
static const size_t piece_at[PIECES] = {[BODY] = 1, [TAIL] = 448};

static unsigned char *chunks[CHUNKS];
static bool is_free[CHUNKS][PIECES];

static uint64_t work_ns(void)
{
	struct page_stats stats;

	page_heap_stats(&stats);
	return stats.looks * LOOK_NS;
}

static struct page_stats stats_now(void)
{
	struct page_stats stats;

	page_heap_stats(&stats);
	return stats;
}

static void put(size_t chunk, enum piece piece)
{
	page_heap_put(chunks[chunk] + piece_at[piece] * PAGE_BYTES, piece_pages[piece], 0);
	is_free[chunk][piece] = true;
}

static void put_of_all(enum piece piece)
{
	for (size_t i = 0; i < CHUNKS; i++)
		put(i, piece);
}

static void ahead(uint64_t ns)
{
	atomic_fetch_add(&fake_os.now_ahead_ns, ns);
}

/* The background for so long, or until it has nothing more to do. */
static void run_for(uint64_t ns)
{
	uint64_t until_ns = os_now_ns() + ns;

	while (os_now_ns() < until_ns) {
		uint64_t pause_ns = heap_background(os_now_ns());

		if (pause_ns == HEAP_UNTIL_USED)
			return;
		ahead(pause_ns < until_ns - os_now_ns() ? pause_ns : until_ns - os_now_ns());
	}
}

static void take_all(void)
{
	for (size_t i = 0; i < CHUNKS; i++) {
		chunks[i] = page_heap_take(CHUNK_PAGES, PAGE_BYTES).start;
		assert_non_null(chunks[i]);
	}
	memset(is_free, 0, sizeof is_free);
}

static int setup(void **state)
{
	(void)state;
	atomic_store(&fake_os.now_stands_ns, 1000 * SECOND_NS);
	atomic_store(&fake_os.cpu_ns, 1);
	atomic_store(&fake_os.work_ns, work_ns);
	take_all();
	return 0;
}

/* All goes, by a pass that nobody bounds, and is in use again. */
static int renew(void **state)
{
	struct heap_pass pass = {
		.level = HEAP_FULL, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < CHUNKS; i++)
		for (enum piece piece = ONE; piece < PIECES; piece++)
			if (!is_free[i][piece])
				put(i, piece);
	heap_scavenge(&pass, HEAP_BY_FULL);
	assert_int_equal(stats_now().dirty, 0);
	assert_int_equal(stats_now().lazy, 0);
	assert_in_range(stats_now().looks_most, 1, PAGE_HUNT_LOOKS);
	take_all();
	return 0;
}

static void begin(enum heap_policy policy, uint32_t cpu_permille)
{
	struct heap_tuning tuning = {
		.policy = policy, .cpu_permille = cpu_permille, .price_ns = PRICE_NS};

	heap_tune(&tuning);
	ahead(60 * SECOND_NS);
	heap_background(os_now_ns());
}

static uint64_t break_even_ns(void)
{
	struct heap_stats stats;

	heap_stats_read(&stats);
	return stats.break_even_ns;
}

#define IDLE_CHUNKS ((size_t)128)

/* What is due goes, for a few looks at each range, though every chunk has pages that are not. */
static void test_adaptive_finds_what_is_due_among_young_pages_everywhere(void **state)
{
	struct page_stats before;
	struct page_stats after;

	(void)state;
	begin(HEAP_ADAPTIVE, HEAP_CPU_PERMILLE);
	for (size_t i = 0; i < CHUNKS; i += CHUNKS / IDLE_CHUNKS) {
		put(i, ONE);
		put(i, BODY);
	}
	ahead(break_even_ns() * 2);
	put_of_all(TAIL);
	before = stats_now();
	run_for(break_even_ns() / 8);
	after = stats_now();
	assert_in_range(before.dirty - after.dirty, IDLE_CHUNKS * 448 * 9 / 10,
		IDLE_CHUNKS * 448 * 11 / 10);
	/* A range is 64 pages. */
	assert_in_range(after.looks - before.looks, 1, IDLE_CHUNKS * 448 / 64 * 64);
	assert_in_range(after.looks_most, 1, PAGE_HUNT_LOOKS);
}

/* Where the index does not tell them apart, since each chunk has single pages that are due and long
 * runs that are not, the search goes on from step to step. */
static void test_go1_11_gets_around_where_every_chunk_must_be_looked_at(void **state)
{
	struct page_stats before;

	(void)state;
	begin(HEAP_GO1_11, HEAP_CPU_PERMILLE);
	put_of_all(ONE);
	ahead(300 * SECOND_NS);
	put_of_all(TAIL);
	before = stats_now();
	run_for(200 * SECOND_NS);
	assert_int_equal(before.dirty - stats_now().dirty, CHUNKS);
	assert_in_range(stats_now().looks_most, 1, PAGE_HUNT_LOOKS);
}

static void test_go1_13_gives_back_what_is_over_its_goal(void **state)
{
	(void)state;
	begin(HEAP_GO1_13, 1000);
	put_of_all(TAIL);
	run_for(20 * SECOND_NS);
	assert_in_range(stats_now().dirty, 1, stats_now().in_use / 10 + 1024);
	assert_in_range(stats_now().looks_most, 1, PAGE_HUNT_LOOKS);
}

static void test_decay_leaves_nothing(void **state)
{
	(void)state;
	begin(HEAP_DECAY, 1000);
	for (size_t i = 0; i < CHUNKS; i += 8)
		put(i, TAIL);
	run_for(20 * SECOND_NS);
	assert_int_equal(stats_now().dirty, 0);
	assert_in_range(stats_now().looks_most, 1, PAGE_HUNT_LOOKS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			test_adaptive_finds_what_is_due_among_young_pages_everywhere, renew),
		cmocka_unit_test_teardown(
			test_go1_11_gets_around_where_every_chunk_must_be_looked_at, renew),
		cmocka_unit_test_teardown(test_go1_13_gives_back_what_is_over_its_goal, renew),
		cmocka_unit_test_teardown(test_decay_leaves_nothing, renew),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
