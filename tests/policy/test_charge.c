#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor/policy/charge.h"

#define MIB ((uint64_t)1 << 20)

/* 100 MiB used, 40 MiB given back so far. */
static struct charge begun(void)
{
	struct charge charge = {0};
	charge_step(&charge, 100 * MIB, 40 * MIB, 1000);
	return charge;
}

static void test_a_rise_of_usage_is_charged(void **state)
{
	(void)state;
	struct charge charge = begun();
	assert_int_equal(charge_step(&charge, 112 * MIB, 40 * MIB, 1010), 12 * MIB);
	assert_int_equal(charge_step(&charge, 112 * MIB, 40 * MIB, 1020), 0);
}

static void test_so_is_what_was_given_back_while_usage_stood(void **state)
{
	(void)state;
	struct charge charge = begun();
	assert_int_equal(charge_step(&charge, 100 * MIB, 60 * MIB, 1010), 20 * MIB);
	assert_int_equal(charge_step(&charge, 105 * MIB, 70 * MIB, 1020), 15 * MIB);
	/* 60 went and 25 came. */
	assert_int_equal(charge_step(&charge, 70 * MIB, 130 * MIB, 1030), 25 * MIB);
}

static void test_a_fall_is_seen_before_the_heaps_tell_of_it(void **state)
{
	(void)state;
	struct charge charge = begun();
	assert_int_equal(charge_step(&charge, 60 * MIB, 40 * MIB, 1010), 0);
	assert_int_equal(charge_step(&charge, 50 * MIB, 40 * MIB, 1020), 0);
	/* 70 in all, of which 50 were seen to go: 20 came meanwhile. */
	assert_int_equal(charge_step(&charge, 50 * MIB, 110 * MIB, 1030), 20 * MIB);
	assert_int_equal(charge_step(&charge, 50 * MIB, 115 * MIB, 1040), 5 * MIB);
}

static void test_a_fall_that_no_heap_explains_is_forgotten(void **state)
{
	(void)state;
	struct charge charge = begun();
	charge_step(&charge, 50 * MIB, 40 * MIB, 1010);
	assert_int_equal(charge_step(&charge, 50 * MIB, 60 * MIB, 1099), 0);
	assert_int_equal(charge_step(&charge, 50 * MIB, 60 * MIB, 1150), 0);
	/* 30 are left of it, for so long. */
	assert_int_equal(charge_step(&charge, 50 * MIB, 70 * MIB, 1249), 0);
	assert_int_equal(charge_step(&charge, 50 * MIB, 80 * MIB, 1250), 10 * MIB);
}

static void test_heaps_that_begin_anew_have_given_nothing(void **state)
{
	(void)state;
	struct charge charge = begun();
	assert_int_equal(charge_step(&charge, 101 * MIB, 0, 1010), MIB);
	assert_int_equal(charge_step(&charge, 101 * MIB, 2 * MIB, 1020), 2 * MIB);
	assert_int_equal(charge_step(&charge, UINT64_MAX, UINT64_MAX, 1030), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_rise_of_usage_is_charged),
		cmocka_unit_test(test_so_is_what_was_given_back_while_usage_stood),
		cmocka_unit_test(test_a_fall_is_seen_before_the_heaps_tell_of_it),
		cmocka_unit_test(test_a_fall_that_no_heap_explains_is_forgotten),
		cmocka_unit_test(test_heaps_that_begin_anew_have_given_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
