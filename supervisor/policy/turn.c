/* What the parts of one step have in common: observations and actions. */
#include "supervisor/policy/turn.h"

#include <string.h>

#include "supervisor/policy/fraction.h"

uint64_t turn_full_bytes(const struct config_policy *policy, const struct wall *wall)
{
	return fraction_amount_bytes(policy->at[LEVEL_FULL].headroom, wall->limit_bytes);
}

bool turn_is_clear(const struct wall *wall, const struct config_policy *policy)
{
	const struct config_threshold *eager = &policy->at[LEVEL_EAGER];
	return !wall->exists ||
	       (wall->headroom_bytes >= fraction_amount_bytes(eager->headroom, wall->limit_bytes) &&
		       wall->time_to_wall_ms >= eager->time_to_wall_ms);
}

struct action *turn_action_add(struct turn *turn, enum action_kind kind, size_t service)
{
	if (turn->plan->count == turn->plan->room)
		return NULL;
	struct action *action = &turn->plan->action[turn->plan->count++];
	*action = (struct action){.kind = kind, .service = service};
	return action;
}

bool turn_can_give(const struct turn *turn, size_t i)
{
	const struct policy_service *service = turn->service[i];
	return service->sample.running && service->sample.heap.processes > 0 &&
	       !service->state.freeze.on;
}

bool turn_has_answered(const struct turn *turn, size_t i)
{
	const struct heap_sample *heap = &turn->service[i]->sample.heap;
	return !turn_can_give(turn, i) || heap->answered || !turn->service[i]->state.release.asked;
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
	struct service_state *service = &turn->service[i]->state;
	struct action *action;
	if (service->pressure.level != LEVEL_CALM) {
		action = turn_action_add(turn, ACTION_LEVEL, i);
		if (action != NULL)
			action->previous = service->pressure.level;
	}
	if (service->brake.on && turn->service[i]->sample.can_brake)
		turn_action_add(turn, ACTION_UNBRAKE, i);
	if (service->freeze.on)
		turn_action_add(turn, ACTION_THAW, i);
	memset(service, 0, sizeof *service);
}

/* The most of the heap's memory that can be on the file lists: what is lazy, and of what ever was
 * what is resident.  The kernel's counts come late by what is read and written in a second or
 * two, so that the lists seem to hold that much more. */
static uint64_t most_listed(const struct heap_sample *heap)
{
	uint64_t freed_bytes = fraction_less(heap->released_bytes, heap->gone_bytes);
	uint64_t resident_bytes = fraction_plus(heap->in_use_bytes, heap->idle_dirty_bytes);
	return fraction_plus(
		heap->lazy_bytes, freed_bytes < resident_bytes ? freed_bytes : resident_bytes);
}

static void bound_listed(struct wall_sample *wall, uint64_t most_bytes)
{
	if (wall->listed_bytes > most_bytes)
		wall->listed_bytes = most_bytes;
}

static void observe_service(struct turn *turn, size_t i)
{
	const struct service_sample *sample = &turn->service[i]->sample;
	struct service_state *state = &turn->service[i]->state;
	struct service_turn *service = &turn->service[i]->turn;
	struct wall_sample own = sample->own;
	uint64_t high;
	if (own.current_bytes == 0)
		own.current_bytes = sample->current_bytes;
	service->leaf_bytes = own.current_bytes;
	bound_listed(&own, most_listed(&sample->heap));
	service->own = wall_step(&state->growth, &own, sample->heap.lazy_bytes, turn->now_ms);
	stall_step(&state->stall, &sample->stall);
	events_step(&state->events, &sample->events, &high, &service->events_max);
	if (state->brake.on || turn->service[i]->has_high)
		service->events_high = high;
	service->gated = sample->heap.processes > 0 && service->policy->gate_wait_ms > 0;
}

void turn_observe(struct turn *turn)
{
	const struct sample *sample = turn->sample;
	struct wall_sample shared = sample->shared;
	uint64_t lazy_bytes = 0;
	uint64_t listed_bytes = 0;
	uint64_t leaves_max = 0;
	uint64_t high;
	for (size_t i = 0; i < turn->count; i++) {
		struct policy_service *service = turn->service[i];
		service->turn = (struct service_turn){.policy = service->policy};
		service->plan = (struct service_plan){0};
		if (!turn->service[i]->sample.running) {
			service_retire(turn, i);
			continue;
		}
		observe_service(turn, i);
		lazy_bytes = fraction_plus(lazy_bytes, turn->service[i]->sample.heap.lazy_bytes);
		listed_bytes =
			fraction_plus(listed_bytes, most_listed(&turn->service[i]->sample.heap));
		leaves_max = fraction_plus(leaves_max, turn->service[i]->turn.events_max);
	}
	bound_listed(&shared, listed_bytes);
	turn->shared = wall_step(&turn->state->shared_growth, &shared, lazy_bytes, turn->now_ms);
	stall_step(&turn->state->shared_stall, &sample->shared_stall);
	events_step(&turn->state->shared_events, &sample->shared_events, &high, &turn->shared_max);
	/* memory.events of a cgroup counts those of its descendants too. */
	turn->shared_max = fraction_less(turn->shared_max, leaves_max);
}
