#include "supervisor/policy/grant.h"

#include "supervisor/policy/fraction.h"

static bool is_gated(const struct turn *turn, size_t i)
{
	return turn->sample->service[i].running && turn->service[i].policy->gate_wait_ms > 0;
}

/* Too far away to be reached before the next look, however fast the heaps grow. */
static bool is_far(
	const struct wall *wall, const struct config_policy *policy, uint64_t reserve_bytes)
{
	const struct config_threshold *lazy = &policy->at[LEVEL_LAZY];
	uint64_t reach_bytes = CREDIT_FASTEST_BYTES_PER_MS * POLICY_FAR_MS;
	if (!wall->exists)
		return true;
	return wall->headroom_bytes > fraction_plus(reach_bytes, reserve_bytes) &&
	       wall->headroom_bytes >= fraction_amount_bytes(lazy->headroom, wall->limit_bytes) &&
	       wall->time_to_wall_ms >= lazy->time_to_wall_ms;
}

static uint64_t less_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Usage that rose since the last step pays for pending credit, a leaf's for its
 * own; without leaves it is anyone's. */
static void account(struct turn *turn)
{
	struct policy_state *state = turn->state;
	const struct sample *sample = turn->sample;
	uint64_t common_bytes =
		fraction_less(sample->shared.current_bytes, state->shared_current_bytes);
	state->shared_current_bytes = sample->shared.current_bytes;
	for (size_t i = 0; i < sample->service_count; i++) {
		if (!sample->service[i].running)
			continue;
		struct credit *credit = &state->service[i].credit;
		const struct heap_sample *heap = &sample->service[i].heap;
		uint64_t leaf_bytes = turn->service[i].leaf_bytes;
		uint64_t charged_bytes = fraction_less(leaf_bytes, credit->current_bytes);
		if (leaf_bytes == 0)
			charged_bytes = common_bytes;
		struct belief_view said = {.wants_bytes = heap->wants_bytes,
			.usage_bytes = leaf_bytes != 0 ? leaf_bytes
						       : less_of(heap->in_use_bytes,
								 sample->shared.current_bytes),
			.grown_bytes = charged_bytes,
			.gate_wait_ms = turn->service[i].policy->gate_wait_ms};
		turn->service[i].wants_bytes =
			belief_step(&state->service[i].belief, &said, turn->now_ms);
		uint64_t settled_bytes = credit_account(credit, heap->credit_left_bytes,
			charged_bytes, turn->service[i].wants_bytes, turn->now_ms);
		credit->current_bytes = leaf_bytes;
		if (leaf_bytes == 0)
			common_bytes -= settled_bytes;
	}
}

/* What its own wall can give; UINT64_MAX = anything. */
static uint64_t own_limit_bytes(struct turn *turn, size_t i)
{
	struct turn_service *service = &turn->service[i];
	const struct credit *credit = &turn->state->service[i].credit;
	uint64_t reserve_bytes =
		fraction_amount_bytes(service->policy->reserve, service->own.limit_bytes);
	service->own_reserve_bytes = reserve_bytes;
	if (turn->state->service[i].shortage.concluded)
		reserve_bytes = 0;
	service->own_far = is_far(&service->own, service->policy, reserve_bytes);
	if (service->own_far)
		return UINT64_MAX;
	return fraction_less(service->own.headroom_bytes,
		fraction_plus(reserve_bytes, credit_pending_bytes(credit)));
}

/* What the shared wall can give; UINT64_MAX = anything. */
static uint64_t shared_limit_bytes(struct turn *turn)
{
	uint64_t reserve_bytes = 0;
	uint64_t pending_bytes = 0;
	for (size_t i = 0; i < turn->sample->service_count; i++) {
		if (!is_gated(turn, i))
			continue;
		uint64_t bytes = fraction_amount_bytes(
			turn->service[i].policy->reserve, turn->shared.limit_bytes);
		if (bytes > reserve_bytes)
			reserve_bytes = bytes;
		pending_bytes = fraction_plus(
			pending_bytes, credit_pending_bytes(&turn->state->service[i].credit));
	}
	turn->shared_reserve_bytes = reserve_bytes;
	if (turn->state->shared_shortage.concluded)
		reserve_bytes = 0;
	turn->shared_far = true;
	turn->shared_most_bytes = fraction_less(turn->shared.limit_bytes, reserve_bytes);
	for (size_t i = 0; i < turn->sample->service_count; i++) {
		if (turn->sample->service[i].running &&
			!is_far(&turn->shared, turn->service[i].policy, reserve_bytes))
			turn->shared_far = false;
	}
	if (turn->shared_far) {
		turn->shared_most_bytes = UINT64_MAX;
		return UINT64_MAX;
	}
	return fraction_less(
		turn->shared.headroom_bytes, fraction_plus(reserve_bytes, pending_bytes));
}

/* What one service takes part with.  A need that no release could make room for is
 * its own affair: it holds up nobody and raises no sibling's level. */
static struct credit_share share_of(struct turn *turn, size_t i)
{
	const struct service_sample *sample = &turn->sample->service[i];
	const struct credit *credit = &turn->state->service[i].credit;
	struct credit_share share = {
		.limit_bytes = turn->shared_most_bytes,
		.gate_wait_ms = turn->service[i].policy->gate_wait_ms,
	};
	if (!sample->running)
		return share;
	uint64_t own_bytes = own_limit_bytes(turn, i);
	if (own_bytes < share.limit_bytes)
		share.limit_bytes = own_bytes;
	share.wants_bytes = turn->service[i].wants_bytes;
	share.waited_ms = credit->waiting ? turn->now_ms - credit->waiting_ms : 0;
	share.active = sample->heap.processes > 0;
	return share;
}

static void note(struct turn *turn, size_t i, const struct credit_share *share)
{
	struct credit *credit = &turn->state->service[i].credit;
	turn->plan->credit_bytes[i] = share->credit_bytes;
	if (!turn->sample->service[i].running)
		return;
	credit->given = true;
	credit->given_bytes = share->credit_bytes;
	if (share->wants_bytes <= share->credit_bytes)
		return;
	turn->service[i].own_short = share->wants_bytes > share->limit_bytes;
	if (turn->service[i].own_short)
		return;
	turn->gate_wants_bytes = fraction_plus(turn->gate_wants_bytes, share->wants_bytes);
	turn->gate_credit_bytes += share->credit_bytes;
}

void grant_step(struct turn *turn)
{
	struct credit_share share[CONFIG_SERVICES_MAX];
	size_t service[CONFIG_SERVICES_MAX];
	size_t count = 0;
	account(turn);
	uint64_t available_bytes = shared_limit_bytes(turn);
	for (size_t i = 0; i < turn->sample->service_count; i++) {
		turn->plan->credit_bytes[i] = UINT64_MAX;
		turn->state->service[i].credit.given = false;
		struct credit_share one = share_of(turn, i);
		if (one.gate_wait_ms == 0)
			continue;
		share[count] = one;
		service[count++] = i;
	}
	if (available_bytes != UINT64_MAX)
		credit_share_out(share, count, available_bytes);
	for (size_t k = 0; k < count; k++) {
		if (available_bytes == UINT64_MAX)
			share[k].credit_bytes = share[k].limit_bytes;
		note(turn, service[k], &share[k]);
	}
}
