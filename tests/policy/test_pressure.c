#include "tests/policy/fixture.h"

#include "supervisor/policy/pressure.h"

static struct pressure_view view_of(uint64_t headroom_bytes, uint64_t time_to_wall_ms)
{
	return (struct pressure_view){.wall[0] = {
					      .exists = true,
					      .wall_bytes = 1000 * MIB,
					      .headroom_bytes = headroom_bytes,
					      .growable_bytes = headroom_bytes,
					      .time_to_wall_ms = time_to_wall_ms,
				      }};
}

static void test_each_number_crosses_its_own_threshold(void **state)
{
	(void)state;
	static const struct {
		uint64_t headroom_bytes;
		uint64_t time_to_wall_ms;
		enum level expected;
		enum reason_kind kind;
		uint64_t threshold;
	} rows[] = {
		{250 * MIB, GROWTH_NEVER_MS, LEVEL_CALM, REASON_RELAXED, 0},
		{250 * MIB - 1, GROWTH_NEVER_MS, LEVEL_LAZY, REASON_HEADROOM, 250 * MIB},
		{150 * MIB, GROWTH_NEVER_MS, LEVEL_LAZY, REASON_HEADROOM, 250 * MIB},
		{150 * MIB - 1, GROWTH_NEVER_MS, LEVEL_EAGER, REASON_HEADROOM, 150 * MIB},
		{80 * MIB - 1, GROWTH_NEVER_MS, LEVEL_FULL, REASON_HEADROOM, 80 * MIB},
		{750 * MIB, 999, LEVEL_CALM, REASON_RELAXED, 0},
		{750 * MIB - 1, 10000, LEVEL_CALM, REASON_RELAXED, 0},
		{750 * MIB - 1, 9999, LEVEL_LAZY, REASON_TIME_TO_WALL, 10000},
		{750 * MIB - 1, 999, LEVEL_LAZY, REASON_TIME_TO_WALL, 10000},
		{500 * MIB, 3999, LEVEL_LAZY, REASON_TIME_TO_WALL, 10000},
		{500 * MIB - 1, 3999, LEVEL_EAGER, REASON_TIME_TO_WALL, 4000},
		{500 * MIB - 1, 999, LEVEL_EAGER, REASON_TIME_TO_WALL, 4000},
		{250 * MIB - 1, 999, LEVEL_FULL, REASON_TIME_TO_WALL, 1000},
		{0, 0, LEVEL_FULL, REASON_HEADROOM, 80 * MIB},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pressure pressure = {.level = LEVEL_CALM};
		struct pressure_view view =
			view_of(rows[i].headroom_bytes, rows[i].time_to_wall_ms);
		struct reason reason = {.kind = REASON_RELAXED};
		assert_int_equal(pressure_step(&pressure, &fixture_policy, &view, 1000, &reason),
			rows[i].expected);
		assert_int_equal(reason.kind, rows[i].kind);
		assert_int_equal(reason.threshold, rows[i].threshold);
		if (reason.kind == REASON_HEADROOM)
			assert_int_equal(reason.value, rows[i].headroom_bytes);
	}
}

static void test_level_rises_at_once_and_falls_only_after_hold(void **state)
{
	(void)state;
	/* hold_ms is 5000: full is last asked for at 1000, eager at 3000, lazy at 4000. */
	static const struct {
		uint64_t now_ms;
		uint64_t headroom_bytes;
		enum level expected;
	} rows[] = {
		{0, 900 * MIB, LEVEL_CALM},
		{10, 200 * MIB, LEVEL_LAZY},
		{20, 10 * MIB, LEVEL_FULL},
		{1000, 10 * MIB, LEVEL_FULL},
		{1001, 100 * MIB, LEVEL_FULL},
		{3000, 100 * MIB, LEVEL_FULL},
		{4000, 200 * MIB, LEVEL_FULL},
		{4001, 900 * MIB, LEVEL_FULL},
		{5999, 900 * MIB, LEVEL_FULL},
		{6000, 900 * MIB, LEVEL_EAGER},
		{7999, 900 * MIB, LEVEL_EAGER},
		{8000, 900 * MIB, LEVEL_LAZY},
		{8999, 900 * MIB, LEVEL_LAZY},
		/* A fourth fall would leave fewer changes in this minute than a rise may take. */
		{9000, 900 * MIB, LEVEL_LAZY},
		{60009, 900 * MIB, LEVEL_LAZY},
		{60020, 900 * MIB, LEVEL_CALM},
		{60021, 10 * MIB, LEVEL_FULL},
	};
	struct pressure pressure = {.level = LEVEL_CALM};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pressure_view view = view_of(rows[i].headroom_bytes, GROWTH_NEVER_MS);
		struct reason reason;
		assert_int_equal(
			pressure_step(&pressure, &fixture_policy, &view, rows[i].now_ms, &reason),
			rows[i].expected);
	}
}

