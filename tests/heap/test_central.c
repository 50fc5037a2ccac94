#include "shim/heap/base/os.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/slabs/central.h"
#include "shim/heap/slabs/holes.h"
#include "tests/support/fake_os.h"
#include "tests/support/panic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

static uint64_t in_use_bytes(void)
{
	struct heap_stats stats;

	heap_stats_read(&stats);
	return stats.in_use_bytes;
}

static void turn_around(void **slots, unsigned count)
{
	for (unsigned i = 0; i < count / 2; i++) {
		void *slot = slots[i];

		slots[i] = slots[count - 1 - i];
		slots[count - 1 - i] = slot;
	}
}

/* The lowest first. */
static unsigned take_many(unsigned size_class, void **slots, unsigned want)
{
	unsigned got = 0;

	while (got < want) {
		unsigned batch = want - got < CENTRAL_BATCH ? want - got : CENTRAL_BATCH;
		unsigned part = central_take(size_class, slots + got, batch);

		turn_around(slots + got, part);
		got += part;
	}
	return got;
}

static void test_one_empty_slab_of_a_class_stays_and_dissolves(void **state)
{
	unsigned c = size_class_of(1024);
	unsigned slots_each = size_classes[c].slots;
	uint64_t slab_bytes = size_classes[c].pages * (uint64_t)4096;
	void *slots[1000];

	(void)state;
	assert_int_equal(take_many(c, slots, 3 * slots_each), 3 * slots_each);
	assert_int_equal(in_use_bytes(), 3 * slab_bytes);
	for (unsigned i = 0; i < 3 * slots_each; i++)
		central_put(c, slots + i, 1);
	assert_int_equal(in_use_bytes(), slab_bytes);
	assert_null(heap_check());
	central_dissolve(UINT64_MAX);
	assert_int_equal(in_use_bytes(), 0);
	assert_null(heap_check());
}

static void test_the_lowest_slab_serves_first_and_high_ones_empty(void **state)
{
	unsigned c = size_class_of(2048);
	unsigned each = size_classes[c].slots;
	void *slots[400];
	void *again[400];

	(void)state;
	take_many(c, slots, 10 * each);
	for (unsigned i = 0; i < 10 * each; i += 2)
		central_put(c, slots + i, 1);
	take_many(c, again, 5 * each);
	for (unsigned i = 0; i < 5 * each; i++)
		assert_ptr_equal(again[i], slots[(size_t)2 * i]);
	for (unsigned i = 1; i < 10 * each; i += 2)
		central_put(c, slots + i, 1);
	central_put(c, again, 5 * each);
	central_dissolve(UINT64_MAX);
	assert_int_equal(in_use_bytes(), 0);
}

static int advise_nothing(void *with, const struct os_range *ranges, size_t count)
{
	size_t *bytes = with;

	for (size_t i = 0; i < count; i++)
		*bytes += ranges[i].bytes;
	return 0;
}

static void test_making_holes_is_bounded_and_goes_on(void **state)
{
	unsigned c = size_class_of(4096);
	unsigned each = size_classes[c].slots;
	struct hole_wants wants = {.max_bytes = (uint64_t)10 * 4096, .idle_before_ns = UINT64_MAX};
	uint64_t clean = 0;
	size_t advised = 0;
	void *slots[400];
	unsigned passes = 0;

	(void)state;
	take_many(c, slots, 20 * each);
	for (unsigned i = 0; i < 20 * each; i++)
		if (i % each != 0)
			central_put(c, slots + i, 1);
	while (holes_make(advise_nothing, &advised, &wants, &clean)) {
		passes++;
		assert_int_equal(clean, (uint64_t)passes * 10 * 4096);
		assert_null(heap_check());
	}
	assert_int_equal(clean, (uint64_t)20 * (each - 1) * 4096);
	assert_int_equal(advised, clean);
	assert_true(passes >= 20 * (each - 1) / 10 - 1);
	for (unsigned i = 0; i < 20 * each; i += each)
		central_put(c, slots + i, 1);
	central_dissolve(UINT64_MAX);
	assert_int_equal(in_use_bytes(), 0);
	assert_null(heap_check());
}

static void rest(void)
{
	atomic_fetch_add(&fake_os.now_ahead_ns, 20000000);
}

static void test_pages_that_idle_in_a_slab_in_use_become_holes(void **state)
{
	unsigned c = size_class_of(2048);
	unsigned each = size_classes[c].slots;
	struct hole_wants wants = {.max_bytes = UINT64_MAX, .idle_before_ns = 1};
	uint64_t clean = 0;
	size_t advised = 0;
	void *slots[64];

	(void)state;
	take_many(c, slots, each);
	central_put(c, slots + 1, each - 1);
	/* Nothing idled for long; pages go on trial. */
	holes_make(advise_nothing, &advised, &wants, &clean);
	assert_int_equal(clean, 0);
	rest();
	wants.idle_before_ns = os_now_ns();
	rest();
	/* Out of the first two pages slots go and come. */
	assert_int_equal(central_take(c, slots + 1, 2), 2);
	central_put(c, slots + 1, 2);
	holes_make(advise_nothing, &advised, &wants, &clean);
	assert_int_equal(clean, (size_classes[c].pages - 2) * 4096);
	assert_null(heap_check());
	/* The second page is on trial again since that look, and goes at the next one. */
	rest();
	wants.idle_before_ns = os_now_ns();
	rest();
	assert_int_equal(central_take(c, slots + 1, 1), 1);
	central_put(c, slots + 1, 1);
	holes_make(advise_nothing, &advised, &wants, &clean);
	assert_int_equal(clean, (size_classes[c].pages - 1) * 4096);
	central_put(c, slots, 1);
	central_dissolve(UINT64_MAX);
	assert_int_equal(in_use_bytes(), 0);
	assert_null(heap_check());
}

static void put_in_wrong_class(void *arg)
{
	void *slot;

	(void)arg;
	central_take(size_class_of(100), &slot, 1);
	central_put(size_class_of(200), &slot, 1);
}

static void test_a_slot_of_another_class_is_refused(void **state)
{
	(void)state;
	assert_true(panic_says(put_in_wrong_class, NULL, "free(): invalid pointer 0x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_empty_slab_of_a_class_stays_and_dissolves),
		cmocka_unit_test(test_the_lowest_slab_serves_first_and_high_ones_empty),
		cmocka_unit_test(test_making_holes_is_bounded_and_goes_on),
		cmocka_unit_test(test_pages_that_idle_in_a_slab_in_use_become_holes),
		cmocka_unit_test(test_a_slot_of_another_class_is_refused),
	};

	atomic_store(&fake_os.now_stands_ns, UINT64_C(1000000000000000));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
