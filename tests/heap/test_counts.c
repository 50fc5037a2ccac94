#include "shim/heap/base/lock.h"
#include "shim/heap/base/run_bin.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/slabs/central.h"
#include "tests/support/fake_os.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/*
 * How many locks operations take once a heap is warm.  Counts, since on a busy machine times tell
 * nothing; the clock stands, so that no limit falls meanwhile.
 */

#define PAIRS 500U
#define ROW 32U
#define HANDED 4096U
#define TURNS 1640U
#define WARM_TURNS 1600U /* by then caches gave back what other tests left in them */

static void pairs(size_t bytes, bool zeroed)
{
	for (unsigned i = 0; i < PAIRS; i++)
		heap_free(zeroed ? heap_calloc(1, bytes) : heap_malloc(bytes));
}

static void rows(size_t bytes)
{
	void *row[ROW];

	for (unsigned turn = 0; turn < 20; turn++) {
		for (unsigned i = 0; i < ROW; i++)
			row[i] = heap_malloc(bytes);
		for (unsigned i = 0; i < ROW; i++)
			heap_free(row[i]);
	}
}

static void test_pairs_take_no_lock(void **state)
{
	(void)state;
	for (unsigned bin = 1; bin <= CACHE_BINS; bin++) {
		size_t bytes = cache_bin_bytes(bin);
		uint64_t before;

		pairs(bytes, false);
		before = lock_takes;
		pairs(bytes, false);
		assert_int_equal(lock_takes - before, 0);
	}
	assert_null(heap_check());
}

static void test_pairs_of_zeroed_blocks_take_no_lock(void **state)
{
	static const size_t sizes[] = {100, 5000, 40000, 100000, 300000, 1000000};

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		uint64_t before;

		pairs(sizes[i], true);
		before = lock_takes;
		pairs(sizes[i], true);
		assert_int_equal(lock_takes - before, 0);
	}
}

static void test_rows_of_small_blocks_take_no_lock(void **state)
{
	(void)state;
	for (unsigned bin = 1; size_classes[bin].bytes <= 2048; bin++) {
		uint64_t before;

		rows(size_classes[bin].bytes);
		before = lock_takes;
		rows(size_classes[bin].bytes);
		assert_int_equal(lock_takes - before, 0);
	}
}

/* Two threads take turns. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned turn;
	void *blocks[HANDED];
	unsigned count; /* of blocks in a turn */
	uint64_t takes; /* by both, since they are warm */
} hand = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void hand_turn(unsigned turn, size_t bytes)
{
	uint64_t before = lock_takes;

	for (unsigned i = 0; i < hand.count; i++) {
		if (turn % 2 == 0)
			hand.blocks[i] = heap_malloc(bytes);
		else
			heap_free(hand.blocks[i]);
	}
	if (turn >= WARM_TURNS)
		hand.takes += lock_takes - before;
}

static void hand_turns(unsigned first, size_t bytes)
{
	for (unsigned turn = first; turn < TURNS; turn += 2) {
		pthread_mutex_lock(&hand.lock);
		while (hand.turn != turn)
			pthread_cond_wait(&hand.changed, &hand.lock);
		hand_turn(turn, bytes);
		hand.turn++;
		pthread_cond_signal(&hand.changed);
		pthread_mutex_unlock(&hand.lock);
	}
}

static void *consume(void *bytes)
{
	hand_turns(1, *(size_t *)bytes);
	cache_thread_exit();
	return NULL;
}

/* Locks that were taken for so many blocks, which is returned. */
static uint64_t hand_on(size_t bytes, unsigned count)
{
	pthread_t consumer;

	cache_drain_all(UINT64_MAX);
	hand.turn = 0;
	hand.takes = 0;
	hand.count = count;
	pthread_create(&consumer, NULL, consume, &bytes);
	hand_turns(0, bytes);
	pthread_join(consumer, NULL);
	assert_null(heap_check());
	return (uint64_t)(TURNS - WARM_TURNS) / 2 * count;
}

/* Blocks handed on whose batches fit: a lock for each batch on either side, and none of a class. */
static void test_a_producer_and_a_consumer_take_two_locks_a_batch(void **state)
{
	uint64_t blocks = hand_on(64, HANDED);

	(void)state;
	print_message("# locks for each %u blocks handed on: %.2f\n", CENTRAL_BATCH,
		(double)hand.takes * CENTRAL_BATCH / (double)blocks);
	/* A turn may end in the middle of a batch. */
	assert_true(hand.takes <= 2 * blocks / (CENTRAL_BATCH - 1) + TURNS - WARM_TURNS);
}

/* Large ones go one by one. */
static void test_large_blocks_handed_on_take_two_locks(void **state)
{
	(void)state;
	for (unsigned bin = SIZE_CLASSES + 1; bin <= CACHE_BINS; bin++) {
		uint64_t blocks = hand_on(cache_bin_bytes(bin), 4);

		print_message("# locks for a block of %zu KiB handed on: %.2f\n",
			cache_bin_bytes(bin) >> 10, (double)hand.takes / (double)blocks);
		assert_true(hand.takes <= 2 * blocks);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs_take_no_lock),
		cmocka_unit_test(test_pairs_of_zeroed_blocks_take_no_lock),
		cmocka_unit_test(test_rows_of_small_blocks_take_no_lock),
		cmocka_unit_test(test_a_producer_and_a_consumer_take_two_locks_a_batch),
		cmocka_unit_test(test_large_blocks_handed_on_take_two_locks),
	};

	atomic_store(&fake_os.now_stands_ns, UINT64_C(1000000000000000));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