static void test_falling_says_relaxed_with_the_headroom(void **state)
{
	(void)state;
	struct pressure pressure = {.level = LEVEL_CALM};
	struct pressure_view low = view_of(10 * MIB, GROWTH_NEVER_MS);
	struct pressure_view high = view_of(900 * MIB, GROWTH_NEVER_MS);
	struct reason reason;
	pressure_step(&pressure, &fixture_policy, &low, 0, &reason);
	pressure_step(&pressure, &fixture_policy, &high, 5000, &reason);
	assert_int_equal(reason.kind, REASON_RELAXED);
	assert_int_equal(reason.value, 900 * MIB);
	assert_int_equal(reason.threshold, 80 * MIB);
	assert_int_equal(reason.wall_bytes, 1000 * MIB);
}

static void test_shared_wall_raises_as_the_own_one_does(void **state)
{
	(void)state;
	struct pressure pressure = {.level = LEVEL_CALM};
	struct pressure_view view = view_of(900 * MIB, GROWTH_NEVER_MS);
	struct reason reason;
	view.wall[1] = view.wall[0];
	view.wall[1].shared = true;
	view.wall[1].headroom_bytes = 100 * MIB;
	assert_int_equal(pressure_step(&pressure, &fixture_policy, &view, 0, &reason), LEVEL_EAGER);
	assert_true(reason.shared);
}

static void test_stall_raises_even_without_a_wall(void **state)
{
	(void)state;
	struct stall stall = {.count = 0};
	struct stall_sample sample = {.known = true, .read_ms = 0};
	struct pressure pressure = {.level = LEVEL_CALM};
	struct pressure_view view = {.wall[1] = {.stall = &stall, .shared = true}};
	struct reason reason;
	stall_step(&stall, &sample);
	sample = (struct stall_sample){.known = true, .read_ms = 1000, .some_us = 320000};
	stall_step(&stall, &sample);
	assert_int_equal(
		pressure_step(&pressure, &fixture_policy, &view, 1000, &reason), LEVEL_EAGER);
	assert_int_equal(reason.kind, REASON_PRESSURE);
	assert_int_equal(reason.value, 160);
	assert_int_equal(reason.threshold, 150);
	assert_int_equal(reason.wall_bytes, 0);
}

static void test_hits_at_the_wall_ask_for_eager(void **state)
{
	(void)state;
	struct pressure pressure = {.level = LEVEL_CALM};
	struct pressure_view view = view_of(900 * MIB, GROWTH_NEVER_MS);
	struct reason reason;
	view.wall[0].events_max = 3;
	assert_int_equal(pressure_step(&pressure, &fixture_policy, &view, 0, &reason), LEVEL_EAGER);
	assert_int_equal(reason.kind, REASON_EVENTS_MAX);
	assert_int_equal(reason.value, 3);
	/* Full by headroom is more than that. */
	view = view_of(10 * MIB, GROWTH_NEVER_MS);
	view.wall[0].events_max = 3;
	assert_int_equal(pressure_step(&pressure, &fixture_policy, &view, 1, &reason), LEVEL_FULL);
	assert_int_equal(reason.kind, REASON_HEADROOM);
}

