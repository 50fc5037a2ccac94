#ifndef TESTS_POLICY_FIXTURE_H
#define TESTS_POLICY_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "supervisor/policy/policy.h"

#define FIXTURE_SERVICES_MAX 256

#define KIB ((uint64_t)1024)
#define MIB ((uint64_t)1024 * KIB)
#define GIB ((uint64_t)1024 * MIB)

/* What every scenario starts from: thresholds in the order of the levels, a gate, a brake. */
static const struct config_policy fixture_policy = {
	.at =
		{
			[LEVEL_LAZY] = {.headroom = {.permille = 250},
				.time_to_wall_ms = 10000,
				.pressure = {CONFIG_PSI_SOME, 50, 2000}},
			[LEVEL_EAGER] = {.headroom = {.permille = 150},
				.time_to_wall_ms = 4000,
				.pressure = {CONFIG_PSI_SOME, 150, 2000}},
			[LEVEL_FULL] = {.headroom = {.permille = 80},
				.time_to_wall_ms = 1000,
				.pressure = {CONFIG_PSI_FULL, 100, 2000}},
		},
	.hold_ms = 5000,
	.reserve = {.permille = 40},
	.gate_wait_ms = 200,
	.brake = {.permille = 60},
	.brake_hold_ms = 3000,
	.core_worth_bytes = UINT64_C(2) << 30,
};

/* Too large for a stack; each test starts it with fixture_start(). */
static struct fixture {
	struct config_policy policies[2]; /* every service has the first unless the test says so */
	struct policy_service service[FIXTURE_SERVICES_MAX];
	struct policy_service *list[FIXTURE_SERVICES_MAX];
	struct policy_state state;
	struct sample sample;
	struct plan plan;
	struct action action[PLAN_ACTIONS(FIXTURE_SERVICES_MAX)];
} fixture;

/* count running services, each with a leaf and one process, under a shared wall (or none). */
static inline void fixture_start(size_t count, uint64_t shared_limit_bytes)
{
	memset(&fixture, 0, sizeof fixture);
	fixture.policies[0] = fixture_policy;
	fixture.sample.shared.limit_bytes = shared_limit_bytes;
	fixture.state.service = fixture.list;
	fixture.state.service_count = count;
	fixture.plan.action = fixture.action;
	fixture.plan.room = PLAN_ACTIONS(count);
	for (size_t i = 0; i < count; i++) {
		fixture.list[i] = &fixture.service[i];
		fixture.service[i].policy = &fixture.policies[0];
		struct service_sample *service = &fixture.service[i].sample;
		service->running = true;
		service->own.limit_bytes = SAMPLE_NO_LIMIT;
		service->can_brake = true;
		service->heap.processes = 1;
		service->heap.answered = true;
		service->heap.credit_left_bytes = UINT64_MAX;
	}
}

/* Usage of a leaf, and of the shared wall as the sum of all. */
static inline void fixture_use(size_t i, uint64_t bytes)
{
	struct sample *sample = &fixture.sample;
	fixture.service[i].sample.current_bytes = bytes;
	fixture.service[i].sample.own.current_bytes = bytes;
	sample->shared.current_bytes = 0;
	for (size_t k = 0; k < fixture.state.service_count; k++)
		sample->shared.current_bytes += fixture.service[k].sample.current_bytes;
}

/* Nobody takes credit unless the test says so. */
static inline void fixture_step(uint64_t now_ms)
{
	policy_step(&fixture.state, &fixture.sample, now_ms, &fixture.plan);
	for (size_t i = 0; i < fixture.state.service_count; i++)
		fixture.service[i].sample.heap.credit_left_bytes =
			fixture.service[i].plan.credit_bytes;
}

/* The first such action of the service; NULL = none. */
static inline const struct action *fixture_action(enum action_kind kind, size_t service)
{
	for (size_t a = 0; a < fixture.plan.count; a++) {
		const struct action *action = &fixture.plan.action[a];
		if (action->kind == kind && action->service == service)
			return action;
	}
	return NULL;
}

static inline size_t fixture_count(enum action_kind kind)
{
	size_t count = 0;
	for (size_t a = 0; a < fixture.plan.count; a++)
		count += fixture.plan.action[a].kind == kind ? 1 : 0;
	return count;
}

static inline enum level fixture_level(size_t service)
{
	return fixture.service[service].state.pressure.level;
}

/* A generator of our own, so that a failure repeats. */
static inline uint64_t fixture_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Of any magnitude, small ones as often as large ones. */
static inline uint64_t fixture_random_size(uint64_t *seed)
{
	uint64_t bits = fixture_random(seed) % 64;
	return fixture_random(seed) >> bits;
}

#endif
