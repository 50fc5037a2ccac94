#include "tests/policy/fixture.h"

#include "supervisor/policy/fraction.h"
#include "supervisor/policy/looks.h"
#include "supervisor/policy/target.h"

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

static void test_cheapest_memory_is_asked_for_first(void **state)
{
	(void)state;
	static const uint64_t idle_bytes[] = {0, 10 * MIB, 30 * MIB, 20 * MIB};
	fixture_start(4, 1000 * MIB);
	for (size_t i = 0; i < 4; i++) {
		fixture.service[i].sample.heap.idle_dirty_bytes = idle_bytes[i];
		fixture_use(i, i == 0 ? 500 * MIB : 100 * MIB);
	}
	fixture_step(1000);
	/* 50 MiB and the margin are missing; the idle bytes are 60 MiB. */
	static const size_t order[] = {2, 3, 1, 0};
	const uint64_t missing_bytes = 50 * MIB + 1000 * MIB / TARGET_MARGIN_SHARE;
	const uint64_t target_bytes[] = {
		missing_bytes / 2, missing_bytes / 3, missing_bytes / 6, 256 * KIB};
	size_t n = 0;
	for (size_t a = 0; a < fixture.plan.count; a++) {
		const struct action *action = &fixture.plan.action[a];
		if (action->kind != ACTION_RELEASE)
			continue;
		assert_int_equal(action->service, order[n]);
		assert_int_equal(action->level, LEVEL_LAZY);
		assert_int_equal(action->target_bytes, target_bytes[n]);
		assert_int_equal(action->reason.kind, REASON_HEADROOM);
		n++;
	}
	assert_int_equal(n, 4);
	/* Afterwards the one that grows and holds nothing idle is left in peace. */
	for (size_t i = 0; i < 4; i++)
		fixture.service[i].sample.heap.released_bytes += target_bytes[0];
	fixture_step(1050);
	assert_int_equal(fixture_count(ACTION_RELEASE), 3);
	assert_null(fixture_action(ACTION_RELEASE, 0));
}

static void test_those_to_whom_a_page_costs_least_are_asked_first(void **state)
{
	(void)state;
	static const uint64_t page_ns[] = {3000, 400, 300, 6000};
	static const uint64_t parts_mib[][4] = {
		/* missing: 30, then 60, 80, 200 */
		{0, 15, 15, 0},
		{20, 20, 20, 0},
		{20, 20, 20, 20},
		{50, 50, 50, 50},
	};
	static const uint64_t missing_mib[] = {30, 60, 80, 200};
	for (size_t r = 0; r < 4; r++) {
		struct supply supply;
		struct turn turn = {.service = fixture.list, .count = 4};
		fixture_start(4, SAMPLE_NO_LIMIT);
		turn.gate_wants_bytes = missing_mib[r] * MIB;
		for (size_t i = 0; i < 4; i++) {
			fixture.service[i].turn.asks = LEVEL_EAGER;
			fixture.service[i].turn.policy = fixture.service[i].policy;
			fixture.service[i].sample.heap.idle_dirty_bytes = 20 * MIB;
			fixture.service[i].sample.heap.page_ns = page_ns[i];
		}
		supply = target_supply_of(&turn);
		for (size_t i = 0; i < 4; i++) {
			struct reason reason;
			assert_int_equal(target_bytes(&turn, i, &supply, 20 * MIB, &reason),
				parts_mib[r][i] * MIB);
		}
	}
}

static void test_a_page_counts_for_as_much_as_its_service_has_priority(void **state)
{
	(void)state;
	static const uint32_t priority[] = {1000, 0, 25};
	struct turn turn = {.service = fixture.list, .count = 3};
	fixture_start(3, SAMPLE_NO_LIMIT);
	turn.gate_wants_bytes = 30 * MIB;
	for (size_t i = 0; i < 3; i++) {
		fixture.service[i].turn.asks = LEVEL_EAGER;
		fixture.service[i].turn.policy = fixture.service[i].policy;
		fixture.service[i].sample.heap.idle_dirty_bytes = 20 * MIB;
		fixture.service[i].priority = priority[i];
	}
	struct supply supply = target_supply_of(&turn);
	static const uint64_t parts_mib[] = {0, 10, 20};
	for (size_t i = 0; i < 3; i++) {
		struct reason reason;
		assert_int_equal(
			target_bytes(&turn, i, &supply, 20 * MIB, &reason), parts_mib[i] * MIB);
	}
}