static void test_page_cache_turning_over_at_the_wall_is_no_pressure(void **state)
{
	(void)state;
	struct pressure_view view = view_of(900 * MIB, GROWTH_NEVER_MS);
	struct reason reason;
	view.wall[0].events_max = 100;
	view.wall[0].reclaimable_known = true;
	assert_int_equal(pressure_asked(&fixture_policy, &view, 0, &reason), LEVEL_CALM);
	view.wall[0].reclaimable_known = false;
	assert_int_equal(pressure_asked(&fixture_policy, &view, 0, &reason), LEVEL_EAGER);
}

static void test_stall_with_room_asks_for_lazy_at_most(void **state)
{
	(void)state;
	static const struct {
		uint64_t headroom_bytes;
		bool reclaimable_known;
		enum level expected;
	} rows[] = {
		{500 * MIB, true, LEVEL_LAZY},
		{499 * MIB, true, LEVEL_EAGER},
		{250 * MIB, true, LEVEL_EAGER},
		{249 * MIB, true, LEVEL_FULL},
		{500 * MIB, false, LEVEL_FULL},
	};
	const struct stall_sample all = {
		.known = true, .read_ms = 1000, .some_us = 1000000, .full_us = 1000000};
	struct stall stall = {.count = 0};
	stall_step(&stall, &(struct stall_sample){.known = true});
	stall_step(&stall, &all);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct pressure_view view = view_of(rows[i].headroom_bytes, GROWTH_NEVER_MS);
		struct reason reason;
		view.wall[0].reclaimable_known = rows[i].reclaimable_known;
		view.wall[0].stall = &stall;
		assert_int_equal(
			pressure_asked(&fixture_policy, &view, 1000, &reason), rows[i].expected);
	}
}

static void test_high_events_ask_for_lazy(void **state)
{
	(void)state;
	struct pressure_view view = view_of(900 * MIB, GROWTH_NEVER_MS);
	struct reason reason;
	view.events_high = 1;
	assert_int_equal(pressure_asked(&fixture_policy, &view, 0, &reason), LEVEL_LAZY);
	assert_int_equal(reason.kind, REASON_EVENTS_HIGH);
}

static void test_threshold_of_zero_is_off(void **state)
{
	(void)state;
	struct config_policy off = {.hold_ms = 1000};
	struct pressure_view view = view_of(0, 0);
	struct reason reason;
	assert_int_equal(pressure_asked(&off, &view, 0, &reason), LEVEL_CALM);
}

static void test_hold_of_zero_follows_the_numbers(void **state)
{
	(void)state;
	struct config_policy policy = fixture_policy;
	struct pressure pressure = {.level = LEVEL_CALM};
	struct pressure_view low = view_of(10 * MIB, GROWTH_NEVER_MS);
	struct pressure_view high = view_of(900 * MIB, GROWTH_NEVER_MS);
	struct reason reason;
	policy.hold_ms = 0;
	assert_int_equal(pressure_step(&pressure, &policy, &low, 1000, &reason), LEVEL_FULL);
	assert_int_equal(pressure_step(&pressure, &policy, &high, 1001, &reason), LEVEL_CALM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_number_crosses_its_own_threshold),
		cmocka_unit_test(test_level_rises_at_once_and_falls_only_after_hold),
		cmocka_unit_test(test_falling_says_relaxed_with_the_headroom),
		cmocka_unit_test(test_shared_wall_raises_as_the_own_one_does),
		cmocka_unit_test(test_stall_raises_even_without_a_wall),
		cmocka_unit_test(test_hits_at_the_wall_ask_for_eager),
		cmocka_unit_test(test_page_cache_turning_over_at_the_wall_is_no_pressure),
		cmocka_unit_test(test_stall_with_room_asks_for_lazy_at_most),
		cmocka_unit_test(test_high_events_ask_for_lazy),
		cmocka_unit_test(test_threshold_of_zero_is_off),
		cmocka_unit_test(test_hold_of_zero_follows_the_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
