/* cpu limit: 20 s */
/* What one step costs must grow with the number of services and not with its square.  Steps for
 * 20000 services take about a second of CPU, and minutes when any part of a step compares each
 * service with each other one. */
#include "tests/policy/fixture.h"

#define MANY 20000U
#define STEPS 20U

static struct policy_service service[MANY];
static struct policy_service *list[MANY];
static struct action action[PLAN_ACTIONS(MANY)];

/* As with services that have cgroups of their own, or without. */
static void start(bool with_leaves)
{
	fixture_start(0, MANY * MIB);
	memset(service, 0, sizeof service);
	fixture.plan.action = action;
	fixture.plan.room = PLAN_ACTIONS(MANY);
	fixture.state.service = list;
	fixture.state.service_count = MANY;
	for (size_t i = 0; i < MANY; i++) {
		struct service_sample *sample = &service[i].sample;
		list[i] = &service[i];
		service[i].policy = &fixture.policies[0];
		service[i].freeze_ms = 1000;
		service[i].may_end = true;
		sample->running = true;
		sample->own.limit_bytes = SAMPLE_NO_LIMIT;
		sample->can_brake = with_leaves;
		sample->current_bytes = with_leaves ? MIB : 0;
		sample->own.current_bytes = sample->current_bytes;
		sample->heap.processes = 1;
		sample->heap.in_use_bytes = MIB / 2;
		sample->heap.idle_dirty_bytes = MIB / 4 + i;
	}
	fixture.sample.shared.current_bytes = MANY * MIB - MIB;
}

/* All are asked, and the last ones hold most. */
static void assert_richest_first(void)
{
	size_t asked = MANY;
	for (size_t a = 0; a < fixture.plan.count; a++) {
		if (action[a].kind != ACTION_RELEASE)
			continue;
		asked--;
		assert_int_equal(action[a].service, asked);
	}
	assert_int_equal(asked, 0);
}

/* All wait at the gate, and each has idle memory to give. */
static void steps(bool with_leaves)
{
	start(with_leaves);
	for (size_t step = 0; step < STEPS; step++) {
		for (size_t i = 0; i < MANY; i++) {
			service[i].sample.heap.wants_bytes = 64 * KIB;
			service[i].sample.heap.answered = true;
			service[i].sample.heap.released_bytes += 4 * KIB;
		}
		policy_step(&fixture.state, &fixture.sample, 1000 + step * 60, &fixture.plan);
		if (step == 0)
			assert_richest_first();
	}
}

static void test_a_step_for_many_without_leaves(void **state)
{
	(void)state;
	steps(false);
}

static void test_a_step_for_many_with_leaves(void **state)
{
	(void)state;
	steps(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_step_for_many_without_leaves),
		cmocka_unit_test(test_a_step_for_many_with_leaves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
