#include "shim/heap/front/heap.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/pages/page_map.h"
#include "shim/heap/pages/span.h"
#include "shim/heap/slabs/central.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

/* Each damage must be seen, and mending it must satisfy the check again. */

static void *blocks[3];
static struct span *slab;

static int setup(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		blocks[i] = heap_malloc(5000);
	slab = page_map_span(page_map_get(blocks[0]));
	return heap_check() != NULL;
}

static void expect(const char *part)
{
	const char *wrong = heap_check();

	assert_non_null(wrong);
	if (strstr(wrong, part) == NULL)
		fail_msg("said: %s", wrong);
}

static void test_miscounted_slots_are_seen(void **state)
{
	(void)state;
	slab->ready_slots++;
	expect("counts differ");
	slab->ready_slots--;
	assert_null(heap_check());
}

static void test_a_lost_free_bit_is_seen(void **state)
{
	uint64_t ready = slab->ready[0];

	(void)state;
	slab->ready[0] &= ready - 1;
	expect("counts differ");
	slab->ready[0] = ready;
	assert_null(heap_check());
}

static void test_a_hole_under_a_ready_slot_is_seen(void **state)
{
	(void)state;
	slab->hole = (uint64_t)1 << (size_classes[slab->size_class].pages - 1);
	expect("hole");
	slab->hole = 0;
	assert_null(heap_check());
}

static void test_a_wrong_page_map_entry_is_seen(void **state)
{
	(void)state;
	page_map_set(slab->start + PAGE_BYTES, 1, NULL, 0);
	expect("page map");
	page_map_set(slab->start, size_classes[slab->size_class].pages, slab, slab->size_class);
	assert_null(heap_check());
}

static void test_a_slab_missing_from_its_set_is_seen(void **state)
{
	(void)state;
	slab->listed = false;
	expect("set");
	slab->listed = true;
	assert_null(heap_check());
}

static void test_wrong_page_counters_are_seen(void **state)
{
	(void)state;
	page_heap_hole_made(1);
	expect("counter");
	page_heap_hole_filled(1, 0);
	assert_null(heap_check());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_miscounted_slots_are_seen),
		cmocka_unit_test(test_a_lost_free_bit_is_seen),
		cmocka_unit_test(test_a_hole_under_a_ready_slot_is_seen),
		cmocka_unit_test(test_a_wrong_page_map_entry_is_seen),
		cmocka_unit_test(test_a_slab_missing_from_its_set_is_seen),
		cmocka_unit_test(test_wrong_page_counters_are_seen),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
