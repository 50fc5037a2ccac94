#include "tests/policy/fixture.h"

#include "supervisor/policy/looks.h"

/* One service with a wall of its own, growing; when each level was first in force. */
struct rise_times {
	uint64_t at_ms[LEVELS];
	uint64_t wall_ms;
};

static struct rise_times grow_to_the_wall(uint64_t bytes_per_ms, uint64_t every_ms)
{
	struct rise_times times = {.wall_ms = 0};
	enum level before = LEVEL_CALM;
	uint64_t now_ms = 1000;
	for (uint64_t bytes = 0; bytes < 256 * MIB; now_ms += every_ms) {
		fixture.service[0].sample.own.limit_bytes = 256 * MIB;
		fixture_use(0, bytes);
		fixture_step(now_ms);
		enum level level = fixture_level(0);
		assert_true(level >= before);
		if (level > before) {
			const struct action *action = fixture_action(ACTION_LEVEL, 0);
			assert_non_null(action);
			assert_int_equal(action->level, level);
			assert_int_equal(action->previous, before);
			assert_int_equal(action->reason.wall_bytes, 256 * MIB);
			action = fixture_action(ACTION_RELEASE, 0);
			assert_non_null(action);
			assert_int_equal(action->level, level);
			times.at_ms[level] = now_ms;
		}
		before = level;
		bytes += bytes_per_ms * every_ms;
	}
	times.wall_ms = now_ms;
	return times;
}

static void assert_in_order(const struct rise_times *times)
{
	assert_true(times->at_ms[LEVEL_LAZY] > 0);
	assert_true(times->at_ms[LEVEL_LAZY] < times->at_ms[LEVEL_EAGER]);
	assert_true(times->at_ms[LEVEL_EAGER] < times->at_ms[LEVEL_FULL]);
	assert_true(times->at_ms[LEVEL_FULL] < times->wall_ms);
}

static void test_growth_of_20_mb_per_s_meets_every_level_before_the_wall(void **state)
{
	(void)state;
	fixture_start(1, SAMPLE_NO_LIMIT);
	struct rise_times times = grow_to_the_wall(20000, 10);
	assert_in_order(&times);
	assert_true(times.wall_ms - times.at_ms[LEVEL_FULL] >= 900);
	assert_true(times.wall_ms - times.at_ms[LEVEL_LAZY] >= 9000);
}

static void test_flat_out_growth_meets_every_level_before_the_wall(void **state)
{
	(void)state;
	fixture_start(1, SAMPLE_NO_LIMIT);
	struct config_policy *policy = &fixture.policies[0];
	policy->at[LEVEL_LAZY].time_to_wall_ms = 5000;
	policy->at[LEVEL_EAGER].time_to_wall_ms = 1000;
	policy->at[LEVEL_FULL].time_to_wall_ms = 250;
	struct rise_times times = grow_to_the_wall(1700000, 5);
	assert_in_order(&times);
	/* 1.7 GB/s is 256 MiB in 158 ms. */
	assert_true(times.wall_ms - times.at_ms[LEVEL_FULL] >= 25);
}

static void test_levels_fall_one_after_the_other(void **state)
{
	(void)state;
	fixture_start(1, 256 * MIB);
	fixture.service[0].sample.can_brake = false;
	fixture_use(0, 250 * MIB);
	fixture_step(1000);
	assert_int_equal(fixture_level(0), LEVEL_FULL);
	fixture_use(0, 225 * MIB);
	fixture_step(2000);
	fixture_use(0, 100 * MIB);
	fixture_step(5999);
	assert_int_equal(fixture_level(0), LEVEL_FULL);
	fixture_step(6000);
	assert_int_equal(fixture_level(0), LEVEL_EAGER);
	const struct action *action = fixture_action(ACTION_LEVEL, 0);
	assert_non_null(action);
	assert_int_equal(action->reason.kind, REASON_RELAXED);
	assert_int_equal(action->previous, LEVEL_FULL);
	assert_null(fixture_action(ACTION_RELEASE, 0));
	fixture_step(7000);
	assert_int_equal(fixture_level(0), LEVEL_CALM);
}

static void test_full_asks_for_everything(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture_use(0, 250 * MIB);
	fixture_step(1000);
	for (size_t i = 0; i < 2; i++) {
		const struct action *action = fixture_action(ACTION_RELEASE, i);
		assert_non_null(action);
		assert_int_equal(action->level, LEVEL_FULL);
		assert_int_equal(action->target_bytes, UINT64_MAX);
	}
}

