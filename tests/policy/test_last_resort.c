#include "tests/policy/fixture.h"

#include "supervisor/policy/last_resort.h"

static struct last_resort_view slow(void)
{
	return (struct last_resort_view){
		.exhausted = true,
		.slowed = true,
		.headroom_bytes = 10 * MIB,
		.limit_bytes = 256 * MIB,
		.time_to_wall_ms = GROWTH_NEVER_MS,
	};
}

static void test_it_comes_when_the_slow_down_has_lasted(void **state)
{
	(void)state;
	struct last_resort resort = {.began = false};
	struct last_resort_view view = slow();
	assert_int_equal(last_resort_judge(&resort, &view, 5000), LAST_RESORT_NOT);
	for (uint64_t now_ms = 5010; now_ms < 5000 + LAST_RESORT_SLOW_MS; now_ms += 10) {
		/* A brake that is put on anew and a release that is out are pauses. */
		view.slowed = now_ms % 1000 < 500;
		view.exhausted = now_ms % 700 > 10;
		assert_int_equal(last_resort_judge(&resort, &view, now_ms), LAST_RESORT_NOT);
	}
	view = slow();
	assert_int_equal(
		last_resort_judge(&resort, &view, 5000 + LAST_RESORT_SLOW_MS), LAST_RESORT_SLOWED);
}

static void test_a_pause_begins_the_time_anew(void **state)
{
	(void)state;
	struct last_resort resort = {.began = false};
	struct last_resort_view view = slow();
	last_resort_judge(&resort, &view, 1000);
	view.slowed = false;
	last_resort_judge(&resort, &view, 1001 + LAST_RESORT_PAUSE_MS);
	view.slowed = true;
	assert_int_equal(
		last_resort_judge(&resort, &view, 1500 + LAST_RESORT_SLOW_MS), LAST_RESORT_NOT);
}

/* A service that was OOM-killed has given its memory back. */
static void test_what_was_slow_and_has_room_again_is_left(void **state)
{
	(void)state;
	struct last_resort resort = {.began = false};
	struct last_resort_view view = slow();
	for (uint64_t now_ms = 5000; now_ms < 4500 + LAST_RESORT_SLOW_MS; now_ms += 100)
		assert_int_equal(last_resort_judge(&resort, &view, now_ms), LAST_RESORT_NOT);
	view.exhausted = false;
	for (uint64_t now_ms = 4500; now_ms < 6000; now_ms += 100)
		assert_int_equal(last_resort_judge(&resort, &view, now_ms + LAST_RESORT_SLOW_MS),
			LAST_RESORT_NOT);
}

/* The kernel's delays do not hold what is so near. */
static void test_a_brake_at_the_wall_is_not_waited_for(void **state)
{
	(void)state;
	static const struct {
		bool braked;
		uint64_t headroom_bytes;
		enum last_resort_why why;
	} rows[] = {
		{true, 4 * MIB - 1, LAST_RESORT_TIGHT}, {true, 4 * MIB, LAST_RESORT_NOT},
		{false, 1 * MIB, LAST_RESORT_NOT}, /* heaps that wait at the gate do not grow */
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct last_resort resort = {.began = false};
		struct last_resort_view view = slow();
		view.braked = rows[i].braked;
		view.headroom_bytes = rows[i].headroom_bytes;
		last_resort_judge(&resort, &view, 1000);
		assert_int_equal(last_resort_judge(&resort, &view, 999 + LAST_RESORT_NEAR_MS),
			LAST_RESORT_NOT);
		assert_int_equal(
			last_resort_judge(&resort, &view, 1000 + LAST_RESORT_NEAR_MS), rows[i].why);
	}
}

static void test_it_comes_at_once_when_a_kill_is_near(void **state)
{
	(void)state;
	static const struct {
		bool exhausted;
		uint64_t headroom_bytes;
		uint64_t time_to_wall_ms;
		enum last_resort_why why;
	} rows[] = {
		{true, 3 * MIB, 900, LAST_RESORT_NEAR},
		{false, 3 * MIB, 900, LAST_RESORT_NOT}, /* heaps can still give */
		{true, 4 * MIB, 900, LAST_RESORT_NOT}, {true, 3 * MIB, 1000, LAST_RESORT_NOT},
		{true, 0, GROWTH_NEVER_MS, LAST_RESORT_NOT}, /* full, and at rest */
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct last_resort resort = {.began = false};
		struct last_resort_view view = slow();
		view.slowed = false;
		view.exhausted = rows[i].exhausted;
		view.headroom_bytes = rows[i].headroom_bytes;
		view.time_to_wall_ms = rows[i].time_to_wall_ms;
		assert_int_equal(last_resort_judge(&resort, &view, 1000), rows[i].why);
	}
}

