#include "shim/heap/base/os.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/caches/cache_state.h"
#include "shim/heap/caches/transfer.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/slabs/central.h"
#include "tests/support/fake_os.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 64U
#define THREADS 4
#define ROUNDS 400
#define HANDED 1000

static unsigned class_here(void)
{
	return size_class_of(SIZE);
}

static uint64_t kept(void)
{
	uint64_t slots = 0;
	uint64_t bytes = 0;

	transfer_stats(&slots, &bytes);
	return slots;
}

static uint64_t kept_bytes(void)
{
	uint64_t slots = 0;
	uint64_t bytes = 0;

	transfer_stats(&slots, &bytes);
	return bytes;
}

/* Puts a batch where there is room, else to its slabs. */
static bool put(unsigned size_class, unsigned count)
{
	void *slots[CENTRAL_BATCH];
	unsigned got = central_take(size_class, slots, count);

	if (transfer_put(size_class, slots, got))
		return true;
	central_put(size_class, slots, got);
	return false;
}

/* How often a batch is missed before a limit grows. */
static int turns_of(unsigned size_class)
{
	size_t bytes = size_classes[size_class].bytes;

	return bytes < TRANSFER_LARGE_MIN ? 1 : (int)(bytes / RUN_MISS_BYTES);
}

/* As often as batches are missed and do not fit in turn, limits grow. */
static void grow(unsigned size_class, unsigned batch)
{
	void *slots[CENTRAL_BATCH];
	unsigned got;

	for (int i = 0; i < 20 * turns_of(size_class); i++) {
		while (put(size_class, batch))
			;
		while ((got = transfer_take(size_class, slots, batch)) != 0)
			central_put(size_class, slots, got);
	}
}

static int begin(void **state)
{
	(void)state;
	heap_free(heap_malloc(1));
	transfer_drain(UINT64_MAX);
	return 0;
}

static int end(void **state)
{
	(void)state;
	transfer_drain(UINT64_MAX);
	assert_int_equal(kept(), 0);
	assert_null(heap_check());
	return 0;
}

static void test_a_stack_keeps_nothing_before_it_was_missed(void **state)
{
	void *slots[CENTRAL_BATCH];

	(void)state;
	assert_int_equal(transfer_take(class_here(), slots, 64), 0);
	for (int i = 0; i < 10; i++)
		assert_false(put(class_here(), 64));
	assert_int_equal(kept(), 0);
	assert_int_equal(transfer_take(class_here(), slots, 64), 0);
	for (int i = 0; i < 4; i++)
		assert_true(put(class_here(), 64));
	assert_false(put(class_here(), 64));
	assert_int_equal(kept(), 4 * 64);
	assert_null(heap_check());
}

static void test_the_last_batch_put_is_taken_first(void **state)
{
	void *first[CENTRAL_BATCH];
	void *last[CENTRAL_BATCH];
	void *slots[CENTRAL_BATCH];

	(void)state;
	grow(class_here(), 64);
	assert_int_equal(central_take(class_here(), first, 10), 10);
	assert_int_equal(central_take(class_here(), last, 20), 20);
	assert_true(transfer_put(class_here(), first, 10));
	assert_true(transfer_put(class_here(), last, 20));
	assert_int_equal(transfer_take(class_here(), slots, 20), 20);
	assert_memory_equal(slots, last, 20 * sizeof *slots);
	central_put(class_here(), slots, 20);
	assert_int_equal(transfer_take(class_here(), slots, 64), 10);
	assert_memory_equal(slots, first, 10 * sizeof *slots);
	central_put(class_here(), slots, 10);
}

static void test_stacks_keep_no_more_than_their_bounds(void **state)
{
	uint64_t small_bytes = 0;

	(void)state;
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		bool large = size_classes[c].bytes >= TRANSFER_LARGE_MIN;
		unsigned batch = c < 40 ? CENTRAL_BATCH : 2;
		uint64_t before = kept_bytes();

		grow(c, batch);
		while (put(c, batch))
			;
		assert_true(kept_bytes() <=
			    before + (large ? TRANSFER_LARGE_CLASS_BYTES : TRANSFER_CLASS_BYTES));
		assert_true(kept_bytes() <= TRANSFER_FIRST_BYTES + TRANSFER_CACHE_BYTES +
						    (large ? TRANSFER_LARGE_CACHE_BYTES : 0));
		if (!large)
			small_bytes = kept_bytes();
	}
	assert_true(small_bytes > (TRANSFER_FIRST_BYTES + TRANSFER_CACHE_BYTES) / 4);
	assert_true(kept_bytes() > small_bytes + TRANSFER_LARGE_CACHE_BYTES / 4);
	assert_null(heap_check());
}

static uint64_t look(uint64_t idle_before_ns)
{
	transfer_drain(idle_before_ns);
	atomic_fetch_add(&fake_os.now_ahead_ns, 1000000);
	return os_now_ns();
}