static void test_without_any_wall_only_stall_and_events_count(void **state)
{
	(void)state;
	fixture_start(1, SAMPLE_NO_LIMIT);
	struct service_sample *service = &fixture.service[0].sample;
	service->stall.known = true;
	service->events.known = true;
	for (uint64_t ms = 1000; ms < 3000; ms += 100) {
		fixture_use(0, ms * MIB);
		service->stall.read_ms = ms / 250 * 250;
		fixture_step(ms);
		assert_int_equal(fixture.plan.count, 0);
		assert_int_equal(fixture.plan.next_ms, LOOKS_FAR_MS);
		assert_int_equal(fixture.service[0].plan.credit_bytes, UINT64_MAX);
		assert_int_equal(fixture.service[0].plan.headroom_bytes, UINT64_MAX);
	}
	service->stall.read_ms = 3000;
	service->stall.some_us = 120000;
	fixture_step(3000);
	const struct action *action = fixture_action(ACTION_LEVEL, 0);
	assert_non_null(action);
	assert_int_equal(action->level, LEVEL_LAZY);
	assert_int_equal(action->reason.kind, REASON_PRESSURE);
	action = fixture_action(ACTION_RELEASE, 0);
	assert_non_null(action);
	assert_int_equal(action->target_bytes, UINT64_MAX);
	service->events.max = 1;
	fixture_step(3010);
	assert_int_equal(fixture_level(0), LEVEL_EAGER);
	assert_null(fixture_action(ACTION_BRAKE, 0));
}

static void test_event_counters_going_backwards_start_anew(void **state)
{
	(void)state;
	fixture_start(1, 256 * MIB);
	struct events_sample *events = &fixture.service[0].sample.events;
	*events = (struct events_sample){.known = true, .max = 500};
	fixture_step(1000);
	assert_int_equal(fixture_level(0), LEVEL_CALM);
	events->max = 0;
	fixture_step(1010);
	assert_int_equal(fixture_level(0), LEVEL_CALM);
	events->max = 2;
	fixture_step(1020);
	const struct action *action = fixture_action(ACTION_LEVEL, 0);
	assert_non_null(action);
	assert_int_equal(action->reason.kind, REASON_EVENTS_MAX);
	assert_int_equal(action->reason.value, 2);
}

static void test_hits_at_one_leaf_do_not_alarm_its_siblings(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture.service[0].sample.events.known = true;
	fixture.sample.shared_events.known = true;
	fixture_step(1000);
	fixture.service[0].sample.events.max = 4;
	fixture.sample.shared_events.max = 4;
	fixture_step(1010);
	assert_int_equal(fixture_level(0), LEVEL_EAGER);
	assert_int_equal(fixture_level(1), LEVEL_CALM);
	fixture.sample.shared_events.max = 5;
	fixture_step(1020);
	assert_int_equal(fixture_level(1), LEVEL_EAGER);
}

static void test_high_events_count_only_where_a_high_is_in_force(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture.service[1].has_high = true;
	for (size_t i = 0; i < 2; i++)
		fixture.service[i].sample.events.known = true;
	fixture_step(1000);
	for (size_t i = 0; i < 2; i++)
		fixture.service[i].sample.events.high = 1;
	fixture_step(1010);
	assert_int_equal(fixture_level(0), LEVEL_CALM);
	assert_int_equal(fixture_level(1), LEVEL_LAZY);
}

static void test_request_by_hand_is_independent_of_the_level(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture.service[1].sample.manual = LEVEL_FULL;
	fixture_step(1000);
	assert_int_equal(fixture.plan.count, 1);
	const struct action *action = fixture_action(ACTION_RELEASE, 1);
	assert_non_null(action);
	assert_int_equal(action->level, LEVEL_FULL);
	assert_int_equal(action->target_bytes, UINT64_MAX);
	assert_int_equal(action->reason.kind, REASON_MANUAL);
	assert_int_equal(fixture_level(1), LEVEL_CALM);
	fixture.service[1].sample.manual = LEVEL_CALM;
	fixture.service[1].sample.heap.answered = false;
	fixture_step(1001);
	assert_int_equal(fixture.plan.count, 0);
	assert_int_equal(fixture.plan.next_ms, LOOKS_NEAR_MS);
	/* Under pressure a lesser wish still goes out. */
	fixture_use(0, 250 * MIB);
	fixture.service[0].sample.manual = LEVEL_LAZY;
	fixture_step(1002);
	assert_int_equal(fixture_level(0), LEVEL_FULL);
	assert_int_equal(fixture_count(ACTION_RELEASE), 3);
}

