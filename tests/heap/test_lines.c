#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/slabs/central.h"
#include "tests/support/lines.h"
#include "tests/support/fake_os.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The heap is compiled with other instrumentation than the variants'. */
/* variants: release */

/*
 * Which cache lines operations take from another thread.  Two threads take turns, so that the
 * counts repeat; the clock stands, so that nothing falls meanwhile.
 */

#define PAIRS 100U
#define TURNS 400U
#define WARM_TURNS 200U
#define HANDED CENTRAL_BATCH
#define BATCH 32U
#define SLOTS_MAX 16384U

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned turn;
	void (*run)(unsigned side, void *with);
	void *with;
	struct line_counts counts; /* of turns once both are warm */
} table = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void turn_run(unsigned turn)
{
	struct line_counts before;
	struct line_counts after;

	lines_read(&before);
	table.run(turn % 2, table.with);
	lines_read(&after);
	if (turn < WARM_TURNS)
		return;
	table.counts.writes += after.writes - before.writes;
	table.counts.reads += after.reads - before.reads;
	table.counts.locks += after.locks - before.locks;
}

static void turns_run(unsigned side)
{
	for (unsigned turn = side; turn < TURNS; turn += 2) {
		pthread_mutex_lock(&table.lock);
		while (table.turn != turn)
			pthread_cond_wait(&table.changed, &table.lock);
		turn_run(turn);
		table.turn++;
		pthread_cond_signal(&table.changed);
		pthread_mutex_unlock(&table.lock);
	}
}

static void *other_run(void *unused)
{
	(void)unused;
	turns_run(1);
	cache_thread_exit();
	return NULL;
}

/* Two threads run it by turns, each on its side. */
static struct line_counts take_turns(void (*run)(unsigned side, void *with), void *with)
{
	pthread_t other;

	table.run = run;
	table.with = with;
	table.turn = 0;
	table.counts = (struct line_counts){0};
	assert_int_equal(pthread_create(&other, NULL, other_run, NULL), 0);
	turns_run(0);
	pthread_join(other, NULL);
	return table.counts;
}

static void pairs(unsigned side, void *bytes)
{
	(void)side;
	for (unsigned i = 0; i < PAIRS; i++)
		heap_free(heap_malloc(*(size_t *)bytes));
}

static void test_pairs_write_no_line_of_another_thread(void **state)
{
	(void)state;
	for (unsigned bin = 1; bin <= CACHE_BINS; bin += 7) {
		size_t bytes = cache_bin_bytes(bin);
		struct line_counts counts = take_turns(pairs, &bytes);

		assert_int_equal(counts.writes, 0);
		assert_int_equal(counts.reads, 0);
		assert_int_equal(counts.locks, 0);
	}
	assert_null(heap_check());
}

static struct {
	void *slots[SLOTS_MAX];
	void *kept[SLOTS_MAX];
	unsigned kept_count;
} sides[2];

static void slots_put(unsigned size_class, void *const *slots, unsigned count)
{
	for (unsigned i = 0; i < count; i += BATCH)
		central_put(size_class, slots + i, count - i < BATCH ? count - i : BATCH);
}

/* Takes more than two slabs have, which are full then, and puts it back but for what was kept the
 * first time, so that no slab is empty. */
static void slots_through(unsigned side, void *first_class)
{
	unsigned size_class = *(unsigned *)first_class + side;
	void **slots = sides[side].slots;
	void **kept = sides[side].kept;
	unsigned want = 2U * size_classes[size_class].slots + 1 - sides[side].kept_count;
	unsigned got = 0;
	unsigned left = 0;
	bool keep = sides[side].kept_count == 0;

	while (got < want)
		got += central_take(
			size_class, slots + got, want - got < BATCH ? want - got : BATCH);
	for (unsigned i = 0; i < got; i++) {
		if (keep && (i % 3 == 0 || i == got - 1))
			kept[sides[side].kept_count++] = slots[i];
		else
			slots[left++] = slots[i];
	}
	slots_put(size_class, slots, left);
}

static void test_classes_share_no_line(void **state)
{
	(void)state;
	for (unsigned c = 1; c < SIZE_CLASSES; c++) {
		struct line_counts counts = take_turns(slots_through, &c);

		assert_int_equal(counts.writes, 0);
		assert_int_equal(counts.reads, 0);
		for (unsigned side = 0; side < 2; side++) {
			slots_put(c + side, sides[side].kept, sides[side].kept_count);
			sides[side].kept_count = 0;
		}
	}
	assert_null(heap_check());
}

static void *handed[HANDED];

static void hand_on(unsigned side, void *bytes)
{
	for (unsigned i = 0; i < HANDED; i++) {
		if (side == 0)
			handed[i] = heap_malloc(*(size_t *)bytes);
		else
			heap_free(handed[i]);
	}
}

/* The array of a batch is 16 lines, the stack that it goes through two. */
static void test_blocks_handed_on_move_few_lines(void **state)
{
	size_t bytes = 64;
	uint64_t batches = (TURNS - WARM_TURNS) / 2;
	struct line_counts counts = take_turns(hand_on, &bytes);

	(void)state;
	print_message("# lines written %.2f, read %.2f, locks %.2f for each %u blocks handed on\n",
		(double)counts.writes / batches, (double)counts.reads / batches,
		(double)counts.locks / batches, HANDED);
	assert_true(counts.writes <= 20 * batches);
	assert_true(counts.reads <= 20 * batches);
	assert_true(counts.locks * 10 <= 21 * batches);
	assert_null(heap_check());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs_write_no_line_of_another_thread),
		cmocka_unit_test(test_classes_share_no_line),
		cmocka_unit_test(test_blocks_handed_on_move_few_lines),
	};

	atomic_store(&fake_os.now_stands_ns, UINT64_C(1000000000000000));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