static void test_one_is_enough_for_a_while(void **state)
{
	(void)state;
	struct last_resort resort = {.began = false};
	struct last_resort_view view = slow();
	view.headroom_bytes = MIB;
	view.time_to_wall_ms = 10;
	assert_int_equal(last_resort_judge(&resort, &view, 1000), LAST_RESORT_NEAR);
	last_resort_note(&resort, 1000);
	assert_int_equal(
		last_resort_judge(&resort, &view, 999 + LAST_RESORT_REST_MS), LAST_RESORT_NOT);
	assert_int_equal(
		last_resort_judge(&resort, &view, 1000 + LAST_RESORT_REST_MS), LAST_RESORT_NEAR);
}

/* --- with walls ------------------------------------------------------------------------------- */

/* Three services with live memory only, in a wall that they fill but for 2 MiB.  The last grows. */
static void begin(void)
{
	fixture_start(3, 256 * MIB);
	fixture_use(0, 100 * MIB);
	fixture_use(1, 80 * MIB);
	fixture_use(2, 70 * MIB);
	for (size_t i = 0; i < 3; i++)
		fixture.service[i].may_end = true;
	fixture_step(1000);
	/* More than what counts as noise. */
	fixture_use(2, 74 * MIB + 512 * KIB);
}

/* The one that is ended within so long; 3 = none. */
static size_t ended_within(uint64_t ms)
{
	for (uint64_t now_ms = 1010; now_ms <= 1000 + ms; now_ms += 10) {
		fixture_step(now_ms);
		for (size_t i = 0; i < 3; i++)
			if (fixture_action(ACTION_END, i) != NULL)
				return i;
	}
	return 3;
}

static void test_of_equals_the_one_that_uses_most_is_ended(void **state)
{
	(void)state;
	begin();
	assert_int_equal(ended_within(100), 0);
	const struct action *action = fixture_action(ACTION_END, 0);
	assert_int_equal(action->reason.kind, REASON_TIME_TO_WALL);
	assert_true(action->reason.shared);
	/* And nobody after it. */
	assert_int_equal(ended_within(2000), 3);
}

static void test_what_it_was_promised_does_not_count(void **state)
{
	(void)state;
	begin();
	fixture.service[0].promised_bytes = 60 * MIB;
	assert_int_equal(ended_within(100), 1);
}

static void test_the_lowest_priority_is_first(void **state)
{
	(void)state;
	begin();
	fixture.service[2].priority = 50;
	assert_int_equal(ended_within(100), 2);
}

static void test_nobody_is_ended_who_may_not_be(void **state)
{
	(void)state;
	begin();
	fixture.service[0].may_end = false;
	fixture.service[1].sample.running = false;
	assert_int_equal(ended_within(100), 2);
	begin();
	for (size_t i = 0; i < 3; i++)
		fixture.service[i].may_end = false;
	assert_int_equal(ended_within(30000), 3);
}

static void test_nobody_is_ended_while_memory_is_idle_anywhere(void **state)
{
	(void)state;
	begin();
	fixture.service[1].sample.heap.idle_dirty_bytes = 20 * MIB;
	fixture.service[1].sample.heap.in_use_bytes = 60 * MIB;
	assert_int_equal(ended_within(100), 3);
}

/* The second service comes near a wall of its own. */
static void begin_own(size_t may_end)
{
	fixture_start(3, SAMPLE_NO_LIMIT);
	fixture.service[1].sample.own.limit_bytes = 64 * MIB;
	fixture_use(1, 60 * MIB);
	fixture.service[may_end].may_end = true;
	fixture_step(1000);
	fixture_use(1, 64 * MIB - 300 * KIB);
}

static void test_who_fills_its_own_wall_can_only_end_itself(void **state)
{
	(void)state;
	begin_own(0);
	assert_int_equal(ended_within(100), 3);
	begin_own(1);
	assert_int_equal(ended_within(100), 1);
	/* What is to end is not slowed down. */
	fixture_use(1, 64 * MIB);
	fixture_step(3000);
	assert_null(fixture_action(ACTION_BRAKE, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_comes_when_the_slow_down_has_lasted),
		cmocka_unit_test(test_a_pause_begins_the_time_anew),
		cmocka_unit_test(test_what_was_slow_and_has_room_again_is_left),
		cmocka_unit_test(test_a_brake_at_the_wall_is_not_waited_for),
		cmocka_unit_test(test_it_comes_at_once_when_a_kill_is_near),
		cmocka_unit_test(test_one_is_enough_for_a_while),
		cmocka_unit_test(test_of_equals_the_one_that_uses_most_is_ended),
		cmocka_unit_test(test_what_it_was_promised_does_not_count),
		cmocka_unit_test(test_the_lowest_priority_is_first),
		cmocka_unit_test(test_nobody_is_ended_who_may_not_be),
		cmocka_unit_test(test_nobody_is_ended_while_memory_is_idle_anywhere),
		cmocka_unit_test(test_who_fills_its_own_wall_can_only_end_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