static void test_what_no_cache_needed_goes_back(void **state)
{
	void *slots[CENTRAL_BATCH];
	uint64_t looked_ns;

	(void)state;
	grow(class_here(), 64);
	for (int i = 0; i < 10; i++)
		assert_true(put(class_here(), 64));
	looked_ns = look(os_now_ns());
	assert_int_equal(kept(), 640);
	for (int i = 0; i < 3; i++)
		assert_int_equal(transfer_take(class_here(), slots + (size_t)i * 20, 20), 20);
	assert_true(transfer_put(class_here(), slots, 60));
	/* Too young to be looked at. */
	(void)look(1);
	assert_int_equal(kept(), 640);
	looked_ns = look(looked_ns);
	assert_int_equal(kept(), 60);
	/* Nobody came by: nothing stays, and nothing will be kept. */
	(void)look(looked_ns);
	assert_int_equal(kept(), 0);
	looked_ns = look(os_now_ns());
	assert_false(put(class_here(), 64));
}

static void test_a_class_that_caches_find_idle_twice_is_emptied(void **state)
{
	void *slots[CENTRAL_BATCH];

	(void)state;
	assert_false(transfer_idle(class_here()));
	grow(class_here(), 64);
	for (int i = 0; i < 3; i++)
		assert_true(put(class_here(), 64));
	assert_false(transfer_idle(class_here()));
	/* A cache came by, so that the next one is the first again. */
	assert_int_equal(transfer_take(class_here(), slots, 64), 64);
	assert_false(transfer_idle(class_here()));
	assert_true(transfer_put(class_here(), slots, 64));
	assert_false(transfer_idle(class_here()));
	assert_int_equal(kept(), 3 * 64);
	assert_true(transfer_idle(class_here()));
	assert_int_equal(kept(), 0);
	assert_false(transfer_idle(class_here()));
	assert_null(heap_check());
}

static void test_a_drain_leaves_no_memory_behind(void **state)
{
	uint64_t advised;

	(void)state;
	grow(class_here(), 64);
	while (put(class_here(), 64))
		;
	assert_true(kept() > 0);
	advised = fake_os.advised[OS_DONTNEED];
	transfer_drain(UINT64_MAX);
	assert_int_equal(kept(), 0);
	if (os_page_bytes() == 4096)
		assert_int_equal(fake_os.advised[OS_DONTNEED], advised + 1);
	advised = fake_os.advised[OS_DONTNEED];
	transfer_drain(UINT64_MAX);
	assert_int_equal(fake_os.advised[OS_DONTNEED], advised);
}

/* Each frees what another allocated, a row at a time. */
static void *_Atomic row_places[THREADS];

static void *hand_on(void *arg)
{
	size_t self = (size_t)(uintptr_t)arg;

	for (int round = 0; round < ROUNDS; round++) {
		unsigned char **row = heap_malloc(HANDED * sizeof *row);
		unsigned char **other;

		for (size_t i = 0; i < HANDED; i++) {
			row[i] = heap_malloc(SIZE + i % 3 * 100);
			memset(row[i], (int)i, SIZE);
		}
		other = atomic_exchange(&row_places[(self + round) % THREADS], (void *)row);
		for (size_t i = 0; other != NULL && i < HANDED; i++) {
			assert_int_equal(other[i][0], (unsigned char)i);
			assert_int_equal(other[i][SIZE - 1], (unsigned char)i);
			heap_free(other[i]);
		}
		heap_free(other);
		if (self == 0 && round % 50 == 49)
			transfer_drain(UINT64_MAX);
	}
	cache_thread_exit();
	return NULL;
}

static void test_threads_that_free_what_others_allocate_lose_nothing(void **state)
{
	pthread_t threads[THREADS];
	struct heap_stats stats;

	(void)state;
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, hand_on, (void *)(uintptr_t)i);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < THREADS; i++) {
		unsigned char **row = row_places[i];

		for (size_t k = 0; row != NULL && k < HANDED; k++)
			heap_free(row[k]);
		heap_free(row);
	}
	heap_stats_read(&stats);
	assert_int_equal(stats.blocks, 0);
	assert_null(heap_check());
}

static void test_the_last_thread_empties_the_stacks(void **state)
{
	(void)state;
	grow(class_here(), 64);
	assert_true(put(class_here(), 64));
	cache_thread_exit();
	assert_int_equal(kept(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_stack_keeps_nothing_before_it_was_missed, begin, end),
		cmocka_unit_test_setup_teardown(test_the_last_batch_put_is_taken_first, begin, end),
		cmocka_unit_test_setup_teardown(
			test_stacks_keep_no_more_than_their_bounds, begin, end),
		cmocka_unit_test_setup_teardown(test_what_no_cache_needed_goes_back, begin, end),
		cmocka_unit_test_setup_teardown(
			test_a_class_that_caches_find_idle_twice_is_emptied, begin, end),
		cmocka_unit_test_setup_teardown(test_a_drain_leaves_no_memory_behind, begin, end),
		cmocka_unit_test_setup_teardown(
			test_threads_that_free_what_others_allocate_lose_nothing, begin, end),
		cmocka_unit_test_setup_teardown(
			test_the_last_thread_empties_the_stacks, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
