/* Which service is ended as the last resort. */
#include "supervisor/policy/last_resort_walls.h"

#include "supervisor/policy/behind.h"
#include "supervisor/policy/fraction.h"

static uint64_t priority_of(const struct policy_service *service)
{
	return service->priority != 0 ? service->priority : CONFIG_MEMORY_PRIORITY_USUAL;
}

/* Beyond what it was promised.  Without a leaf its heaps' memory is what is known of it. */
static uint64_t excess_bytes(const struct policy_service *service)
{
	const struct heap_sample *heap = &service->sample.heap;
	uint64_t used_bytes = service->turn.leaf_bytes;
	if (used_bytes == 0)
		used_bytes = fraction_plus(heap->in_use_bytes, heap->idle_dirty_bytes);
	return fraction_less(used_bytes, service->promised_bytes);
}

static bool comes_before(const struct policy_service *a, const struct policy_service *b)
{
	if (priority_of(a) != priority_of(b))
		return priority_of(a) < priority_of(b);
	return excess_bytes(a) >= excess_bytes(b);
}

/* The one that is named; count where none may be ended. */
static size_t named(const struct turn *turn)
{
	size_t first = turn->count;
	for (size_t i = 0; i < turn->count; i++) {
		const struct policy_service *service = turn->service[i];
		if (!service->may_end || !service->sample.running || service->state.leaves)
			continue;
		if (first == turn->count || comes_before(service, turn->service[first]))
			first = i;
	}
	return first;
}

static struct reason reason_of(
	enum last_resort_why why, const struct last_resort_view *view, uint64_t slowed_ms)
{
	if (why == LAST_RESORT_NEAR)
		return (struct reason){.kind = REASON_TIME_TO_WALL,
			.value = view->time_to_wall_ms,
			.threshold = LAST_RESORT_NEAR_MS};
	if (why == LAST_RESORT_TIGHT)
		return (struct reason){.kind = REASON_HEADROOM,
			.value = view->headroom_bytes,
			.threshold = view->limit_bytes / LAST_RESORT_SHARE};
	return (struct reason){
		.kind = REASON_SLOWED, .value = slowed_ms, .threshold = LAST_RESORT_SLOW_MS};
}

static void end(struct turn *turn, struct last_resort *state, const struct last_resort_view *view,
	size_t i, bool shared)
{
	enum last_resort_why why = last_resort_judge(state, view, turn->now_ms);
	uint64_t slowed_ms = turn->now_ms - state->began_ms;
	if (why == LAST_RESORT_NOT || i == turn->count)
		return;
	struct action *action = turn_action_add(turn, ACTION_END, i);
	if (action == NULL)
		return;
	last_resort_note(state, turn->now_ms);
	turn->service[i]->state.leaves = true;
	action->reason = reason_of(why, view, slowed_ms);
	action->reason.wall_bytes = view->limit_bytes;
	action->reason.shared = shared;
}

static struct last_resort_view view_of(
	const struct wall *wall, const struct behind *behind, uint64_t full)
{
	return (struct last_resort_view){
		.exhausted = wall->headroom_bytes < full &&
			     behind_has_nothing(behind, wall->limit_bytes),
		.headroom_bytes = wall->headroom_bytes,
		.limit_bytes = wall->limit_bytes,
		.time_to_wall_ms = wall->time_to_wall_ms,
	};
}

static void end_own(struct turn *turn, size_t i)
{
	struct service_state *state = &turn->service[i]->state;
	const struct wall *own = &turn->service[i]->turn.own;
	struct behind behind = behind_service(turn, i, BEHIND_FRESH_MS);
	struct last_resort_view view =
		view_of(own, &behind, turn_full_bytes(turn->service[i]->turn.policy, own));
	view.braked = state->brake.on;
	view.slowed = view.braked || shortage_is_hopeless(&state->shortage);
	bool may_end = turn->service[i]->may_end && !state->leaves;
	end(turn, &state->last_resort, &view, may_end ? i : turn->count, false);
}

static void end_shared(struct turn *turn)
{
	struct behind behind = behind_shared(turn, BEHIND_FRESH_MS);
	bool braked = false;
	uint64_t full = 0;
	for (size_t i = 0; i < turn->count; i++) {
		uint64_t bytes = turn_full_bytes(turn->service[i]->turn.policy, &turn->shared);
		braked |= turn->service[i]->state.brake.on;
		if (turn->service[i]->sample.running && bytes > full)
			full = bytes;
	}
	struct last_resort_view view = view_of(&turn->shared, &behind, full);
	view.braked = braked;
	view.slowed = braked || shortage_is_hopeless(&turn->state->shared_shortage);
	end(turn, &turn->state->shared_last_resort, &view, named(turn), true);
}

void last_resort_walls_step(struct turn *turn)
{
	for (size_t i = 0; i < turn->count; i++)
		if (turn->service[i]->sample.running && turn->service[i]->turn.own.exists)
			end_own(turn, i);
	if (turn->shared.exists)
		end_shared(turn);
}
