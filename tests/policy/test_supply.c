#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include "supervisor/policy/supply.h"

#define MIB ((uint64_t)1024 * 1024)

static void test_what_was_not_measured_costs_the_usual(void **state)
{
	(void)state;
	assert_int_equal(supply_page_ns(0), SUPPLY_PAGE_NS);
	assert_int_equal(supply_page_ns(1), 1);
	assert_true(supply_page_ns(UINT64_MAX) == UINT64_MAX);
}

static void test_the_cheapest_give_first_and_equals_by_what_they_hold(void **state)
{
	(void)state;
	static const uint64_t page_ns[] = {3000, 400, 300, UINT64_MAX};
	static const uint64_t idle_mib[] = {20, 30, 10, 20};
	static const struct {
		uint64_t missing_mib;
		uint64_t part_mib[4];
	} rows[] = {
		{20, {0, 15, 5, 0}},
		{40, {0, 30, 10, 0}},
		{50, {10, 30, 10, 0}},
		{79, {20, 30, 10, 19}},
		{80, {20, 30, 10, 20}},
		{160, {40, 60, 20, 40}},
	};
	struct supply supply = {.idle_bytes = 0};
	for (size_t i = 0; i < 4; i++)
		supply_add(&supply, page_ns[i], idle_mib[i] * MIB);
	for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
		for (size_t i = 0; i < 4; i++)
			assert_int_equal(supply_part(&supply, rows[r].missing_mib * MIB, page_ns[i],
						 idle_mib[i] * MIB),
				rows[r].part_mib[i] * MIB);
}

static void test_of_those_who_hold_nothing_each_gives_the_same(void **state)
{
	(void)state;
	struct supply supply = {.idle_bytes = 0};
	supply_add(&supply, 300, 0);
	supply_add(&supply, 6000, 0);
	assert_int_equal(supply_part(&supply, 8 * MIB, 6000, 0), 4 * MIB);
	/* And nothing while another one holds something. */
	supply_add(&supply, 300, UINT64_MAX);
	supply_add(&supply, 300, UINT64_MAX);
	assert_int_equal(supply_part(&supply, 8 * MIB, 300, 0), 0);
	assert_true(supply_part(&supply, 8 * MIB, 300, UINT64_MAX) <= 8 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_not_measured_costs_the_usual),
		cmocka_unit_test(test_the_cheapest_give_first_and_equals_by_what_they_hold),
		cmocka_unit_test(test_of_those_who_hold_nothing_each_gives_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
