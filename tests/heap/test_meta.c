#include "shim/heap/base/meta.h"
#include "shim/heap/base/page.h"
#include "tests/support/fake_os.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

static void test_records_are_aligned_apart_and_reused(void **state)
{
	unsigned char *records[1000];
	uint64_t before;

	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		records[i] = meta_take(1 + i % META_REUSED_BYTES);
		assert_non_null(records[i]);
		assert_int_equal((uintptr_t)records[i] % META_ALIGNMENT, 0);
		memset(records[i], (int)i, 1 + i % META_REUSED_BYTES);
	}
	for (size_t i = 0; i < 1000; i++)
		for (size_t k = 0; k < 1 + i % META_REUSED_BYTES; k++)
			assert_int_equal(records[i][k], (unsigned char)i);
	before = meta_bytes();
	for (size_t i = 0; i < 1000; i++)
		meta_put(records[i], 1 + i % META_REUSED_BYTES);
	for (size_t i = 0; i < 1000; i++)
		assert_non_null(meta_take(1 + i % META_REUSED_BYTES));
	assert_int_equal(meta_bytes(), before);
}

static void test_only_pages_cut_into_count(void **state)
{
	uint64_t before = meta_bytes();

	(void)state;
	assert_non_null(meta_take(100000));
	assert_true(meta_bytes() - before >= 96 << 10);
	assert_true(meta_bytes() - before <= 104 << 10);
}

static void test_large_reservations_refused_are_tried_smaller(void **state)
{
	(void)state;
	atomic_store(&fake_os.reserve_bytes_max, 1 << 20);
	for (int i = 0; i < 3000; i++)
		assert_non_null(meta_take(200000));
	atomic_store(&fake_os.reserve_bytes_max, 1);
	for (int i = 0; i < 10; i++)
		if (meta_take(200000) == NULL)
			break;
	assert_null(meta_take(200000));
	atomic_store(&fake_os.reserve_bytes_max, 0);
	assert_non_null(meta_take(200000));
}

static void test_pages_of_free_records_go_back_and_come_again(void **state)
{
	enum { COUNT = 20000, AREAS = 10 };
	static unsigned char *records[COUNT];
	uint64_t before = meta_bytes();
	uint64_t grown;
	size_t gone;

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		records[i] = meta_take(256);
		memset(records[i], 1, 256);
	}
	grown = meta_bytes() - before;
	assert_true(grown >= COUNT * (uint64_t)256 && grown < COUNT * (uint64_t)256 * 102 / 100);
	for (size_t i = 0; i < COUNT; i++)
		if (i % 1000 != 0)
			meta_put(records[i], 256);
	/* All but those, those of one that lives, and the first ones of some areas. */
	gone = meta_give_back(100, SIZE_MAX);
	assert_in_range(gone, grown / PAGE_BYTES - 100 - COUNT / 1000 - AREAS,
		grown / PAGE_BYTES - 100 - COUNT / 1000);
	assert_null(meta_check_locked());
	assert_int_equal(meta_give_back(0, 30), 30);
	assert_int_equal(meta_give_back(0, SIZE_MAX), 70);
	assert_int_equal(meta_give_back(0, SIZE_MAX), 0);
	assert_int_equal(meta_bytes() - before, grown - (gone + 100) * PAGE_BYTES);
	/* Those that live are as they were, and what went serves again. */
	for (size_t i = 0; i < COUNT; i += 1000)
		assert_int_equal(records[i][255], 1);
	for (size_t i = 0; i < COUNT; i++)
		if (i % 1000 != 0) {
			records[i] = meta_take(256);
			memset(records[i], 2, 256);
		}
	assert_int_equal(meta_bytes() - before, grown);
	for (size_t i = 0; i < COUNT; i++)
		meta_put(records[i], 256);
	assert_null(meta_check_locked());
}

static void test_the_lowest_page_with_room_serves_first(void **state)
{
	enum { COUNT = 320 };
	static unsigned char *records[COUNT];

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		records[i] = meta_take(512);
	for (size_t i = 0; i < COUNT; i++)
		meta_put(records[COUNT - 1 - i], 512);
	for (size_t i = 0; i < COUNT; i++)
		assert_ptr_equal(meta_take(512), records[i]);
	for (size_t i = 0; i < COUNT; i++)
		meta_put(records[i], 512);
}

static void test_pages_that_the_kernel_keeps_stay_as_they_were(void **state)
{
	enum { COUNT = 3200 };
	static void *records[COUNT];
	uint64_t before;

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		records[i] = meta_take(128);
	for (size_t i = 0; i < COUNT; i++)
		meta_put(records[i], 128);
	before = meta_bytes();
	atomic_store(&fake_os.refuse_advice, true);
	assert_int_equal(meta_give_back(0, SIZE_MAX), 0);
	atomic_store(&fake_os.refuse_advice, false);
	assert_int_equal(meta_bytes(), before);
	assert_null(meta_check_locked());
	assert_true(meta_give_back(0, SIZE_MAX) >= COUNT / 32 - 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_are_aligned_apart_and_reused),
		cmocka_unit_test(test_pages_of_free_records_go_back_and_come_again),
		cmocka_unit_test(test_the_lowest_page_with_room_serves_first),
		cmocka_unit_test(test_pages_that_the_kernel_keeps_stay_as_they_were),
		cmocka_unit_test(test_only_pages_cut_into_count),
		cmocka_unit_test(test_large_reservations_refused_are_tried_smaller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
