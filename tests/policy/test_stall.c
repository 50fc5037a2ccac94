#include "tests/policy/fixture.h"

#include "supervisor/policy/stall.h"

static const struct config_psi some_2s = {CONFIG_PSI_SOME, 50, 2000};
static const struct config_psi full_2s = {CONFIG_PSI_FULL, 50, 2000};

static void give(struct stall *stall, uint64_t ms, uint64_t some_us, uint64_t full_us)
{
	struct stall_sample sample = {
		.known = true, .read_ms = ms, .some_us = some_us, .full_us = full_us};
	stall_step(stall, &sample);
}

static void test_share_of_a_full_window(void **state)
{
	(void)state;
	struct stall stall = {.count = 0};
	for (uint64_t ms = 0; ms <= 4000; ms += 250)
		give(&stall, ms, ms * 100, ms * 20);
	assert_int_equal(stall_permille(&stall, some_2s, 4000), 100);
	assert_int_equal(stall_permille(&stall, full_2s, 4000), 20);
}

static void test_short_history_is_measured_against_the_whole_window(void **state)
{
	(void)state;
	struct stall stall = {.count = 0};
	give(&stall, 1000, 0, 0);
	assert_int_equal(stall_permille(&stall, some_2s, 1000), 0);
	give(&stall, 1250, 100000, 0);
	assert_int_equal(stall_permille(&stall, some_2s, 1250), 50);
}

static void test_same_reading_counts_once(void **state)
{
	(void)state;
	struct stall stall = {.count = 0};
	give(&stall, 0, 0, 0);
	for (int i = 0; i < 100; i++)
		give(&stall, 250, 200000, 0);
	assert_int_equal(stall.count, 2);
	assert_int_equal(stall_permille(&stall, some_2s, 260), 100);
}

static void test_totals_running_backwards_start_anew(void **state)
{
	(void)state;
	struct stall stall = {.count = 0};
	give(&stall, 0, 5000000, 0);
	give(&stall, 250, 5400000, 0);
	give(&stall, 500, 1000, 0);
	assert_int_equal(stall_permille(&stall, some_2s, 500), 0);
	give(&stall, 750, 101000, 0);
	assert_int_equal(stall_permille(&stall, some_2s, 750), 50);
}

static void test_stall_leaves_the_window(void **state)
{
	(void)state;
	struct stall stall = {.count = 0};
	give(&stall, 0, 0, 0);
	give(&stall, 250, 200000, 0);
	for (uint64_t ms = 500; ms <= 2250; ms += 250)
		give(&stall, ms, 200000, 0);
	assert_int_equal(stall_permille(&stall, some_2s, 2250), 0);
}

static void test_old_reading_says_nothing(void **state)
{
	(void)state;
	struct stall stall = {.count = 0};
	give(&stall, 0, 0, 0);
	give(&stall, 250, 200000, 0);
	assert_int_equal(stall_permille(&stall, some_2s, 2251), 0);
}

static void test_ten_seconds_fit_at_the_fastest_pace(void **state)
{
	(void)state;
	struct stall stall = {.count = 0};
	struct config_psi psi = {CONFIG_PSI_SOME, 1, 10000};
	for (uint64_t ms = 0; ms <= 60000; ms += 250)
		give(&stall, ms, ms * 300, 0);
	assert_int_equal(stall_permille(&stall, psi, 60000), 300);
}

static void test_unknown_empties_the_history(void **state)
{
	(void)state;
	struct stall stall = {.count = 0};
	struct stall_sample unknown = {.known = false};
	give(&stall, 0, 0, 0);
	give(&stall, 250, 250000, 0);
	stall_step(&stall, &unknown);
	assert_int_equal(stall_permille(&stall, some_2s, 250), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_share_of_a_full_window),
		cmocka_unit_test(test_short_history_is_measured_against_the_whole_window),
		cmocka_unit_test(test_same_reading_counts_once),
		cmocka_unit_test(test_totals_running_backwards_start_anew),
		cmocka_unit_test(test_stall_leaves_the_window),
		cmocka_unit_test(test_old_reading_says_nothing),
		cmocka_unit_test(test_ten_seconds_fit_at_the_fastest_pace),
		cmocka_unit_test(test_unknown_empties_the_history),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
