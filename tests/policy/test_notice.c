#include "tests/policy/fixture.h"

#include "supervisor/policy/notice.h"

#define LIMIT (1000 * MIB)

static uint64_t notice_at(uint64_t usage_bytes, size_t count)
{
	fixture_start(count, LIMIT);
	fixture.sample.shared.current_bytes = usage_bytes;
	for (size_t i = 0; i < 40; i++)
		policy_step(&fixture.state, &fixture.sample, 1000 + i * 1000, &fixture.plan);
	return fixture.service[0].plan.notice_bytes;
}

static void test_a_part_of_the_way_to_lazys_threshold(void **state)
{
	(void)state;
	/* Lazy is at 250 MiB of headroom. */
	assert_int_equal(notice_at(550 * MIB, 1), 100 * MIB);
	assert_int_equal(notice_at(550 * MIB, 3), 50 * MIB);
	assert_int_equal(notice_at(740 * MIB, 1), 5 * MIB);
}

static void test_near_the_threshold_it_has_an_end(void **state)
{
	(void)state;
	assert_int_equal(notice_at(750 * MIB - 4 * KIB, 1), NOTICE_MIN_BYTES);
}

static void test_above_calm_the_next_level_counts(void **state)
{
	(void)state;
	/* At lazy; eager is at 150, full at 80 MiB. */
	assert_int_equal(notice_at(790 * MIB, 1), 30 * MIB);
	assert_int_equal(notice_at(900 * MIB, 1), 10 * MIB);
	assert_true(notice_at(950 * MIB, 1) == UINT64_MAX);
}

static void test_the_nearer_of_two_walls_counts(void **state)
{
	(void)state;
	fixture_start(1, LIMIT);
	fixture.service[0].sample.own.limit_bytes = 200 * MIB;
	fixture.service[0].sample.own.current_bytes = 110 * MIB;
	fixture.service[0].sample.current_bytes = 110 * MIB;
	fixture.sample.shared.current_bytes = 110 * MIB;
	policy_step(&fixture.state, &fixture.sample, 1000, &fixture.plan);
	assert_int_equal(fixture.service[0].plan.notice_bytes, 20 * MIB);
}

static void test_without_a_wall_or_a_threshold_there_is_none(void **state)
{
	(void)state;
	fixture_start(1, SAMPLE_NO_LIMIT);
	policy_step(&fixture.state, &fixture.sample, 1000, &fixture.plan);
	assert_true(fixture.service[0].plan.notice_bytes == UINT64_MAX);
	fixture_start(1, LIMIT);
	for (enum level level = LEVEL_LAZY; level < LEVELS; level++)
		fixture.policies[0].at[level].headroom = (struct config_amount){0};
	policy_step(&fixture.state, &fixture.sample, 1000, &fixture.plan);
	assert_true(fixture.service[0].plan.notice_bytes == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_part_of_the_way_to_lazys_threshold),
		cmocka_unit_test(test_near_the_threshold_it_has_an_end),
		cmocka_unit_test(test_above_calm_the_next_level_counts),
		cmocka_unit_test(test_the_nearer_of_two_walls_counts),
		cmocka_unit_test(test_without_a_wall_or_a_threshold_there_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
