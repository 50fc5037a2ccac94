#include "tests/policy/fixture.h"

static void test_service_without_shim_gets_levels_and_brake_and_no_request(void **state)
{
	(void)state;
	fixture_start(1, 256 * MIB);
	fixture.service[0].sample.heap.processes = 0;
	fixture_use(0, 100 * MIB);
	fixture_step(1000);
	fixture_use(0, 250 * MIB);
	fixture_step(2000);
	assert_non_null(fixture_action(ACTION_LEVEL, 0));
	assert_non_null(fixture_action(ACTION_BRAKE, 0));
	assert_null(fixture_action(ACTION_RELEASE, 0));
}

static void test_heaps_that_ask_at_the_gate_are_not_braked_for_speed(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture.service[1].sample.heap.processes = 0;
	for (size_t i = 0; i < 2; i++)
		fixture_use(i, 20 * MIB);
	fixture_step(1000);
	for (size_t i = 0; i < 2; i++)
		fixture_use(i, 100 * MIB);
	fixture_step(1200);
	assert_null(fixture_action(ACTION_BRAKE, 0));
	assert_non_null(fixture_action(ACTION_BRAKE, 1));
}

static void test_brake_is_for_the_one_that_drives(void **state)
{
	(void)state;
	fixture_start(4, 256 * MIB);
	for (size_t i = 0; i < 4; i++)
		fixture_use(i, 50 * MIB);
	fixture_step(1000);
	fixture_use(0, 88 * MIB); /* fast */
	fixture_use(1, 70 * MIB); /* at half the speed and more */
	fixture_use(2, 55 * MIB); /* slowly */
	fixture_use(3, 40 * MIB); /* gives back */
	fixture_step(1500);
	const struct action *action = fixture_action(ACTION_BRAKE, 0);
	assert_non_null(action);
	assert_int_equal(action->until_ms, 4500);
	assert_in_range(action->high_bytes, 80 * MIB, 88 * MIB);
	assert_int_equal(action->reason.kind, REASON_HEADROOM);
	assert_true(action->reason.shared);
	assert_non_null(fixture_action(ACTION_BRAKE, 1));
	assert_null(fixture_action(ACTION_BRAKE, 2));
	assert_null(fixture_action(ACTION_BRAKE, 3));
	/* Everyone gave back: off before the deadline. */
	for (size_t i = 0; i < 4; i++)
		fixture_use(i, 20 * MIB);
	fixture_step(1600);
	assert_int_equal(fixture_count(ACTION_UNBRAKE), 2);
}

static void test_who_grew_and_now_gives_back_is_not_braked(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture.policies[0].at[LEVEL_FULL].time_to_wall_ms = 0;
	fixture.service[1].sample.can_brake = false;
	fixture_use(0, 50 * MIB);
	fixture_use(1, 50 * MIB);
	fixture_step(1000);
	fixture_use(0, 120 * MIB);
	fixture_use(1, 100 * MIB);
	fixture_step(1400);
	assert_int_equal(fixture_count(ACTION_BRAKE), 0);
	fixture_use(0, 118 * MIB);
	fixture_use(1, 130 * MIB);
	fixture_step(1450);
	assert_int_equal(fixture_count(ACTION_BRAKE), 0);
	fixture_use(0, 119 * MIB);
	fixture_step(1460);
	assert_int_equal(fixture_count(ACTION_BRAKE), 1);
}

static void test_brake_deadline_is_kept_and_looked_for(void **state)
{
	(void)state;
	fixture_start(1, 256 * MIB);
	uint64_t braked_ms = 0;
	uint64_t until_ms = 0;
	size_t brakes = 0;
	uint64_t now_ms = 1000;
	for (uint64_t bytes = 239 * MIB; now_ms < 20000; now_ms += fixture.plan.next_ms) {
		bytes += bytes < 255 * MIB ? 10 * KIB : 0;
		fixture_use(0, bytes);
		fixture_step(now_ms);
		const struct action *action = fixture_action(ACTION_BRAKE, 0);
		if (action != NULL) {
			assert_true(now_ms >= until_ms);
			until_ms = action->until_ms;
			braked_ms = now_ms;
			brakes++;
			assert_int_equal(until_ms, now_ms + 3000);
		}
		if (fixture_action(ACTION_UNBRAKE, 0) != NULL) {
			assert_true(now_ms >= braked_ms);
			assert_true(now_ms <= until_ms);
		}
		if (fixture.service[0].state.brake.on)
			assert_true(now_ms + fixture.plan.next_ms <= until_ms);
	}
	assert_true(brakes >= 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_service_without_shim_gets_levels_and_brake_and_no_request),
		cmocka_unit_test(test_heaps_that_ask_at_the_gate_are_not_braked_for_speed),
		cmocka_unit_test(test_brake_is_for_the_one_that_drives),
		cmocka_unit_test(test_who_grew_and_now_gives_back_is_not_braked),
		cmocka_unit_test(test_brake_deadline_is_kept_and_looked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
