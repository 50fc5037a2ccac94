#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/scavenge.h"
#include "tests/support/panic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

static void free_at_once_again(void *arg)
{
	(void)arg;
	void *block = heap_malloc(100);

	heap_free(block);
	heap_free(block);
}

static void free_again_after_others(void *arg)
{
	(void)arg;
	void *block = heap_malloc(100);
	void *other = heap_malloc(100);

	heap_free(block);
	heap_free(other);
	heap_free(block);
	cache_thread_exit();
}

static void free_again_after_scavenging(void *arg)
{
	struct heap_pass pass = {
		.level = HEAP_FULL, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};
	void *kept = heap_malloc(100);
	void *block = heap_malloc(100);

	(void)arg;
	heap_free(block);
	heap_scavenge(&pass, HEAP_BY_FULL);
	heap_free(block);
	heap_scavenge(&pass, HEAP_BY_FULL);
	heap_free(kept);
}

static void free_inside(void *arg)
{
	char *block = heap_malloc(100);

	heap_free(block + *(size_t *)arg);
}

static void free_large_inside(void *arg)
{
	char *block = heap_malloc(100000);

	heap_free(block + *(size_t *)arg);
}

static void free_large_again(void *arg)
{
	void *block = heap_malloc(200000);

	(void)arg;
	heap_free(block);
	heap_free(block);
}

static void free_address(void *arg)
{
	heap_free(arg);
}

static void size_of_address(void *arg)
{
	if (heap_usable_size(arg) != 1)
		heap_malloc(1);
}

static void realloc_address(void *arg)
{
	if (heap_realloc(arg, 100) == NULL)
		heap_malloc(1);
}

static void test_double_free_is_told(void **state)
{
	(void)state;
	assert_true(panic_says(free_at_once_again, NULL, "free(): double free 0x"));
	assert_true(panic_says(free_again_after_others, NULL, "free(): double free 0x"));
	assert_true(panic_says(free_again_after_scavenging, NULL, "free(): double free 0x"));
	assert_true(panic_says(free_large_again, NULL, "free(): invalid pointer 0x"));
}

static void test_pointer_into_a_block_is_told(void **state)
{
	static size_t offsets[] = {1, 8, 16, 96};
	static size_t large_offsets[] = {1, 16, 4096, 8192};

	(void)state;
	for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++)
		assert_true(panic_says(free_inside, &offsets[i], "free(): invalid pointer 0x"));
	for (size_t i = 0; i < sizeof large_offsets / sizeof large_offsets[0]; i++)
		assert_true(panic_says(
			free_large_inside, &large_offsets[i], "free(): invalid pointer 0x"));
}

static void test_foreign_pointer_is_told_with_its_address(void **state)
{
	static char data[64];
	int local;

	(void)state;
	assert_true(panic_says(free_address, (void *)0x1234, "free(): invalid pointer 0x1234\n"));
	assert_true(panic_says(free_address, data, "free(): invalid pointer 0x"));
	assert_true(panic_says(free_address, &local, "free(): invalid pointer 0x"));
	assert_true(panic_says(free_address, (void *)~(uintptr_t)15,
		"free(): invalid pointer 0xfffffffffffffff0\n"));
	assert_true(panic_says(size_of_address, data, "malloc_usable_size(): invalid pointer 0x"));
	assert_true(panic_says(realloc_address, data, "realloc(): invalid pointer 0x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_double_free_is_told),
		cmocka_unit_test(test_pointer_into_a_block_is_told),
		cmocka_unit_test(test_foreign_pointer_is_told_with_its_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