static void test_lazily_freed_bytes_are_headroom(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture_use(0, 126 * MIB);
	fixture_use(1, 126 * MIB);
	fixture.service[0].sample.heap.lazy_bytes = 50 * MIB;
	fixture.service[1].sample.heap.lazy_bytes = 50 * MIB;
	fixture_step(1000);
	assert_int_equal(fixture_level(0), LEVEL_CALM);
	assert_int_equal(fixture.service[0].plan.headroom_bytes, 104 * MIB);
	/* What the kernel says is truer than what the heaps remember. */
	fixture.sample.shared.reclaimable_known = true;
	fixture.sample.shared.reclaimable_bytes = 10 * MIB;
	fixture.sample.shared.cache_bytes = 10 * MIB;
	fixture_step(1010);
	assert_int_equal(fixture.service[0].plan.headroom_bytes, 14 * MIB);
	assert_int_equal(fixture_level(0), LEVEL_FULL);
	/* What was lazily freed and is in use again is on its lists still. */
	fixture.sample.shared.reclaimable_bytes = 90 * MIB;
	fixture.sample.shared.listed_bytes = 110 * MIB;
	fixture.service[0].sample.heap.released_bytes = 200 * MIB;
	fixture.service[0].sample.heap.in_use_bytes = 60 * MIB;
	fixture_step(1020);
	assert_int_equal(fixture.service[0].plan.headroom_bytes, 84 * MIB);
	/* No more than the heaps have, and ever freed so. */
	fixture.service[0].sample.heap.in_use_bytes = 6 * MIB;
	fixture_step(1030);
	assert_int_equal(fixture.service[0].plan.headroom_bytes, 88 * MIB);
	fixture.service[0].sample.heap.gone_bytes = 195 * MIB;
	fixture_step(1040);
	assert_int_equal(fixture.service[0].plan.headroom_bytes, 89 * MIB);
	/* A wall of its own counts only what its own heap freed. */
	fixture_start(2, SAMPLE_NO_LIMIT);
	fixture.service[0].sample.own.limit_bytes = 128 * MIB;
	fixture_use(0, 126 * MIB);
	fixture.service[1].sample.heap.lazy_bytes = 50 * MIB;
	fixture_step(1000);
	assert_int_equal(fixture.service[0].plan.headroom_bytes, 2 * MIB);
}

static void test_reading_a_file_is_no_growth(void **state)
{
	(void)state;
	fixture_start(1, 256 * MIB);
	fixture.sample.shared.reclaimable_known = true;
	fixture.service[0].sample.own.reclaimable_known = true;
	for (uint64_t ms = 1000; ms < 4000; ms += 50) {
		uint64_t cached = (ms - 1000) * 200 * KIB;
		if (cached > 206 * MIB)
			cached = 206 * MIB;
		fixture_use(0, 50 * MIB + cached);
		fixture.sample.shared.reclaimable_bytes = cached;
		fixture.sample.shared.cache_bytes = cached;
		fixture.service[0].sample.own.reclaimable_bytes = cached;
		fixture.service[0].sample.own.cache_bytes = cached;
		fixture_step(ms);
		assert_int_equal(fixture.plan.count, 0);
		assert_int_equal(fixture.service[0].plan.headroom_bytes, 206 * MIB);
	}
}

/* Files are written as fast as they can be, so that all cache is dirty, while a heap fills a sixth
 * of the limit at once.  A release would be no help to the writers. */
static void test_a_burst_beside_dirty_cache_asks_for_lazy_at_most(void **state)
{
	(void)state;
	fixture_start(1, 192 * MIB);
	fixture.sample.shared.reclaimable_known = true;
	fixture.sample.shared.reclaimable_bytes = 80 * MIB;
	fixture.sample.shared.cache_bytes = 140 * MIB;
	fixture_use(0, 160 * MIB);
	fixture_step(1000);
	assert_int_equal(fixture_level(0), LEVEL_CALM);
	fixture_use(0, 192 * MIB);
	fixture_step(1020);
	assert_int_equal(fixture_level(0), LEVEL_LAZY);
	/* Where it has used more than half of the limit it may be on its way to the wall. */
	fixture.sample.shared.reclaimable_bytes = 85 * MIB;
	fixture.sample.shared.cache_bytes = 90 * MIB;
	fixture_step(1040);
	assert_int_equal(fixture_level(0), LEVEL_EAGER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth_of_20_mb_per_s_meets_every_level_before_the_wall),
		cmocka_unit_test(test_flat_out_growth_meets_every_level_before_the_wall),
		cmocka_unit_test(test_levels_fall_one_after_the_other),
		cmocka_unit_test(test_full_asks_for_everything),
		cmocka_unit_test(test_without_any_wall_only_stall_and_events_count),
		cmocka_unit_test(test_event_counters_going_backwards_start_anew),
		cmocka_unit_test(test_hits_at_one_leaf_do_not_alarm_its_siblings),
		cmocka_unit_test(test_high_events_count_only_where_a_high_is_in_force),
		cmocka_unit_test(test_request_by_hand_is_independent_of_the_level),
		cmocka_unit_test(test_lazily_freed_bytes_are_headroom),
		cmocka_unit_test(test_reading_a_file_is_no_growth),
		cmocka_unit_test(test_a_burst_beside_dirty_cache_asks_for_lazy_at_most),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
