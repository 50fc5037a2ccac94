/* Which services stand still while others give back. */
#include "supervisor/policy/freeze_walls.h"

static uint32_t priority_of(const struct policy_service *service)
{
	return service->priority != 0 ? service->priority : CONFIG_MEMORY_PRIORITY_USUAL;
}

static bool grows(const struct policy_service *service)
{
	return service->turn.own.bytes_per_s > 0;
}

/* count where nobody is in need. */
static size_t needy_of(const struct turn *turn)
{
	size_t needy = turn->count;
	for (size_t i = 0; i < turn->count; i++) {
		const struct policy_service *service = turn->service[i];
		if (!service->sample.running || service->state.freeze.on ||
			(!grows(service) && service->turn.wants_bytes == 0))
			continue;
		if (needy == turn->count ||
			priority_of(service) > priority_of(turn->service[needy]))
			needy = i;
	}
	return needy;
}

static bool is_given_back(const struct turn *turn)
{
	for (size_t i = 0; i < turn->count; i++)
		if (turn_can_give(turn, i) && turn->service[i]->state.release.asked)
			return true;
	return turn->sample->reclaim.under_way;
}

/* Whether memory is so short that somebody may be frozen for it. */
static bool is_short(const struct turn *turn, size_t needy, struct reason *reason)
{
	const struct config_policy *policy = turn->service[needy]->turn.policy;
	uint64_t full_bytes = turn_full_bytes(policy, &turn->shared);
	*reason = (struct reason){.kind = REASON_HEADROOM,
		.value = turn->shared.headroom_bytes,
		.threshold = full_bytes,
		.wall_bytes = turn->shared.limit_bytes,
		.shared = true};
	if (turn->shared.headroom_bytes < full_bytes)
		return true;
	*reason = (struct reason){.kind = REASON_GATE,
		.value = turn->gate_wants_bytes,
		.threshold = turn->gate_credit_bytes,
		.shared = true};
	return turn->gate_wants_bytes > 0;
}

static bool may_be_frozen(const struct policy_service *service)
{
	return service->freeze_ms != 0 && service->sample.running && service->sample.can_brake &&
	       service->sample.manual == LEVEL_CALM && !service->state.leaves;
}

static struct reason thaw_reason(const struct turn *turn, size_t i)
{
	const struct freeze *freeze = &turn->service[i]->state.freeze;
	if (turn->now_ms >= freeze->until_ms)
		return (struct reason){
			.kind = REASON_DEADLINE, .value = freeze->until_ms - freeze->began_ms};
	return (struct reason){
		.kind = REASON_RELAXED, .value = turn->shared.headroom_bytes, .shared = true};
}

void freeze_walls_step(struct turn *turn)
{
	size_t needy = turn->shared.exists ? needy_of(turn) : turn->count;
	struct reason reason = {.kind = REASON_HEADROOM};
	bool in_need = needy < turn->count &&
		       !turn_is_clear(&turn->shared, turn->service[needy]->turn.policy);
	bool wanted = in_need && is_short(turn, needy, &reason) && is_given_back(turn);
	for (size_t i = 0; i < turn->count; i++) {
		struct policy_service *service = turn->service[i];
		bool is_lower = in_need && priority_of(service) < priority_of(turn->service[needy]);
		struct freeze_view view = {
			.possible = may_be_frozen(service),
			.wanted = wanted && is_lower && grows(service) &&
				  !service->state.release.asked,
			.over = !is_lower,
			.for_ms = service->freeze_ms,
		};
		enum freeze_change change =
			freeze_step(&service->state.freeze, &view, turn->now_ms);
		if (change == FREEZE_KEEP)
			continue;
		struct action *action =
			turn_action_add(turn, change == FREEZE_ON ? ACTION_FREEZE : ACTION_THAW, i);
		if (action == NULL)
			continue;
		action->reason = change == FREEZE_ON ? reason : thaw_reason(turn, i);
		action->until_ms = service->state.freeze.until_ms;
		action->needy = needy;
	}
}
