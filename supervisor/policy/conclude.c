/* Which walls have nothing left to give below them, and what that means for who waits. */
#include "supervisor/policy/conclude.h"

#include "supervisor/policy/behind.h"
#include "supervisor/policy/fraction.h"

/* The largest part of what is used says what kind of shortage it is. */
static struct reason reason_of(const struct behind *behind, const struct wall *wall)
{
	uint64_t used_bytes = fraction_less(wall->limit_bytes, wall->headroom_bytes);
	struct reason reason = {.kind = REASON_LIVE,
		.value = behind->live_bytes,
		.threshold = wall->headroom_bytes,
		.wall_bytes = wall->limit_bytes};
	uint64_t foreign_bytes = fraction_less(used_bytes, behind->heap_bytes);
	if (behind->free_slot_bytes > reason.value) {
		reason.kind = REASON_FRAGMENTED;
		reason.value = behind->free_slot_bytes;
	}
	if (foreign_bytes > reason.value) {
		reason.kind = REASON_FOREIGN;
		reason.value = foreign_bytes;
	}
	return reason;
}

static void wall_conclude(struct turn *turn, struct shortage *shortage,
	const struct shortage_view *view, const struct behind *behind, const struct wall *wall,
	size_t service, bool shared)
{
	bool tell;
	enum shortage_change change = shortage_step(shortage, view, turn->now_ms, &tell);
	if (change == SHORTAGE_CONCLUDE)
		turn->concluded = true;
	if (!tell)
		return;
	struct action *action = turn_action_add(turn, ACTION_CONCLUDE, service);
	if (action == NULL)
		return;
	action->reason = reason_of(behind, wall);
	action->reason.shared = shared;
}

static void conclude_own(struct turn *turn, size_t i)
{
	const struct service_turn *service = &turn->service[i]->turn;
	if (!service->own.exists)
		return;
	struct behind behind = behind_service(turn, i, SHORTAGE_FRESH_MS);
	struct shortage_view view = {
		.is_short = service->own_short,
		.wants_bytes = service->wants_bytes,
		.emptied = behind.emptied,
		.idle_bytes = behind.idle_bytes,
		.headroom_bytes = service->own.headroom_bytes,
		.reserve_bytes = service->own_reserve_bytes,
		.limit_bytes = service->own.limit_bytes,
		.hold_ms = service->policy->gate_wait_ms,
	};
	wall_conclude(
		turn, &turn->service[i]->state.shortage, &view, &behind, &service->own, i, false);
}

static void conclude_shared(struct turn *turn)
{
	struct behind behind = behind_shared(turn, SHORTAGE_FRESH_MS);
	size_t waits = 0;
	for (size_t i = 0; i < turn->count; i++)
		if (turn->service[i]->turn.wants_bytes > turn->service[waits]->turn.wants_bytes)
			waits = i;
	struct shortage_view view = {
		.is_short = turn->gate_wants_bytes > turn->gate_credit_bytes,
		.wants_bytes = turn->gate_wants_bytes,
		.emptied = behind.emptied,
		.idle_bytes = behind.idle_bytes,
		.headroom_bytes = turn->shared.headroom_bytes,
		.reserve_bytes = turn->shared_reserve_bytes,
		.limit_bytes = turn->shared.limit_bytes,
		.unseen_ms = turn->sample->unseen_ms,
	};
	if (turn->count > 0)
		view.hold_ms = turn->service[waits]->turn.policy->gate_wait_ms;
	if (turn->shared.exists && turn->count > 0)
		wall_conclude(turn, &turn->state->shared_shortage, &view, &behind, &turn->shared,
			waits, true);
}

void conclude_step(struct turn *turn)
{
	conclude_shared(turn);
	for (size_t i = 0; i < turn->count; i++) {
		const struct service_state *state = &turn->service[i]->state;
		uint32_t wait_ms = turn->service[i]->turn.policy->gate_wait_ms;
		if (turn->service[i]->sample.running)
			conclude_own(turn, i);
		if (turn->service[i]->turn.wants_bytes <
				turn->service[i]->sample.heap.wants_bytes ||
			shortage_is_hopeless(&state->shortage) ||
			shortage_is_hopeless(&turn->state->shared_shortage))
			wait_ms = 0;
		turn->service[i]->plan.gate_wait_ms = wait_ms;
	}
}
