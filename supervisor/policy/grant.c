/* What each heap may grow by before it must ask again. */
#include "supervisor/policy/grant.h"

#include "supervisor/policy/fraction.h"
#include "supervisor/policy/looks.h"

static bool is_gated(const struct turn *turn, size_t i)
{
	return turn->service[i]->sample.running && turn->service[i]->turn.policy->gate_wait_ms > 0;
}

/* Too far away to be reached before the next look, however fast the heaps grow. */
static bool is_far(
	const struct wall *wall, const struct config_policy *policy, uint64_t reserve_bytes)
{
	const struct config_threshold *lazy = &policy->at[LEVEL_LAZY];
	uint64_t reach_bytes = CREDIT_FASTEST_BYTES_PER_MS * LOOKS_FAR_MS;
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

/* What is believed of the service's wants; grown_bytes: what its usage rose by. */
static void believe(struct turn *turn, size_t i, uint64_t grown_bytes)
{
	const struct heap_sample *heap = &turn->service[i]->sample.heap;
	uint64_t leaf_bytes = turn->service[i]->turn.leaf_bytes;
	struct belief_view said = {.wants_bytes = heap->wants_bytes,
		.usage_bytes = leaf_bytes != 0 ? leaf_bytes
					       : less_of(heap->in_use_bytes,
							 turn->sample->shared.current_bytes),
		.grown_bytes = grown_bytes,
		.gate_wait_ms = turn->service[i]->turn.policy->gate_wait_ms};
	struct belief *belief = &turn->service[i]->state.belief;
	const struct credit *credit = &turn->service[i]->state.credit;
	said.granted = belief->believed_bytes > 0 && credit->given &&
		       credit->given_bytes >= belief->believed_bytes;
	turn->service[i]->turn.wants_bytes = belief_step(belief, &said, turn->now_ms);
}

/* The usage that a charge of the heaps shows in: near a wall they grow into what was cache, and
 * usage with the cache stands still.  Where nothing tells how much is cache, all of it. */
static uint64_t chargeable_bytes(const struct wall *wall, uint64_t usage_bytes)
{
	return wall->reclaimable_known ? wall->grown_bytes : usage_bytes;
}

/* What was charged to all services together that have no leaf. */
static uint64_t charged_in_common(struct turn *turn, uint64_t usage_bytes)
{
	uint64_t gone_bytes = 0;
	for (size_t i = 0; i < turn->count; i++)
		if (turn->service[i]->sample.running && turn->service[i]->turn.leaf_bytes == 0)
			gone_bytes =
				fraction_plus(gone_bytes, turn->service[i]->sample.heap.gone_bytes);
	return charge_step(&turn->state->shared_charge, usage_bytes, gone_bytes, turn->now_ms);
}

/* What was charged since the last step pays for pending credit, a leaf's for its
 * own; without leaves it is anyone's. */
static void account(struct turn *turn)
{
	struct policy_state *state = turn->state;
	uint64_t shared_bytes = chargeable_bytes(&turn->shared, turn->sample->shared.current_bytes);
	uint64_t common_rise_bytes =
		fraction_less(shared_bytes, state->shared_charge.current_bytes);
	uint64_t common_bytes = charged_in_common(turn, shared_bytes);
	for (size_t i = 0; i < turn->count; i++) {
		if (!turn->service[i]->sample.running)
			continue;
		struct credit *credit = &turn->service[i]->state.credit;
		const struct heap_sample *heap = &turn->service[i]->sample.heap;
		uint64_t leaf_bytes = turn->service[i]->turn.leaf_bytes;
		uint64_t before_bytes = credit->charge.current_bytes;
		uint64_t own_bytes = chargeable_bytes(&turn->service[i]->turn.own, leaf_bytes);
		uint64_t leaf_charged_bytes =
			charge_step(&credit->charge, own_bytes, heap->gone_bytes, turn->now_ms);
		believe(turn, i,
			leaf_bytes != 0 ? fraction_less(own_bytes, before_bytes)
					: common_rise_bytes);
		uint64_t settled_bytes = credit_account(credit, heap->credit_left_bytes,
			leaf_bytes != 0 ? leaf_charged_bytes : common_bytes, heap->populated_bytes,
			turn->service[i]->turn.wants_bytes, turn->now_ms);
		if (leaf_bytes == 0)
			common_bytes -= settled_bytes;
	}
}

/* What its own wall can give; UINT64_MAX = anything. */
static uint64_t own_limit_bytes(struct turn *turn, size_t i)
{
	struct service_turn *service = &turn->service[i]->turn;
	const struct credit *credit = &turn->service[i]->state.credit;
	uint64_t reserve_bytes =
		fraction_amount_bytes(service->policy->reserve, service->own.limit_bytes);
	service->own_reserve_bytes = reserve_bytes;
	reserve_bytes = shortage_reserve_bytes(
		&turn->service[i]->state.shortage, reserve_bytes, service->own.limit_bytes);
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
	for (size_t i = 0; i < turn->count; i++) {
		if (!is_gated(turn, i))
			continue;
		uint64_t bytes = fraction_amount_bytes(
			turn->service[i]->turn.policy->reserve, turn->shared.limit_bytes);
		if (bytes > reserve_bytes)
			reserve_bytes = bytes;
		pending_bytes = fraction_plus(
			pending_bytes, credit_pending_bytes(&turn->service[i]->state.credit));
	}
	turn->shared_reserve_bytes = reserve_bytes;
	reserve_bytes = shortage_reserve_bytes(
		&turn->state->shared_shortage, reserve_bytes, turn->shared.limit_bytes);
	turn->shared_far = true;
	turn->shared_most_bytes = fraction_less(turn->shared.limit_bytes, reserve_bytes);
	for (size_t i = 0; i < turn->count; i++) {
		if (turn->service[i]->sample.running &&
			!is_far(&turn->shared, turn->service[i]->turn.policy, reserve_bytes))
			turn->shared_far = false;
	}
	if (turn->shared_far) {
		turn->shared_most_bytes = UINT64_MAX;
		return UINT64_MAX;
	}
	return fraction_less(
		turn->shared.headroom_bytes, fraction_plus(reserve_bytes, pending_bytes));
}

static uint64_t weight_of(const struct policy_service *service)
{
	return service->priority != 0 ? service->priority : CONFIG_MEMORY_PRIORITY_USUAL;
}

/* Of the services that share the wall out, by memory_priority. */
static uint64_t weights_of(const struct turn *turn)
{
	uint64_t weights = 0;
	for (size_t i = 0; i < turn->count; i++)
		if (is_gated(turn, i) && turn->service[i]->sample.heap.processes > 0)
			weights += weight_of(turn->service[i]);
	return weights;
}

/* What the service may grow by within its fair share of what the shared wall can give.  A service
 * without a leaf says itself how much it uses. */
static uint64_t fair_bytes(const struct turn *turn, size_t i, uint64_t weights)
{
	const struct policy_service *service = turn->service[i];
	const struct heap_sample *heap = &service->sample.heap;
	uint64_t used_bytes = service->turn.leaf_bytes;
	if (used_bytes == 0)
		used_bytes = fraction_plus(heap->in_use_bytes,
			fraction_plus(heap->idle_dirty_bytes, heap->lazy_bytes));
	used_bytes = fraction_plus(used_bytes, credit_pending_bytes(&service->state.credit));
	if (weights == 0 || heap->processes == 0)
		return 0;
	return fraction_less(
		fraction_share(turn->shared_most_bytes, weight_of(service), weights), used_bytes);
}

/* What one service takes part with.  A need that no release could make room for is
 * its own affair: it holds up nobody and raises no sibling's level. */
static struct credit_share share_of(struct turn *turn, size_t i, uint64_t weights)
{
	const struct service_sample *sample = &turn->service[i]->sample;
	const struct credit *credit = &turn->service[i]->state.credit;
	struct credit_share share = {
		.limit_bytes = turn->shared_most_bytes,
		.gate_wait_ms = turn->service[i]->turn.policy->gate_wait_ms,
	};
	if (!sample->running)
		return share;
	uint64_t own_bytes = own_limit_bytes(turn, i);
	if (own_bytes < share.limit_bytes)
		share.limit_bytes = own_bytes;
	share.wants_bytes = turn->service[i]->turn.wants_bytes;
	share.waited_ms = credit->waiting ? turn->now_ms - credit->waiting_ms : 0;
	share.active = sample->heap.processes > 0;
	share.fair_bytes = fair_bytes(turn, i, weights);
	return share;
}

static void note(struct turn *turn, size_t i, const struct credit_share *share)
{
	struct credit *credit = &turn->service[i]->state.credit;
	turn->service[i]->plan.credit_bytes = share->credit_bytes;
	if (!turn->service[i]->sample.running)
		return;
	credit->given = true;
	credit->given_bytes = share->credit_bytes;
	if (share->wants_bytes <= share->credit_bytes)
		return;
	turn->service[i]->turn.own_short = share->wants_bytes > share->limit_bytes;
	if (turn->service[i]->turn.own_short)
		return;
	turn->gate_wants_bytes = fraction_plus(turn->gate_wants_bytes, share->wants_bytes);
	turn->gate_credit_bytes += share->credit_bytes;
}

void grant_step(struct turn *turn)
{
	struct credit_share *first = NULL;
	struct credit_share **end = &first;
	account(turn);
	uint64_t available_bytes = shared_limit_bytes(turn);
	uint64_t weights = weights_of(turn);
	for (size_t i = 0; i < turn->count; i++) {
		struct credit_share *share = &turn->service[i]->turn.share;
		turn->service[i]->plan.credit_bytes = UINT64_MAX;
		turn->service[i]->state.credit.given = false;
		*share = share_of(turn, i, weights);
		if (share->gate_wait_ms == 0)
			continue;
		*end = share;
		end = &share->next;
	}
	if (available_bytes != UINT64_MAX)
		credit_share_out(first, available_bytes);
	for (size_t i = 0; i < turn->count; i++) {
		struct credit_share *share = &turn->service[i]->turn.share;
		if (share->gate_wait_ms == 0)
			continue;
		if (available_bytes == UINT64_MAX)
			share->credit_bytes = share->limit_bytes;
		note(turn, i, share);
	}
}