/* Of the wall's 256 MiB, 40 permille are the reserve. */
static void test_what_was_charged_while_another_gave_back_is_not_pending(void **state)
{
	(void)state;
	const uint64_t reserve_bytes = fraction_part_of(256 * MIB, 40);
	for (int leaves = 0; leaves < 2; leaves++) {
		fixture_start(1, 256 * MIB);
		fixture_use(0, 200 * MIB);
		if (leaves == 0)
			fixture.service[0].sample.current_bytes = 0;
		if (leaves == 0)
			fixture.service[0].sample.own.current_bytes = 0;
		fixture_step(1000);
		/* One process fills 30 MiB of credit while another one gives back 60. */
		fixture.service[0].sample.heap.credit_left_bytes -= 30 * MIB;
		fixture.service[0].sample.heap.gone_bytes = 60 * MIB;
		fixture.sample.shared.current_bytes = 170 * MIB;
		if (leaves != 0)
			fixture_use(0, 170 * MIB);
		fixture_step(1010);
		assert_int_equal(fixture.service[0].plan.credit_bytes, 86 * MIB - reserve_bytes);
	}
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

static void test_waiting_at_the_gate_asks_all_under_the_wall_and_changes_no_level(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture_use(0, 90 * MIB);
	fixture_use(1, 90 * MIB);
	fixture.service[1].sample.heap.idle_dirty_bytes = 60 * MIB;
	fixture_step(1000);
	assert_int_equal(fixture_level(0), LEVEL_CALM);
	fixture.service[0].sample.heap.wants_bytes = 100 * MIB;
	fixture_step(1001);
	for (size_t i = 0; i < 2; i++) {
		const struct action *action = fixture_action(ACTION_RELEASE, i);
		assert_non_null(action);
		assert_int_equal(action->level, LEVEL_EAGER);
		assert_int_equal(action->reason.kind, REASON_GATE);
		assert_int_equal(action->reason.value, 100 * MIB);
	}
	assert_int_equal(fixture_count(ACTION_LEVEL), 0);
	assert_int_equal(fixture.plan.next_ms, LOOKS_NEAR_MS);
	fixture.service[1].sample.heap.answered = false;
	fixture_step(1002);
	assert_null(fixture_action(ACTION_RELEASE, 1));
	fixture.service[1].sample.heap.answered = true;
	fixture.service[1].sample.heap.released_bytes = 20 * MIB;
	fixture_use(1, 70 * MIB);
	fixture_step(1005);
	assert_non_null(fixture_action(ACTION_RELEASE, 1));
	assert_int_equal(fixture_action(ACTION_RELEASE, 1)->level, LEVEL_FULL);
	fixture.service[1].sample.heap.released_bytes = 60 * MIB;
	fixture.service[1].sample.heap.idle_dirty_bytes = 0;
	fixture_use(1, 30 * MIB);
	fixture_step(1010);
	assert_true(fixture.service[0].plan.credit_bytes >= 100 * MIB);
	fixture.service[0].sample.heap.wants_bytes = 0;
	fixture_step(1020);
	fixture_step(1300);
	assert_int_equal(fixture.service[1].turn.asks, LEVEL_CALM);
	assert_int_equal(fixture_level(1), LEVEL_CALM);
}

static void test_waiting_for_its_own_wall_leaves_the_siblings_alone(void **state)
{
	(void)state;
	fixture_start(2, 1000 * MIB);
	fixture.service[0].sample.own.limit_bytes = 200 * MIB;
	fixture_use(0, 140 * MIB);
	fixture.service[0].sample.heap.wants_bytes = 60 * MIB;
	fixture_step(1000);
	assert_int_equal(fixture.service[0].turn.asks, LEVEL_EAGER);
	assert_int_equal(fixture.service[1].turn.asks, LEVEL_CALM);
}

static void test_need_beyond_the_whole_wall_is_its_own_affair(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture_use(0, 20 * MIB);
	fixture_step(1000);
	fixture.service[0].sample.heap.wants_bytes = GIB;
	for (uint64_t ms = 1001; ms < 1200; ms += 10) {
		fixture_step(ms);
		assert_true(fixture.service[0].turn.asks >= LEVEL_EAGER);
		assert_int_equal(fixture.service[1].turn.asks, LEVEL_CALM);
		assert_true(fixture.service[1].plan.credit_bytes > 100 * MIB);
	}
}

/* One service says of every release that it gave back all that it still holds. */
static void test_a_liar_does_not_keep_the_others_waiting(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture_use(0, 150 * MIB);
	fixture_use(1, 95 * MIB);
	fixture.service[0].sample.heap.in_use_bytes = 150 * MIB;
	fixture.service[0].sample.heap.wants_bytes = 8 * MIB;
	fixture.service[1].sample.heap.idle_dirty_bytes = 50 * MIB;
	uint64_t concluded_ms = 0;
	for (uint64_t now_ms = 1000; now_ms < 3000 && concluded_ms == 0; now_ms += 10) {
		fixture_step(now_ms);
		if (fixture_action(ACTION_RELEASE, 1) != NULL)
			fixture.service[1].sample.heap.released_bytes += 50 * MIB;
		if (fixture_count(ACTION_CONCLUDE) > 0)
			concluded_ms = now_ms;
	}
	assert_in_range(concluded_ms, 1000, 1500);
	fixture_step(concluded_ms + 1);
	assert_true(fixture.service[0].plan.credit_bytes >= 8 * MIB);
}

static void test_service_that_starts_finds_a_little_credit(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture.service[1].sample.running = false;
	fixture_use(0, 20 * MIB);
	fixture_step(1000);
	assert_int_equal(fixture.service[1].plan.credit_bytes, CREDIT_STARTER_BYTES);
}

static void test_credit_is_finite_where_a_burst_could_reach_the_wall(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture_use(0, 10 * MIB);
	fixture_step(1000);
	/* 4 % of 256 MiB stay in reserve. */
	uint64_t available_bytes = 246 * MIB - 256 * MIB * 40 / 1000;
	uint64_t sum = fixture.service[0].plan.credit_bytes + fixture.service[1].plan.credit_bytes;
	assert_in_range(sum, available_bytes - 1, available_bytes);
	assert_int_equal(fixture.plan.next_ms, LOOKS_FAR_MS);
	fixture_start(2, 16 * GIB);
	fixture_use(0, 10 * MIB);
	fixture_step(1000);
	assert_int_equal(fixture.service[0].plan.credit_bytes, UINT64_MAX);
	assert_int_equal(fixture.plan.next_ms, LOOKS_FAR_MS);
	fixture_start(2, 256 * MIB);
	fixture.policies[0].gate_wait_ms = 0;
	fixture_use(0, 250 * MIB);
	fixture_step(1000);
	assert_int_equal(fixture.service[0].plan.credit_bytes, UINT64_MAX);
}

static void test_credit_that_was_taken_is_not_given_again(void **state)
{
	(void)state;
	fixture_start(1, 256 * MIB);
	fixture_use(0, 100 * MIB);
	fixture_step(1000);
	uint64_t first = fixture.service[0].plan.credit_bytes;
	/* All of it is taken, and a millisecond later nothing of it is charged yet. */
	fixture.service[0].sample.heap.credit_left_bytes = 0;
	fixture_step(1001);
	assert_int_equal(fixture.service[0].plan.credit_bytes, 0);
	/* 40 MiB are charged: what is left over is still spoken for. */
	fixture_use(0, 140 * MIB);
	fixture_step(1025);
	assert_int_equal(fixture.service[0].plan.credit_bytes, 0);
	fixture_use(0, 100 * MIB + first);
	fixture_step(1050);
	assert_int_equal(fixture.service[0].plan.credit_bytes, 0);
	assert_int_equal(credit_pending_bytes(&fixture.service[0].state.credit), 0);
}

static void test_pending_credit_is_settled_without_leaves_too(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture.sample.shared.current_bytes = 50 * MIB;
	fixture_step(1000);
	fixture.service[0].sample.heap.credit_left_bytes -= 20 * MIB;
	fixture.service[1].sample.heap.credit_left_bytes -= 30 * MIB;
	fixture.sample.shared.current_bytes = 90 * MIB;
	fixture_step(1010);
	assert_int_equal(credit_pending_bytes(&fixture.service[0].state.credit) +
				 credit_pending_bytes(&fixture.service[1].state.credit),
		10 * MIB);
}

static void random_service(struct service_sample *service, uint64_t *seed)
{
	uint64_t bits = fixture_random(seed);
	service->running = (bits & 7) != 0;
	service->can_brake = (bits & 8) != 0;
	service->own.limit_bytes = (bits & 16) != 0 ? fixture_random_size(seed) : SAMPLE_NO_LIMIT;
	service->current_bytes = fixture_random_size(seed);
	service->own.current_bytes = service->current_bytes;
	service->own.reclaimable_known = (bits & 32) != 0;
	service->own.reclaimable_bytes = fixture_random_size(seed);
	service->own.cache_bytes = fixture_random_size(seed);
	service->events = (struct events_sample){.known = (bits & 64) != 0,
		.high = fixture_random_size(seed),
		.max = fixture_random_size(seed)};
	service->stall = (struct stall_sample){.known = (bits & 128) != 0,
		.read_ms = fixture_random_size(seed),
		.some_us = fixture_random_size(seed),
		.full_us = fixture_random_size(seed)};
	service->heap = (struct heap_sample){
		.processes = bits >> 8 & 3,
		.idle_dirty_bytes = fixture_random_size(seed),
		.lazy_bytes = fixture_random_size(seed),
		.released_bytes = fixture_random_size(seed),
		.wants_bytes = (bits & 4096) != 0 ? fixture_random_size(seed) : 0,
		.credit_left_bytes = fixture_random_size(seed),
		.answered = (bits & 8192) != 0,
	};
	service->manual = (bits & 0xf0000) != 0 ? LEVEL_CALM : (enum level)(bits >> 20 & 3);
}

static void assert_plan_is_sane(uint64_t now_ms)
{
	assert_true(fixture.plan.count <= fixture.plan.room);
	assert_in_range(fixture.plan.next_ms, 1, LOOKS_FAR_MS);
	for (size_t i = 0; i < fixture.state.service_count; i++)
		assert_in_range(fixture.service[i].plan.price_ns, 1907, 64 * 1907);
	for (size_t a = 0; a < fixture.plan.count; a++) {
		const struct action *action = &fixture.plan.action[a];
		assert_true(action->service < fixture.state.service_count);
		if (action->kind == ACTION_LEVEL)
			assert_int_not_equal(action->level, action->previous);
		if (action->kind == ACTION_RELEASE) {
			assert_in_range(action->level, LEVEL_LAZY, LEVEL_FULL);
			assert_true(action->target_bytes > 0);
		}
		if (action->kind == ACTION_BRAKE) {
			assert_int_equal(action->until_ms, now_ms + 3000);
			assert_int_equal(action->high_bytes % 4096, 0);
			assert_true(action->high_bytes > 0);
		}
	}
}

/* was_concluded: before the step, so that the reserve may be handed out too. */
static void assert_credit_fits(bool was_concluded)
{
	const struct wall_sample *shared = &fixture.sample.shared;
	uint64_t reserve_bytes =
		shared->limit_bytes == SAMPLE_NO_LIMIT || was_concluded
			? 0
			: shared->limit_bytes / 1000 * 40 + shared->limit_bytes % 1000 * 40 / 1000;
	uint64_t sum = 0;
	bool limited = false;
	for (size_t i = 0; i < fixture.state.service_count; i++) {
		uint64_t credit = fixture.service[i].plan.credit_bytes;
		if (credit == UINT64_MAX)
			continue;
		const struct wall_sample *own = &fixture.service[i].sample.own;
		if (own->limit_bytes != SAMPLE_NO_LIMIT && fixture.service[i].sample.running)
			assert_true(credit <= fixture.service[i].plan.headroom_bytes);
		limited = true;
		sum += credit;
	}
	if (!limited || shared->limit_bytes == SAMPLE_NO_LIMIT || !shared->reclaimable_known)
		return;
	uint64_t used = shared->current_bytes > shared->reclaimable_bytes
				? shared->current_bytes - shared->reclaimable_bytes
				: 0;
	uint64_t headroom = shared->limit_bytes > used ? shared->limit_bytes - used : 0;
	assert_true(sum <= (headroom > reserve_bytes ? headroom - reserve_bytes : 0));
}

static void test_no_sample_breaks_the_plan_nor_the_sum_of_credit(void **state)
{
	(void)state;
	uint64_t seed = 20240229;
	for (int run = 0; run < 300; run++) {
		size_t count = run % 10 == 0 ? FIXTURE_SERVICES_MAX : fixture_random(&seed) % 6;
		uint64_t now_ms = fixture_random(&seed) % 100000;
		fixture_start(count, SAMPLE_NO_LIMIT);
		for (int n = 0; n < 60; n++) {
			uint64_t bits = fixture_random(&seed);
			struct wall_sample *shared = &fixture.sample.shared;
			shared->limit_bytes = (bits & 3) != 0 ? fixture_random(&seed) % (4 * GIB)
							      : SAMPLE_NO_LIMIT;
			shared->current_bytes = fixture_random(&seed) % (4 * GIB);
			shared->reclaimable_known = (bits & 4) != 0;
			shared->reclaimable_bytes = fixture_random_size(&seed);
			fixture.sample.shared_events.known = (bits & 8) != 0;
			fixture.sample.shared_events.max = fixture_random_size(&seed);
			for (size_t i = 0; i < count; i++)
				random_service(&fixture.service[i].sample, &seed);
			bool was_concluded = fixture.state.shared_shortage.concluded;
			policy_step(&fixture.state, &fixture.sample, now_ms, &fixture.plan);
			assert_plan_is_sane(now_ms);
			if (shared->limit_bytes < GIB)
				assert_credit_fits(was_concluded);
			now_ms += bits >> 8 & 63;
		}
	}
}

static void test_same_input_gives_the_same_plan(void **state)
{
	(void)state;
	static struct fixture other;
	fixture_start(4, 256 * MIB);
	other = fixture;
	other.plan.action = other.action;
	other.state.service = other.list;
	for (size_t i = 0; i < 4; i++)
		other.list[i] = &other.service[i];
	for (uint64_t ms = 1000; ms < 2000; ms += 10) {
		fixture_use(ms / 10 % 4, ms * 64 * KIB);
		for (size_t i = 0; i < 4; i++)
			other.service[i].sample = fixture.service[i].sample;
		policy_step(&fixture.state, &fixture.sample, ms, &fixture.plan);
		policy_step(&other.state, &fixture.sample, ms, &other.plan);
		assert_int_equal(other.plan.count, fixture.plan.count);
		assert_int_equal(other.plan.next_ms, fixture.plan.next_ms);
		assert_memory_equal(other.action, fixture.action, sizeof other.action);
		for (size_t i = 0; i < 4; i++) {
			assert_memory_equal(&other.service[i].plan, &fixture.service[i].plan,
				sizeof(struct service_plan));
			assert_memory_equal(&other.service[i].state, &fixture.service[i].state,
				sizeof(struct service_state));
		}
	}
}

static void test_service_that_ended_leaves_nothing_behind(void **state)
{
	(void)state;
	static const struct service_state empty;
	fixture_start(2, 256 * MIB);
	fixture_use(0, 100 * MIB);
	fixture_step(1000);
	fixture_use(0, 252 * MIB);
	fixture_step(1500);
	assert_int_equal(fixture_level(0), LEVEL_FULL);
	fixture.service[0].sample.running = false;
	fixture_use(0, 0);
	fixture_step(1600);
	const struct action *action = fixture_action(ACTION_LEVEL, 0);
	assert_non_null(action);
	assert_int_equal(action->level, LEVEL_CALM);
	assert_non_null(fixture_action(ACTION_UNBRAKE, 0));
	assert_memory_equal(&fixture.service[0].state, &empty, sizeof empty);
	fixture_step(1610);
	assert_null(fixture_action(ACTION_LEVEL, 0));
}

static void test_state_follows_its_service_through_a_reload(void **state)
{
	(void)state;
	fixture_start(2, SAMPLE_NO_LIMIT);
	fixture.service[1].sample.own.limit_bytes = 256 * MIB;
	fixture_use(1, 250 * MIB);
	fixture_step(1000);
	assert_int_equal(fixture_level(1), LEVEL_FULL);
	/* Another order, and a new one before it. */
	fixture.service[2] = fixture.service[0];
	policy_service_forget(&fixture.service[2]);
	fixture.list[0] = &fixture.service[2];
	fixture.list[1] = &fixture.service[1];
	fixture.list[2] = &fixture.service[0];
	fixture.state.service_count = 3;
	fixture.plan.room = PLAN_ACTIONS(3);
	fixture_step(1010);
	assert_int_equal(fixture_level(0), LEVEL_CALM);
	assert_int_equal(fixture_level(1), LEVEL_FULL);
	assert_null(fixture_action(ACTION_LEVEL, 1));
	policy_service_forget(&fixture.service[1]);
	assert_int_equal(fixture_level(1), LEVEL_CALM);
}

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
	fixture_step(61400);
	assert_int_equal(fixture_level(0), LEVEL_FULL);
	assert_int_equal(fixture.plan.next_ms, LOOKS_FAR_MS);
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
		cmocka_unit_test(test_growth_of_20_mb_per_s_meets_every_level_before_the_wall),
		cmocka_unit_test(test_flat_out_growth_meets_every_level_before_the_wall),
		cmocka_unit_test(test_levels_fall_one_after_the_other),
		cmocka_unit_test(test_cheapest_memory_is_asked_for_first),
		cmocka_unit_test(test_those_to_whom_a_page_costs_least_are_asked_first),
		cmocka_unit_test(test_a_page_counts_for_as_much_as_its_service_has_priority),
		cmocka_unit_test(test_what_was_charged_while_another_gave_back_is_not_pending),
		cmocka_unit_test(test_full_asks_for_everything),
		cmocka_unit_test(test_without_any_wall_only_stall_and_events_count),
		cmocka_unit_test(test_event_counters_going_backwards_start_anew),
		cmocka_unit_test(test_hits_at_one_leaf_do_not_alarm_its_siblings),
		cmocka_unit_test(test_high_events_count_only_where_a_high_is_in_force),
		cmocka_unit_test(test_request_by_hand_is_independent_of_the_level),
		cmocka_unit_test(test_lazily_freed_bytes_are_headroom),
		cmocka_unit_test(test_reading_a_file_is_no_growth),
		cmocka_unit_test(test_service_without_shim_gets_levels_and_brake_and_no_request),
		cmocka_unit_test(test_heaps_that_ask_at_the_gate_are_not_braked_for_speed),
		cmocka_unit_test(test_brake_is_for_the_one_that_drives),
		cmocka_unit_test(test_who_grew_and_now_gives_back_is_not_braked),
		cmocka_unit_test(test_brake_deadline_is_kept_and_looked_for),
		cmocka_unit_test(
			test_waiting_at_the_gate_asks_all_under_the_wall_and_changes_no_level),
		cmocka_unit_test(test_waiting_for_its_own_wall_leaves_the_siblings_alone),
		cmocka_unit_test(test_need_beyond_the_whole_wall_is_its_own_affair),
		cmocka_unit_test(test_a_liar_does_not_keep_the_others_waiting),
		cmocka_unit_test(test_service_that_starts_finds_a_little_credit),
		cmocka_unit_test(test_credit_is_finite_where_a_burst_could_reach_the_wall),
		cmocka_unit_test(test_credit_that_was_taken_is_not_given_again),
		cmocka_unit_test(test_pending_credit_is_settled_without_leaves_too),
		cmocka_unit_test(test_no_sample_breaks_the_plan_nor_the_sum_of_credit),
		cmocka_unit_test(test_same_input_gives_the_same_plan),
		cmocka_unit_test(test_service_that_ended_leaves_nothing_behind),
		cmocka_unit_test(test_state_follows_its_service_through_a_reload),
		cmocka_unit_test(test_next_step_comes_sooner_the_nearer_the_wall),
		cmocka_unit_test(test_where_nothing_moves_a_look_a_second_is_enough),
		cmocka_unit_test(test_looks_come_closer_before_every_threshold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
