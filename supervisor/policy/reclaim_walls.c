/* Which wall's caches the kernel is asked to take back. */
#include "supervisor/policy/reclaim_walls.h"

#include "supervisor/policy/behind.h"
#include "supervisor/policy/fraction.h"

/* Of one wall; what depends on whose it is stays 0. */
static struct reclaim_view view_of(
	const struct turn *turn, const struct wall *wall, uint64_t wanted_bytes, bool asked)
{
	const struct reclaim_sample *sample = &turn->sample->reclaim;
	return (struct reclaim_view){
		.possible = sample->possible && !sample->under_way && !asked,
		.under_way = sample->under_way,
		.got_bytes = sample->got_bytes,
		.headroom_bytes = wall->headroom_bytes,
		.free_bytes = wall->free_bytes,
		.wanted_bytes = wanted_bytes,
		.limit_bytes = wall->limit_bytes,
		.unused_bytes = wall->unused_cache_bytes,
		.used_bytes = wall->used_cache_bytes,
	};
}

/* In the leaf of the service. */
static struct action *ask(struct turn *turn, const struct reclaim_view *view, size_t service,
	uint64_t bytes, bool shared)
{
	struct action *action = turn_action_add(turn, ACTION_RECLAIM, service);
	if (action == NULL)
		return NULL;
	action->target_bytes = bytes;
	action->until_ms = turn->now_ms + RECLAIM_MS;
	action->reason = (struct reason){.kind = REASON_HEADROOM,
		.value = view->headroom_bytes,
		.threshold = view->wanted_bytes,
		.wall_bytes = view->limit_bytes,
		.shared = shared};
	return action;
}

static bool reclaim_own(struct turn *turn, size_t i, bool asked)
{
	const struct service_turn *service = &turn->service[i]->turn;
	struct service_state *state = &turn->service[i]->state;
	struct behind behind = behind_service(turn, i, BEHIND_FRESH_MS);
	struct reclaim_view view = view_of(
		turn, &service->own, turn_full_bytes(service->policy, &service->own), asked);
	view.has_nothing = behind_has_nothing(&behind, service->own.limit_bytes);
	view.is_short = state->shortage.concluded;
	uint64_t bytes = reclaim_judge(&state->reclaim, &view, turn->now_ms);
	if (bytes > 0)
		ask(turn, &view, i, bytes, false);
	return bytes > 0;
}

/* The one whose heaps have most lazily freed; count where none has what is worth a step. */
static size_t laziest(const struct turn *turn)
{
	uint64_t most_bytes = RECLAIM_LEAST_BYTES;
	size_t most = turn->count;
	for (size_t i = 0; i < turn->count; i++) {
		const struct service_sample *sample = &turn->service[i]->sample;
		if (!sample->running || !sample->can_brake || sample->heap.lazy_bytes < most_bytes)
			continue;
		most_bytes = sample->heap.lazy_bytes;
		most = i;
	}
	return most;
}

static void reclaim_shared(struct turn *turn, bool asked)
{
	struct behind behind = behind_shared(turn, BEHIND_FRESH_MS);
	struct policy_state *state = turn->state;
	uint64_t wanted_bytes = 0;
	for (size_t i = 0; i < turn->count; i++) {
		uint64_t bytes = turn_full_bytes(turn->service[i]->turn.policy, &turn->shared);
		if (turn->service[i]->sample.running && bytes > wanted_bytes)
			wanted_bytes = bytes;
	}
	struct reclaim_view view = view_of(turn, &turn->shared, wanted_bytes, asked);
	view.has_nothing = behind_has_nothing(&behind, turn->shared.limit_bytes);
	view.is_short = state->shared_shortage.concluded;
	uint64_t bytes = reclaim_judge(&state->shared_reclaim, &view, turn->now_ms);
	size_t lazy = laziest(turn);
	if (bytes == 0)
		return;
	struct action *action = ask(turn, &view, lazy < turn->count ? lazy : 0, bytes, true);
	if (action != NULL)
		action->all = lazy == turn->count;
}

void reclaim_walls_step(struct turn *turn)
{
	bool asked = false;
	for (size_t i = 0; i < turn->count; i++)
		if (turn->service[i]->sample.running && turn->service[i]->turn.own.exists &&
			turn->service[i]->sample.can_brake)
			asked |= reclaim_own(turn, i, asked);
	if (turn->shared.exists && turn->count > 0)
		reclaim_shared(turn, asked);
}
