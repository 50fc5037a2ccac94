#include "shim/heap/base/freed.h"

#include "shim/heap/front/heap.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((size_t)1 << 20)

static _Atomic unsigned calls;

static void on_freed(void)
{
	atomic_fetch_add(&calls, 1);
}

static void expect_from(uint64_t bytes)
{
	atomic_store(&calls, 0);
	freed_set_hook(bytes, on_freed);
}

static void test_large_blocks_count_once_they_are_free(void **state)
{
	void *blocks[3];

	(void)state;
	for (size_t i = 0; i < 3; i++)
		blocks[i] = heap_malloc(MIB / 2);
	expect_from(MIB);
	heap_free(blocks[0]);
	assert_int_equal(calls, 0);
	heap_free(blocks[1]);
	assert_int_equal(calls, 1);
	heap_free(blocks[2]);
	assert_int_equal(calls, 1);
}

static void test_a_block_that_shrinks_counts(void **state)
{
	void *block = heap_malloc(4 * MIB);

	(void)state;
	/* What nobody touched is no idle memory. */
	memset(block, 1, 4 * MIB);
	expect_from(2 * MIB);
	assert_ptr_equal(heap_realloc(block, MIB), block);
	assert_int_equal(calls, 1);
	heap_free(block);
}

/* None of these leaves a page free. */
static void test_slots_of_slabs_in_use_count(void **state)
{
	static void *blocks[64 * 1024];
	size_t count = sizeof blocks / sizeof blocks[0];

	(void)state;
	for (size_t i = 0; i < count; i++)
		blocks[i] = heap_malloc(100);
	expect_from(2 * MIB);
	for (size_t i = 0; i < count; i += 2)
		heap_free(blocks[i]);
	assert_int_equal(calls, 1);
	freed_set_hook(0, NULL);
	for (size_t i = 1; i < count; i += 2)
		heap_free(blocks[i]);
}

static void test_nobody_is_called_after_the_hook_is_gone(void **state)
{
	void *block = heap_malloc(2 * MIB);

	(void)state;
	expect_from(MIB);
	freed_set_hook(0, NULL);
	heap_free(block);
	assert_int_equal(calls, 0);
}

static void *free_some(void *unused)
{
	for (size_t i = 0; i < 200; i++)
		heap_free(heap_malloc(MIB));
	return unused;
}

static void test_threads_that_free_at_once_call_once(void **state)
{
	pthread_t threads[4];

	(void)state;
	expect_from(100 * MIB);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, free_some, NULL), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(calls, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_blocks_count_once_they_are_free),
		cmocka_unit_test(test_a_block_that_shrinks_counts),
		cmocka_unit_test(test_slots_of_slabs_in_use_count),
		cmocka_unit_test(test_nobody_is_called_after_the_hook_is_gone),
		cmocka_unit_test(test_threads_that_free_at_once_call_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
