#include "shim/heap/base/page.h"
#include "shim/heap/base/size_class.h"
#include "shim/heap/slabs/slab_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

static unsigned naive_class(size_t size)
{
	unsigned c = 1;

	while (size_classes[c].bytes < size)
		c++;
	return c;
}

static void test_every_size_gets_the_smallest_class_that_holds_it(void **state)
{
	(void)state;
	for (size_t size = 0; size <= SIZE_CLASS_MAX_BYTES; size++)
		assert_int_equal(size_class_of(size), naive_class(size));
}

/* Up to 160 bytes the alignment alone may cost more. */
static void test_no_block_costs_more_than_1_12_of_its_size(void **state)
{
	(void)state;
	for (size_t size = 1; size <= SIZE_CLASS_MAX_BYTES; size++) {
		const struct size_class *class = &size_classes[size_class_of(size)];
		size_t asked = size > 160 ? size : round_up(size, 16);

		if (class->pages * PAGE_BYTES * 100 > asked * 112 * class->slots)
			fail_msg("%zu bytes cost %zu / %u", size, class->pages * PAGE_BYTES,
				class->slots);
	}
}

static void test_classes_fill_groups_of_pages(void **state)
{
	(void)state;
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		const struct size_class *class = &size_classes[c];
		size_t tail = class->group_pages * PAGE_BYTES -
			      class->group_slots * (size_t) class->bytes;

		assert_int_equal(class->bytes % 16, 0);
		assert_true(class->bytes > size_classes[c - 1].bytes);
		assert_true(class->pages <= SIZE_CLASS_MAX_PAGES);
		assert_true(class->pages >= SLAB_GRAIN_PAGES);
		assert_true(class->slots <= SIZE_CLASS_MAX_SLOTS);
		assert_int_equal(class->pages % class->group_pages, 0);
		assert_int_equal(
			class->slots, class->pages / class->group_pages * class->group_slots);
		/* Of a tail no page begins. */
		assert_true(tail < class->bytes && tail * 16 < class->group_pages * PAGE_BYTES);
		assert_true(tail < PAGE_BYTES);
	}
}

static void test_the_classes_of_most_blocks_fit_pages(void **state)
{
	(void)state;
	for (size_t size = 1; size <= 400; size++)
		assert_true(size_class_fits_pages(&size_classes[size_class_of(size)]));
	for (size_t size = 512; size <= 2048; size *= 2)
		assert_int_equal(size_classes[size_class_of(size)].group_slots, PAGE_BYTES / size);
}

static void test_slots_are_where_division_says(void **state)
{
	(void)state;
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		const struct size_class *class = &size_classes[c];

		for (size_t slot = 0; slot < class->slots; slot++) {
			size_t offset =
				slot / class->group_slots * class->group_pages * PAGE_BYTES +
				slot % class->group_slots * class->bytes;

			assert_int_equal(size_class_offset(c, slot), offset);
			assert_int_equal(size_class_slot(c, offset), slot);
			assert_true(size_class_slot(c, offset + class->bytes - 1) == SIZE_MAX);
			for (size_t page = offset / PAGE_BYTES;
				page <= (offset + class->bytes - 1) / PAGE_BYTES; page++) {
				assert_true(size_class_slot_over(c, page, false) <= slot);
				assert_true(size_class_slot_over(c, page, true) >= slot);
			}
		}
		for (size_t page = 0; page < class->pages; page++) {
			size_t first = size_class_slot_over(c, page, false);
			size_t last = size_class_slot_over(c, page, true);

			assert_true(last < class->slots);
			assert_true(size_class_offset(c, last) / PAGE_BYTES <= page);
			assert_int_equal(
				(size_class_offset(c, first) + class->bytes - 1) / PAGE_BYTES >=
					page,
				1);
		}
	}
}

static void test_a_tail_is_no_slot(void **state)
{
	(void)state;
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		const struct size_class *class = &size_classes[c];
		size_t end = class->group_slots * (size_t) class->bytes;

		if (end != class->group_pages * PAGE_BYTES)
			assert_true(size_class_slot(c, end) == SIZE_MAX);
	}
}

static void test_a_start_is_told_from_every_other_offset(void **state)
{
	(void)state;
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		size_t bytes = size_classes[c].bytes;
		size_t end = size_classes[c].group_pages * PAGE_BYTES;

		for (size_t offset = 0; offset < end; offset++)
			if (size_class_starts(c, offset) != (offset % bytes == 0))
				fail_msg("class %u offset %zu starts", c, offset);
	}
}

static void test_a_start_behind_a_groups_last_slot_is_told(void **state)
{
	(void)state;
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		const struct size_class *class = &size_classes[c];
		size_t group_bytes = class->group_pages * PAGE_BYTES;

		for (size_t offset = 0; offset < class->pages * PAGE_BYTES; offset++)
			if (size_class_starts(c, offset % group_bytes) &&
				size_class_started(class, offset) != size_class_slot(c, offset))
				fail_msg("class %u offset %zu", c, offset);
	}
}

static void test_every_other_offset_is_no_slot(void **state)
{
	(void)state;
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		const struct size_class *class = &size_classes[c];
		size_t slot = 0;

		for (size_t offset = 0; offset < class->pages * PAGE_BYTES; offset++) {
			bool starts = slot < class->slots && size_class_offset(c, slot) == offset;

			if (size_class_slot(c, offset) != (starts ? slot : SIZE_MAX))
				fail_msg("class %u offset %zu", c, offset);
			slot += starts;
		}
		assert_int_equal(slot, class->slots);
	}
}

static void test_aligned_class_is_a_multiple_of_the_alignment(void **state)
{
	(void)state;
	for (size_t alignment = 1; alignment <= PAGE_BYTES; alignment *= 2) {
		for (size_t size = 0; size <= SIZE_CLASS_MAX_BYTES; size += 7) {
			unsigned c = size_class_aligned(size, alignment);

			assert_int_not_equal(c, 0);
			assert_true(size_classes[c].bytes >= size);
			assert_int_equal(size_classes[c].bytes % alignment, 0);
		}
	}
	assert_int_equal(size_class_aligned(1, 2 * PAGE_BYTES), 0);
	assert_int_equal(size_class_aligned(SIZE_CLASS_MAX_BYTES + 1, 16), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_size_gets_the_smallest_class_that_holds_it),
		cmocka_unit_test(test_no_block_costs_more_than_1_12_of_its_size),
		cmocka_unit_test(test_classes_fill_groups_of_pages),
		cmocka_unit_test(test_the_classes_of_most_blocks_fit_pages),
		cmocka_unit_test(test_slots_are_where_division_says),
		cmocka_unit_test(test_a_tail_is_no_slot),
		cmocka_unit_test(test_a_start_is_told_from_every_other_offset),
		cmocka_unit_test(test_a_start_behind_a_groups_last_slot_is_told),
		cmocka_unit_test(test_every_other_offset_is_no_slot),
		cmocka_unit_test(test_aligned_class_is_a_multiple_of_the_alignment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
