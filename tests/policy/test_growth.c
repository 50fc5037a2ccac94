#include "tests/policy/fixture.h"

#include "supervisor/policy/growth.h"

static void test_steady_growth_is_its_rate_at_any_pace_of_reading(void **state)
{
	(void)state;
	static const uint64_t paces_ms[] = {1, 10, 50, 250, 1000, 5000};
	for (size_t p = 0; p < sizeof paces_ms / sizeof paces_ms[0]; p++) {
		struct growth growth = {.count = 0};
		for (uint64_t ms = 100; ms <= 20000; ms += paces_ms[p])
			growth_step(&growth, ms, 20 * MIB * ms / 1000);
		uint64_t rate = growth_bytes_per_s(&growth, 0);
		assert_in_range(rate, 20 * MIB - 1000, 20 * MIB + 1000);
	}
}

static void test_one_reading_is_no_growth(void **state)
{
	(void)state;
	struct growth growth = {.count = 0};
	assert_int_equal(growth_bytes_per_s(&growth, 0), 0);
	growth_step(&growth, 10, GIB);
	assert_int_equal(growth_bytes_per_s(&growth, 0), 0);
	assert_false(growth_is_falling(&growth));
}

static void test_burst_is_seen_at_the_first_reading_after_it(void **state)
{
	(void)state;
	struct growth growth = {.count = 0};
	uint64_t ms = 0;
	for (; ms < 5000; ms += 10)
		growth_step(&growth, ms, 100 * MIB);
	assert_int_equal(growth_bytes_per_s(&growth, 0), 0);
	growth_step(&growth, ms, 117 * MIB);
	assert_int_equal(growth_bytes_per_s(&growth, 0), 17 * MIB * 4);
}

static void test_equal_times_do_not_divide_by_zero_and_the_newer_wins(void **state)
{
	(void)state;
	struct growth growth = {.count = 0};
	growth_step(&growth, 5, 10 * MIB);
	growth_step(&growth, 5, 20 * MIB);
	growth_step(&growth, 5, 30 * MIB);
	assert_int_equal(growth_bytes_per_s(&growth, 0), 0);
	growth_step(&growth, 505, 40 * MIB);
	assert_int_equal(growth_bytes_per_s(&growth, 0), 20 * MIB);
}

static void test_shrinking_is_no_growth_and_regrowth_counts_from_the_bottom(void **state)
{
	(void)state;
	struct growth growth = {.count = 0};
	growth_step(&growth, 0, 200 * MIB);
	growth_step(&growth, 100, 100 * MIB);
	assert_int_equal(growth_bytes_per_s(&growth, 0), 0);
	assert_true(growth_is_falling(&growth));
	growth_step(&growth, 600, 150 * MIB);
	assert_int_equal(growth_bytes_per_s(&growth, 0), 100 * MIB);
	assert_false(growth_is_falling(&growth));
}

static void test_growth_is_forgotten_after_its_window(void **state)
{
	(void)state;
	struct growth growth = {.count = 0};
	growth_step(&growth, 0, 0);
	for (uint64_t ms = 50; ms <= 1200; ms += 50)
		growth_step(&growth, ms, 100 * MIB);
	assert_int_equal(growth_bytes_per_s(&growth, 0), 0);
}

static void test_small_rise_is_no_growth(void **state)
{
	(void)state;
	struct growth growth = {.count = 0};
	growth_step(&growth, 0, 10 * MIB);
	growth_step(&growth, 100, 14 * MIB);
	assert_int_equal(growth_bytes_per_s(&growth, 4 * MIB), 0);
	growth_step(&growth, 200, 14 * MIB + 1);
	assert_in_range(growth_bytes_per_s(&growth, 4 * MIB), 16 * MIB, 17 * MIB);
}

static void test_clock_running_backwards_starts_anew(void **state)
{
	(void)state;
	struct growth growth = {.count = 0};
	growth_step(&growth, 1000, 0);
	growth_step(&growth, 2000, 10 * MIB);
	growth_step(&growth, 500, 20 * MIB);
	assert_int_equal(growth_bytes_per_s(&growth, 0), 0);
	growth_step(&growth, 1500, 30 * MIB);
	assert_int_equal(growth_bytes_per_s(&growth, 0), 10 * MIB);
}

static void test_time_to_wall(void **state)
{
	(void)state;
	assert_int_equal(growth_time_to_wall_ms(0, 100), GROWTH_NEVER_MS);
	assert_int_equal(growth_time_to_wall_ms(100 * MIB, 50 * MIB), 500);
	assert_int_equal(growth_time_to_wall_ms(1, UINT64_MAX), UINT64_MAX);
	assert_int_equal(growth_time_to_wall_ms(UINT64_MAX, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steady_growth_is_its_rate_at_any_pace_of_reading),
		cmocka_unit_test(test_one_reading_is_no_growth),
		cmocka_unit_test(test_burst_is_seen_at_the_first_reading_after_it),
		cmocka_unit_test(test_equal_times_do_not_divide_by_zero_and_the_newer_wins),
		cmocka_unit_test(test_shrinking_is_no_growth_and_regrowth_counts_from_the_bottom),
		cmocka_unit_test(test_growth_is_forgotten_after_its_window),
		cmocka_unit_test(test_small_rise_is_no_growth),
		cmocka_unit_test(test_clock_running_backwards_starts_anew),
		cmocka_unit_test(test_time_to_wall),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
