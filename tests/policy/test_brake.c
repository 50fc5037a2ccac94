#include "tests/policy/fixture.h"

#include "supervisor/policy/brake.h"

static struct brake_view driving(void)
{
	return (struct brake_view){
		.can_brake = true,
		.wanted = true,
		.current_bytes = 256 * MIB,
		.room_bytes = 0,
		.hold_ms = 3000,
	};
}

static void test_brake_bites_just_below_usage_where_no_room_is_left(void **state)
{
	(void)state;
	struct brake brake = {.on = false};
	struct brake_view view = driving();
	assert_int_equal(brake_step(&brake, &view, 1000), BRAKE_ON);
	assert_int_equal(brake.high_bytes, 255 * MIB);
	assert_int_equal(brake.until_ms, 4000);
}

static void test_brake_leaves_the_room_there_is(void **state)
{
	(void)state;
	struct brake brake = {.on = false};
	struct brake_view view = driving();
	view.room_bytes = 10 * MIB + 5;
	assert_int_equal(brake_step(&brake, &view, 0), BRAKE_ON);
	assert_int_equal(brake.high_bytes, 266 * MIB);
}

static void test_brake_is_lifted_early_when_the_wall_is_far(void **state)
{
	(void)state;
	struct brake brake = {.on = false};
	struct brake_view view = driving();
	brake_step(&brake, &view, 0);
	view.wanted = false;
	assert_int_equal(brake_step(&brake, &view, 10), BRAKE_KEEP);
	view.far = true;
	assert_int_equal(brake_step(&brake, &view, 20), BRAKE_OFF);
	view = driving();
	assert_int_equal(brake_step(&brake, &view, 30), BRAKE_ON);
}

static void test_brake_comes_off_at_its_deadline_when_the_service_has_stopped(void **state)
{
	(void)state;
	struct brake brake = {.on = false};
	struct brake_view view = driving();
	assert_int_equal(brake_step(&brake, &view, 0), BRAKE_ON);
	view.wanted = false;
	assert_int_equal(brake_step(&brake, &view, 2999), BRAKE_KEEP);
	assert_int_equal(brake_step(&brake, &view, 3000), BRAKE_OFF);
	assert_int_equal(brake_step(&brake, &view, 3001), BRAKE_KEEP);
	view.wanted = true;
	assert_int_equal(brake_step(&brake, &view, 3002), BRAKE_ON);
}

static void test_brake_follows_growth_that_goes_on(void **state)
{
	(void)state;
	struct brake brake = {.on = false};
	struct brake_view view = driving();
	unsigned set = 0;
	for (uint64_t now_ms = 0; now_ms < 60000; now_ms++) {
		enum brake_change change = brake_step(&brake, &view, now_ms);
		/* No pause, and no more room than at first. */
		assert_true(brake.on);
		assert_true(brake.until_ms <= now_ms + view.hold_ms);
		assert_int_not_equal(change, BRAKE_OFF);
		if (change == BRAKE_ON) {
			assert_int_equal(brake.high_bytes, 255 * MIB);
			set++;
		}
		view.current_bytes += 4096;
	}
	assert_int_equal(set, 20);
}

/* Too slow to be seen as growth.  Of all that a service may do at memory.high only growth keeps the
 * brake on. */
static void test_a_braked_service_that_still_pushes_is_not_let_go(void **state)
{
	(void)state;
	static const struct {
		uint64_t grown_bytes;
		bool hit;
		bool close;
		enum brake_change change;
	} rows[] = {
		{MIB, true, true, BRAKE_ON},
		{MIB, false, true, BRAKE_OFF},
		{64 * KIB, true, true, BRAKE_OFF}, /* takes what it has given back */
		{MIB, true, false, BRAKE_OFF},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct brake brake = {.on = false};
		struct brake_view view = driving();
		brake_step(&brake, &view, 0);
		view.wanted = false;
		view.close = rows[i].close;
		view.hit = rows[i].hit;
		view.current_bytes += rows[i].grown_bytes;
		assert_int_equal(brake_step(&brake, &view, 1000), BRAKE_KEEP);
		view.hit = false;
		assert_int_equal(brake_step(&brake, &view, 3000), rows[i].change);
	}
}

static void test_nothing_is_braked_that_cannot_be(void **state)
{
	(void)state;
	struct brake brake = {.on = false};
	struct brake_view view = driving();
	view.can_brake = false;
	assert_int_equal(brake_step(&brake, &view, 0), BRAKE_KEEP);
	view = driving();
	view.hold_ms = 0;
	assert_int_equal(brake_step(&brake, &view, 0), BRAKE_KEEP);
	view = driving();
	view.current_bytes = 0;
	assert_int_equal(brake_step(&brake, &view, 0), BRAKE_KEEP);
	view = driving();
	view.wanted = false;
	assert_int_equal(brake_step(&brake, &view, 0), BRAKE_KEEP);
	assert_false(brake.on);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_brake_bites_just_below_usage_where_no_room_is_left),
		cmocka_unit_test(test_brake_leaves_the_room_there_is),
		cmocka_unit_test(test_brake_is_lifted_early_when_the_wall_is_far),
		cmocka_unit_test(test_brake_comes_off_at_its_deadline_when_the_service_has_stopped),
		cmocka_unit_test(test_brake_follows_growth_that_goes_on),
		cmocka_unit_test(test_a_braked_service_that_still_pushes_is_not_let_go),
		cmocka_unit_test(test_nothing_is_braked_that_cannot_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
