#include "shim/heap/pages/page_map.h"
#include "shim/heap/pages/span.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define GIB ((uintptr_t)1 << 30)

static struct span *some_span(void)
{
	static _Alignas(128) unsigned char record[256];

	return (struct span *)record;
}

static void test_any_address_may_be_looked_up(void **state)
{
	int local;

	(void)state;
	assert_true(page_map_get(NULL) == 0);
	assert_true(page_map_get(&local) == 0);
	for (unsigned shift = 0; shift < 64; shift++)
		assert_true(page_map_get((void *)((uintptr_t)1 << shift)) == 0);
	assert_true(page_map_get((void *)UINTPTR_MAX) == 0);
}

static void test_entries_tell_span_class_and_offset_across_leaves(void **state)
{
	uintptr_t start = 5 * GIB - 3 * PAGE_BYTES;
	unsigned c = size_class_of(10000);

	(void)state;
	assert_int_equal(size_classes[c].group_pages, size_classes[c].pages);
	assert_true(page_map_cover(start, 6 * PAGE_BYTES));
	page_map_set(start, 6, some_span(), c);
	for (size_t offset = 0; offset < 6 * PAGE_BYTES; offset += 1000) {
		void *at = (void *)(start + offset);
		uint64_t entry = page_map_get(at);

		assert_ptr_equal(page_map_span(entry), some_span());
		assert_int_equal(page_map_class(entry), c);
		assert_int_equal(page_map_offset(entry, at) % size_classes[c].bytes,
			offset % size_classes[c].bytes);
		assert_true(page_map_offset(entry, at) < size_classes[c].bytes + PAGE_BYTES);
	}
	assert_true(page_map_get((void *)(start - 1)) == 0);
	assert_true(page_map_get((void *)(start + 6 * PAGE_BYTES)) == 0);
	page_map_set(start, 6, NULL, 0);
	assert_true(page_map_get((void *)start) == 0);
}

static void test_an_entry_is_claimed_once(void **state)
{
	uintptr_t start = 7 * GIB;
	uint64_t entry;

	(void)state;
	assert_true(page_map_cover(start, PAGE_BYTES));
	page_map_set(start, 1, some_span(), 0);
	entry = page_map_get((void *)start);
	assert_true(page_map_claim(start, entry));
	assert_false(page_map_claim(start, entry));
	assert_true(page_map_get((void *)start) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_address_may_be_looked_up),
		cmocka_unit_test(test_entries_tell_span_class_and_offset_across_leaves),
		cmocka_unit_test(test_an_entry_is_claimed_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
