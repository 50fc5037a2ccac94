/* How much to ask of whom. */
#include "supervisor/policy/target.h"

#include "supervisor/policy/fraction.h"

/* What this wall lacks, and the reason where that is anything.  timed: the level
 * whose time to wall counts too; LEVEL_CALM = none. */
static uint64_t missing_bytes(const struct wall *wall, const struct config_policy *policy,
	enum level timed, struct reason *reason)
{
	if (!wall->exists)
		return 0;
	uint64_t lazy_bytes =
		fraction_amount_bytes(policy->at[LEVEL_LAZY].headroom, wall->limit_bytes);
	uint64_t missing = fraction_less(lazy_bytes, wall->headroom_bytes);
	if (missing > 0) {
		missing = fraction_plus(missing, wall->limit_bytes / TARGET_MARGIN_SHARE);
		*reason = (struct reason){.kind = REASON_HEADROOM,
			.value = wall->headroom_bytes,
			.threshold = lazy_bytes,
			.wall_bytes = wall->limit_bytes};
	}
	if (timed == LEVEL_CALM)
		return missing;
	uint64_t reach_bytes =
		fraction_share(wall->bytes_per_s, policy->at[timed].time_to_wall_ms, 1000);
	if (reach_bytes > wall->limit_bytes)
		reach_bytes = wall->limit_bytes;
	uint64_t untimely = fraction_less(reach_bytes, wall->headroom_bytes);
	if (untimely <= missing)
		return missing;
	*reason = (struct reason){.kind = REASON_TIME_TO_WALL,
		.value = wall->time_to_wall_ms,
		.threshold = policy->at[timed].time_to_wall_ms,
		.wall_bytes = wall->limit_bytes};
	return untimely;
}

/* Where wants are short of credit that is missing too, at the least. */
static void missing_at_gate(
	uint64_t wants_bytes, uint64_t credit_bytes, uint64_t *missing, struct reason *reason)
{
	if (fraction_less(wants_bytes, credit_bytes) <= *missing)
		return;
	*missing = wants_bytes - credit_bytes;
	*reason = (struct reason){
		.kind = REASON_GATE, .value = wants_bytes, .threshold = credit_bytes};
}

/* memory_priority counts as if pages were so much dearer. */
static uint64_t page_ns_of(const struct policy_service *service)
{
	uint64_t page_ns = supply_page_ns(service->sample.heap.page_ns);
	if (service->priority != 0)
		page_ns = fraction_share(page_ns, service->priority, CONFIG_MEMORY_PRIORITY_USUAL);
	return page_ns;
}

struct supply target_supply_of(const struct turn *turn)
{
	struct supply supply = {.idle_bytes = 0};
	for (size_t i = 0; i < turn->count; i++) {
		const struct service_sample *sample = &turn->service[i]->sample;
		if (!turn_can_give(turn, i))
			continue;
		supply_add(&supply, page_ns_of(turn->service[i]),
			release_idle_bytes(&turn->service[i]->state.release, &sample->heap,
				turn->service[i]->turn.asks));
	}
	return supply;
}

uint64_t target_bytes(const struct turn *turn, size_t i, const struct supply *supply,
	uint64_t idle_bytes, struct reason *reason)
{
	const struct service_turn *service = &turn->service[i]->turn;
	struct reason why_own = {.kind = REASON_HEADROOM};
	struct reason why_shared = {.kind = REASON_HEADROOM};
	enum level timed = service->rose ? turn->service[i]->state.pressure.level : LEVEL_CALM;
	uint64_t own = missing_bytes(&service->own, service->policy, timed, &why_own);
	uint64_t shared = missing_bytes(&turn->shared, service->policy, timed, &why_shared);
	why_shared.shared = true;
	if (service->own_short)
		missing_at_gate(
			service->wants_bytes, turn->service[i]->plan.credit_bytes, &own, &why_own);
	if (!service->spared)
		missing_at_gate(
			turn->gate_wants_bytes, turn->gate_credit_bytes, &shared, &why_shared);
	uint64_t part = supply_part(supply, shared, page_ns_of(turn->service[i]), idle_bytes);
	if (service->rose && shared > 0 && part < RELEASE_LITTLE_BYTES)
		part = RELEASE_LITTLE_BYTES;
	*reason = part > own ? why_shared : why_own;
	return part > own ? part : own;
}
