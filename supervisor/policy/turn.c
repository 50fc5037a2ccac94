#include "supervisor/policy/turn.h"

#include <string.h>

#include "supervisor/policy/fraction.h"

struct action *turn_action_add(struct turn *turn, enum action_kind kind, size_t service)
{
	if (turn->plan->count == PLAN_ACTIONS_MAX)
		return NULL;
	struct action *action = &turn->plan->action[turn->plan->count++];
	*action = (struct action){.kind = kind, .service = service};
	return action;
}

bool turn_has_answered(const struct turn *turn, size_t i)
{
	const struct heap_sample *heap = &turn->sample->service[i].heap;
	return !turn->sample->service[i].running || heap->processes == 0 || heap->answered ||
	       !turn->state->service[i].release.asked;
}

/* What a counter rose by; one that fell belongs to a new cgroup and counts from 0. */
static uint64_t rise(uint64_t before, uint64_t now)
{
	return now >= before ? now - before : now;
}

static void events_step(struct policy_events *events, const struct events_sample *sample,
	uint64_t *high, uint64_t *max)
{
	*high = 0;
	*max = 0;
	if (events->known && sample->known) {
		*high = rise(events->high, sample->high);
		*max = rise(events->max, sample->max);
	}
	events->known = sample->known;
	events->high = sample->high;
	events->max = sample->max;
}

/* A service that does not run asks for nothing, keeps nothing, and needs no brake. */
static void service_retire(struct turn *turn, size_t i)
{
	struct policy_service *service = &turn->state->service[i];
	struct action *action;
	if (service->pressure.level != LEVEL_CALM) {
		action = turn_action_add(turn, ACTION_LEVEL, i);
		if (action != NULL)
			action->previous = service->pressure.level;
	}
	if (service->brake.on && turn->sample->service[i].can_brake)
		turn_action_add(turn, ACTION_UNBRAKE, i);
	memset(service, 0, sizeof *service);
}

static void observe_service(struct turn *turn, size_t i)
{
	const struct service_sample *sample = &turn->sample->service[i];
	struct policy_service *state = &turn->state->service[i];
	struct turn_service *service = &turn->service[i];
	struct wall_sample own = sample->own;
	uint64_t high;
	if (own.current_bytes == 0)
		own.current_bytes = sample->current_bytes;
	service->leaf_bytes = own.current_bytes;
	service->own = wall_step(&state->growth, &own, sample->heap.lazy_bytes, turn->now_ms);
	stall_step(&state->stall, &sample->stall);
	events_step(&state->events, &sample->events, &high, &service->events_max);
	const struct config_amount *configured = &turn->config->services[i].memory_high;
	if (state->brake.on || configured->bytes != 0 || configured->permille != 0)
		service->events_high = high;
	service->gated = sample->heap.processes > 0 && service->policy->gate_wait_ms > 0;
}

void turn_observe(struct turn *turn)
{
	const struct sample *sample = turn->sample;
	uint64_t lazy_bytes = 0;
	uint64_t leaves_max = 0;
	uint64_t high;
	for (size_t i = 0; i < sample->service_count; i++) {
		size_t policy = turn->config->services[i].policy;
		turn->service[i].policy = &turn->config->policies[policy];
		if (!sample->service[i].running) {
			service_retire(turn, i);
			continue;
		}
		observe_service(turn, i);
		lazy_bytes = fraction_plus(lazy_bytes, sample->service[i].heap.lazy_bytes);
		leaves_max = fraction_plus(leaves_max, turn->service[i].events_max);
	}
	turn->shared =
		wall_step(&turn->state->shared_growth, &sample->shared, lazy_bytes, turn->now_ms);
	stall_step(&turn->state->shared_stall, &sample->shared_stall);
	events_step(&turn->state->shared_events, &sample->shared_events, &high, &turn->shared_max);
	/* memory.events of a cgroup counts those of its descendants too. */
	turn->shared_max = fraction_less(turn->shared_max, leaves_max);
}
