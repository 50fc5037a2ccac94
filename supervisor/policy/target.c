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

static unsigned cost_of(const struct policy_service *service)
{
	uint64_t page_ns = service->sample.heap.page_ns;
	unsigned cost = 0;
	if (page_ns == 0)
		page_ns = TARGET_PAGE_NS;
	if (service->priority != 0)
		page_ns = fraction_share(page_ns, service->priority, CONFIG_MEMORY_PRIORITY_USUAL);
	for (; page_ns > 1; page_ns >>= 1)
		cost++;
	return cost;
}

struct target_supply target_supply_of(const struct turn *turn)
{
	struct target_supply supply = {.idle_bytes = 0};
	for (size_t i = 0; i < turn->count; i++) {
		const struct service_sample *sample = &turn->service[i]->sample;
		if (!sample->running || sample->heap.processes == 0)
			continue;
		uint64_t *equals_bytes = &supply.by_cost_bytes[cost_of(turn->service[i])];
		uint64_t idle_bytes = release_idle_bytes(&turn->service[i]->state.release,
			&sample->heap, turn->service[i]->turn.asks);
		supply.heaps++;
		supply.idle_bytes = fraction_plus(supply.idle_bytes, idle_bytes);
		*equals_bytes = fraction_plus(*equals_bytes, idle_bytes);
	}
	return supply;
}

/* What one heap gives of what is missing. */
static uint64_t part_bytes(const struct target_supply *supply, uint64_t missing_bytes,
	const struct policy_service *service, uint64_t idle_bytes)
{
	unsigned cost = cost_of(service);
	uint64_t equals_bytes = supply->by_cost_bytes[cost];
	if (supply->idle_bytes == 0)
		return missing_bytes / supply->heaps;
	if (missing_bytes >= supply->idle_bytes)
		return fraction_share(missing_bytes, idle_bytes, supply->idle_bytes);
	for (unsigned cheaper = 0; cheaper < cost; cheaper++)
		missing_bytes = fraction_less(missing_bytes, supply->by_cost_bytes[cheaper]);
	if (missing_bytes > equals_bytes)
		missing_bytes = equals_bytes;
	return fraction_share(missing_bytes, idle_bytes, equals_bytes);
}

uint64_t target_bytes(const struct turn *turn, size_t i, const struct target_supply *supply,
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
	missing_at_gate(turn->gate_wants_bytes, turn->gate_credit_bytes, &shared, &why_shared);
	uint64_t part = part_bytes(supply, shared, turn->service[i], idle_bytes);
	if (service->rose && shared > 0 && part < RELEASE_LITTLE_BYTES)
		part = RELEASE_LITTLE_BYTES;
	*reason = part > own ? why_shared : why_own;
	return part > own ? part : own;
}
