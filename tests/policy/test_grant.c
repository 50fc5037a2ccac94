#include "tests/policy/fixture.h"

#include "supervisor/policy/fraction.h"
#include "supervisor/policy/looks.h"

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

/* Priority is as weight: what keeps a service within its share is served, however long another one
 * that wants more than its own has waited. */
static void test_share_of_the_wall_goes_by_priority(void **state)
{
	(void)state;
	for (uint32_t priority = 50; priority <= 200; priority *= 4) {
		fixture_start(2, 250 * MIB);
		fixture.service[0].priority = priority;
		fixture.service[1].priority = 100;
		fixture_use(0, 100 * MIB);
		fixture_use(1, 100 * MIB);
		fixture.service[1].sample.heap.wants_bytes = 60 * MIB;
		for (uint64_t now_ms = 1000; now_ms <= 1110; now_ms += 10)
			fixture_step(now_ms);
		fixture.service[0].sample.heap.wants_bytes = 4 * MIB;
		fixture_step(1120);
		/* 80 or 160 of the 240 MiB that are not in reserve. */
		bool served = fixture.service[0].plan.credit_bytes >= 4 * MIB;
		assert_true(served == (priority == 200));
	}
}

/* Who has given all that full reaches, and uses less than its share, is left what it frees and
 * takes again, until there is no room. */
static void test_who_has_given_is_spared_while_there_is_room(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture_use(1, 30 * MIB);
	fixture.service[0].sample.heap.wants_bytes = 230 * MIB;
	uint64_t full_ms = 0;
	for (uint64_t now_ms = 1000; now_ms < 1150; now_ms += 10) {
		fixture.service[1].sample.heap.idle_dirty_bytes = now_ms % 20 == 0 ? 10 * MIB : 0;
		fixture_step(now_ms);
		const struct action *action = fixture_action(ACTION_RELEASE, 1);
		assert_true(action == NULL || full_ms == 0);
		if (action != NULL && action->level == LEVEL_FULL)
			full_ms = now_ms;
	}
	assert_in_range(full_ms, 1000, 1050);
	fixture_use(0, 215 * MIB);
	fixture.service[0].sample.heap.wants_bytes = 20 * MIB;
	fixture_step(1150);
	assert_non_null(fixture_action(ACTION_RELEASE, 1));
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

/* Files fill the cgroup to its limit: what heaps grow by is cache that goes. */
static void test_heaps_that_grow_into_the_cache_are_charged(void **state)
{
	(void)state;
	const uint64_t reserve_bytes = fraction_part_of(256 * MIB, 40);
	for (int leaves = 0; leaves < 2; leaves++) {
		fixture_start(1, 256 * MIB);
		fixture_use(0, 250 * MIB);
		struct service_sample *service = &fixture.service[0].sample;
		struct wall_sample *walls[] = {&fixture.sample.shared, &service->own};
		if (leaves == 0)
			service->current_bytes = service->own.current_bytes = 0;
		for (int w = 0; w <= leaves; w++)
			*walls[w] = (struct wall_sample){.limit_bytes = walls[w]->limit_bytes,
				.current_bytes = 250 * MIB,
				.reclaimable_known = true,
				.reclaimable_bytes = 100 * MIB,
				.cache_bytes = 100 * MIB};
		fixture_step(1000);
		uint64_t first_bytes = service->heap.credit_left_bytes;
		assert_int_equal(first_bytes, 106 * MIB - reserve_bytes);
		service->heap.credit_left_bytes -= 60 * MIB;
		for (int w = 0; w <= leaves; w++)
			walls[w]->reclaimable_bytes = walls[w]->cache_bytes = 40 * MIB;
		fixture_step(1010);
		assert_int_equal(service->heap.credit_left_bytes, first_bytes - 60 * MIB);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_charged_while_another_gave_back_is_not_pending),
		cmocka_unit_test(
			test_waiting_at_the_gate_asks_all_under_the_wall_and_changes_no_level),
		cmocka_unit_test(test_waiting_for_its_own_wall_leaves_the_siblings_alone),
		cmocka_unit_test(test_need_beyond_the_whole_wall_is_its_own_affair),
		cmocka_unit_test(test_share_of_the_wall_goes_by_priority),
		cmocka_unit_test(test_who_has_given_is_spared_while_there_is_room),
		cmocka_unit_test(test_a_liar_does_not_keep_the_others_waiting),
		cmocka_unit_test(test_service_that_starts_finds_a_little_credit),
		cmocka_unit_test(test_credit_is_finite_where_a_burst_could_reach_the_wall),
		cmocka_unit_test(test_credit_that_was_taken_is_not_given_again),
		cmocka_unit_test(test_pending_credit_is_settled_without_leaves_too),
		cmocka_unit_test(test_heaps_that_grow_into_the_cache_are_charged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
