#include "supervisor/policy/target.h"

#include "supervisor/policy/fraction.h"

/* What this wall lacks until it is where lazy would not be asked for; the
 * reason, where it lacks anything. */
static uint64_t missing_bytes(const struct wall *wall, const struct config_policy *policy,
	bool shared, struct reason *reason)
{
	if (!wall->exists)
		return 0;
	const struct config_threshold *lazy = &policy->at[LEVEL_LAZY];
	uint64_t wanted_bytes = fraction_amount_bytes(lazy->headroom, wall->limit_bytes);
	uint64_t reach_bytes = fraction_share(wall->bytes_per_s, lazy->time_to_wall_ms, 1000);
	if (reach_bytes > wall->limit_bytes)
		reach_bytes = wall->limit_bytes;
	struct reason why = {.wall_bytes = wall->limit_bytes, .shared = shared};
	if (wanted_bytes > wall->headroom_bytes || reach_bytes <= wanted_bytes) {
		why.kind = REASON_HEADROOM;
		why.value = wall->headroom_bytes;
		why.threshold = wanted_bytes;
	} else {
		why.kind = REASON_TIME_TO_WALL;
		why.value = wall->time_to_wall_ms;
		why.threshold = lazy->time_to_wall_ms;
	}
	if (reach_bytes > wanted_bytes)
		wanted_bytes = reach_bytes;
	uint64_t bytes = fraction_less(wanted_bytes, wall->headroom_bytes);
	if (bytes > 0)
		*reason = why;
	return bytes;
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

struct target_supply target_supply_of(const struct turn *turn)
{
	struct target_supply supply = {.idle_bytes = 0};
	for (size_t i = 0; i < turn->sample->service_count; i++) {
		const struct service_sample *sample = &turn->sample->service[i];
		if (!sample->running || sample->heap.processes == 0)
			continue;
		supply.heaps++;
		supply.idle_bytes = fraction_plus(supply.idle_bytes,
			release_idle_bytes(&sample->heap, turn->state->service[i].pressure.level));
	}
	return supply;
}

uint64_t target_bytes(const struct turn *turn, size_t i, const struct target_supply *supply,
	uint64_t idle_bytes, struct reason *reason)
{
	const struct turn_service *service = &turn->service[i];
	struct reason why_own = {.kind = REASON_HEADROOM};
	struct reason why_shared = {.kind = REASON_HEADROOM};
	uint64_t own = missing_bytes(&service->own, service->policy, false, &why_own);
	uint64_t shared = missing_bytes(&turn->shared, service->policy, true, &why_shared);
	if (service->own_short)
		missing_at_gate(turn->sample->service[i].heap.wants_bytes,
			turn->plan->credit_bytes[i], &own, &why_own);
	missing_at_gate(turn->gate_wants_bytes, turn->gate_credit_bytes, &shared, &why_shared);
	uint64_t part = supply->idle_bytes > 0
				? fraction_share(shared, idle_bytes, supply->idle_bytes)
				: shared / supply->heaps;
	if (service->rose && shared > 0 && part < RELEASE_LITTLE_BYTES)
		part = RELEASE_LITTLE_BYTES;
	*reason = part > own ? why_shared : why_own;
	return part > own ? part : own;
}
