#include "tests/policy/fixture.h"

#include "supervisor/policy/looks.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_sample_breaks_the_plan_nor_the_sum_of_credit),
		cmocka_unit_test(test_same_input_gives_the_same_plan),
		cmocka_unit_test(test_service_that_ended_leaves_nothing_behind),
		cmocka_unit_test(test_state_follows_its_service_through_a_reload),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
