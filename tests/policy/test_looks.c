#include "tests/policy/fixture.h"

#include "supervisor/policy/looks.h"

static void test_next_step_comes_sooner_the_nearer_the_wall(void **state)
{
	(void)state;
	static const struct {
		uint64_t used_bytes;
		uint32_t expected_ms;
	} rows[] = {
		{10 * MIB, LOOKS_FAR_MS},
		{200 * MIB, LOOKS_LAZY_MS},
		{220 * MIB, LOOKS_EAGER_MS},
		{250 * MIB, LOOKS_NEAR_MS},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		fixture_start(1, 256 * MIB);
		fixture.service[0].sample.heap.processes = 0;
		fixture_use(0, rows[i].used_bytes);
		fixture_step(1000);
		assert_int_equal(fixture.plan.next_ms, rows[i].expected_ms);
	}
	/* Four looks before a wall that is 200 ms away. */
	fixture_start(1, 16 * GIB);
	fixture_use(0, 0);
	fixture_step(1000);
	fixture_use(0, 12 * GIB);
	fixture_step(1600);
	assert_in_range(fixture.plan.next_ms, LOOKS_NEAR_MS, 50);
}

/* Neither in calm with a wall within reach, nor at a level that is only held. */
static void test_where_nothing_moves_a_look_a_second_is_enough(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture_use(0, 100 * MIB);
	unsigned looks = 0;
	for (uint64_t now_ms = 1000; now_ms < 61000; now_ms += fixture.plan.next_ms) {
		fixture_step(now_ms);
		looks++;
	}
	assert_true(looks <= 60);
	fixture_use(0, 250 * MIB);
	fixture_step(61000);
	assert_int_equal(fixture_level(0), LEVEL_FULL);
	fixture_use(0, 100 * MIB);
	fixture_step(61300);
	/* What has just been let go is looked at, and then that is over. */
	assert_non_null(fixture_action(ACTION_UNBRAKE, 0));
	fixture_step(61400);
	assert_int_equal(fixture.plan.next_ms, LOOKS_NEAR_MS);
	fixture_step(61300 + BRAKE_WATCH_MS);
	assert_int_equal(fixture_level(0), LEVEL_FULL);
	assert_int_equal(fixture.plan.next_ms, LOOKS_FAR_MS);
}

static void test_looks_are_further_apart_the_longer_nothing_happens(void **state)
{
	(void)state;
	static const uint32_t expected_ms[] = {1000, 2000, 4000, 8000, REST_MOST_MS, REST_MOST_MS};
	uint64_t now_ms = 1000;
	fixture_start(2, 64 * GIB);
	fixture_use(0, GIB);
	for (size_t i = 0; i < sizeof expected_ms / sizeof expected_ms[0]; i++) {
		fixture_step(now_ms);
		assert_int_equal(fixture.plan.next_ms, expected_ms[i]);
		/* Whatever else wakes the loop is no rest. */
		fixture_step(now_ms + 1);
		assert_int_equal(fixture.plan.next_ms, expected_ms[i]);
		now_ms += fixture.plan.next_ms;
	}
	fixture.sample.stall_is_polled = true;
	fixture_step(now_ms);
	assert_int_equal(fixture.plan.next_ms, LOOKS_FAR_MS);
	fixture.sample.stall_is_polled = false;
	for (unsigned i = 0; i < 10; i++, now_ms += fixture.plan.next_ms)
		fixture_step(now_ms);
	assert_int_equal(fixture.plan.next_ms, REST_MOST_MS);
	fixture_use(0, 4 * GIB);
	fixture_step(now_ms);
	assert_true(fixture.plan.next_ms <= LOOKS_FAR_MS);
}

/* However calm it is, the nearest threshold of any wall is not reached in between. */
static void test_looks_are_no_further_apart_than_foreign_growth_allows(void **state)
{
	(void)state;
	const uint64_t room_bytes = 6000 * REST_FASTEST_BYTES_PER_MS;
	fixture_start(1, 64 * GIB);
	fixture_use(0, 48 * GIB - room_bytes);
	uint64_t now_ms = 1000;
	for (unsigned i = 0; i < 10; i++, now_ms += fixture.plan.next_ms)
		fixture_step(now_ms);
	assert_int_equal(fixture.plan.next_ms, 6000);
	fixture.service[0].sample.own.limit_bytes = 48 * GIB - room_bytes + 3 * GIB;
	for (unsigned i = 0; i < 10; i++, now_ms += fixture.plan.next_ms)
		fixture_step(now_ms);
	assert_true(fixture.plan.next_ms <= LOOKS_FAR_MS);
}

/* By something that tells nobody: each threshold of headroom is seen within two near looks. */
static void test_looks_come_closer_before_every_threshold(void **state)
{
	(void)state;
	static const uint64_t threshold_bytes[LEVELS] = {
		[LEVEL_LAZY] = 256 * MIB / 4,
		[LEVEL_EAGER] = 256 * MIB * 15 / 100,
		[LEVEL_FULL] = 256 * MIB * 8 / 100,
	};
	const uint64_t bytes_per_ms = 20 * MIB / 1000;
	enum level level = LEVEL_CALM;
	fixture_start(1, 256 * MIB);
	fixture.service[0].sample.can_brake = false;
	for (enum level l = LEVEL_LAZY; l < LEVELS; l++)
		fixture.policies[0].at[l].time_to_wall_ms = 0;
	for (uint64_t now_ms = 1000; level < LEVEL_FULL; now_ms += fixture.plan.next_ms) {
		uint64_t used_bytes = (now_ms - 1000) * bytes_per_ms;
		assert_true(used_bytes < 256 * MIB);
		fixture_use(0, used_bytes);
		fixture_step(now_ms);
		if (fixture_level(0) == level)
			continue;
		level++;
		assert_int_equal(fixture_level(0), level);
		assert_true(256 * MIB - used_bytes + (uint64_t)2 * LOOKS_NEAR_MS * bytes_per_ms >=
			    threshold_bytes[level]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_step_comes_sooner_the_nearer_the_wall),
		cmocka_unit_test(test_where_nothing_moves_a_look_a_second_is_enough),
		cmocka_unit_test(test_looks_are_further_apart_the_longer_nothing_happens),
		cmocka_unit_test(test_looks_are_no_further_apart_than_foreign_growth_allows),
		cmocka_unit_test(test_looks_come_closer_before_every_threshold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
