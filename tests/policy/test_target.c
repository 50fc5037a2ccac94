#include "tests/policy/fixture.h"

#include "supervisor/policy/target.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cheapest_memory_is_asked_for_first),
		cmocka_unit_test(test_those_to_whom_a_page_costs_least_are_asked_first),
		cmocka_unit_test(test_a_page_counts_for_as_much_as_its_service_has_priority),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
