#include "shim/heap/meta.h"
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records_are_aligned_apart_and_reused),
		cmocka_unit_test(test_only_pages_cut_into_count),
		cmocka_unit_test(test_large_reservations_refused_are_tried_smaller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
