/* One step from sample to plan. */
#include "supervisor/policy/policy.h"

#include <string.h>

#include "supervisor/policy/conclude.h"
#include "supervisor/policy/fraction.h"
#include "supervisor/policy/freeze_walls.h"
#include "supervisor/policy/grant.h"
#include "supervisor/policy/last_resort_walls.h"
#include "supervisor/policy/looks.h"
#include "supervisor/policy/notice.h"
#include "supervisor/policy/price.h"
#include "supervisor/policy/reclaim_walls.h"
#include "supervisor/policy/target.h"
#include "supervisor/policy/turn.h"

/*
 * One step, in this order: look at every wall, hand out headroom, set levels, ask the heaps
 * for memory, then the kernel, freeze, brake, end somebody where nothing else is left, and say when
 * to look again.  Credit comes before the requests since what cannot be granted is asked for.  In
 * the plan all levels stand before all requests, and these before the brakes, whose writes may take
 * time.
 */

static struct pressure_wall wall_view(const struct wall *wall, const struct stall *stall)
{
	return (struct pressure_wall){
		.exists = wall->exists,
		.wall_bytes = wall->limit_bytes,
		.headroom_bytes = wall->headroom_bytes,
		.growable_bytes = wall->growable_bytes,
		.reclaimable_known = wall->reclaimable_known,
		.time_to_wall_ms = wall->time_to_wall_ms,
		.stall = stall,
	};
}

static bool all_answered(const struct turn *turn)
{
	for (size_t i = 0; i < turn->count; i++) {
		if (!turn_has_answered(turn, i))
			return false;
	}
	return true;
}

static enum level harder(enum level a, enum level b)
{
	return a > b ? a : b;
}

static struct gate_view gate_of(const struct turn *turn, size_t i, bool answered)
{
	const struct service_turn *service = &turn->service[i]->turn;
	if (service->own_short)
		return (struct gate_view){.wants_bytes = service->wants_bytes,
			.credit_bytes = turn->service[i]->plan.credit_bytes,
			.answered = turn_has_answered(turn, i)};
	return (struct gate_view){.wants_bytes = turn->gate_wants_bytes,
		.credit_bytes = turn->gate_credit_bytes,
		.answered = answered};
}

static enum level level_of(struct turn *turn, size_t i)
{
	struct service_state *state = &turn->service[i]->state;
	struct service_turn *service = &turn->service[i]->turn;
	struct pressure_view view = {
		.wall = {wall_view(&service->own, &state->stall),
			wall_view(&turn->shared, &turn->state->shared_stall)},
		.events_high = service->events_high,
	};
	view.wall[0].events_max = service->events_max;
	view.wall[1].events_max = turn->shared_max;
	view.wall[1].shared = true;
	return pressure_step(
		&state->pressure, service->policy, &view, turn->now_ms, &service->reason);
}

/* It has given for the want that stands now what a full release reaches, uses no more than is fair,
 * and there is room: what it frees since is what it works with, and it would only take it again. */
static bool is_spared(const struct turn *turn, size_t i)
{
	const struct service_state *state = &turn->service[i]->state;
	const struct service_turn *service = &turn->service[i]->turn;
	return state->gate.is_short && !service->own_short && service->share.fair_bytes > 0 &&
	       release_has_emptied(
		       &state->release, turn->now_ms - state->gate.short_ms, turn->now_ms) &&
	       shortage_has_room(turn->shared.headroom_bytes, turn->shared_reserve_bytes,
		       turn->shared.limit_bytes);
}

static void judge_service(struct turn *turn, size_t i, bool answered)
{
	struct service_state *state = &turn->service[i]->state;
	struct service_turn *service = &turn->service[i]->turn;
	struct gate_view waits = gate_of(turn, i, answered);
	enum level previous = state->pressure.level;
	enum level asked = harder(previous, state->gate.level);
	enum level level = level_of(turn, i);
	if (level != previous) {
		struct action *action = turn_action_add(turn, ACTION_LEVEL, i);
		if (action != NULL) {
			action->level = level;
			action->previous = previous;
			action->reason = service->reason;
		}
	}
	enum level gate = gate_step(&state->gate, &waits, turn->now_ms);
	service->spared = is_spared(turn, i);
	service->asks = service->spared ? level : harder(level, gate);
	service->rose = service->asks > asked;
	if (service->asks > level)
		service->reason = (struct reason){.kind = REASON_GATE,
			.value = waits.wants_bytes,
			.threshold = waits.credit_bytes};
}

static void judge(struct turn *turn)
{
	bool answered = all_answered(turn);
	for (size_t i = 0; i < turn->count; i++) {
		if (turn->service[i]->sample.running)
			judge_service(turn, i, answered);
	}
}

static bool is_short_of(const struct turn *turn, size_t i, enum level level)
{
	const struct service_turn *service = &turn->service[i]->turn;
	const struct wall *walls[] = {&service->own, &turn->shared};
	for (size_t w = 0; w < 2; w++) {
		uint64_t bytes = fraction_amount_bytes(
			service->policy->at[level].headroom, walls[w]->limit_bytes);
		if (walls[w]->exists && walls[w]->headroom_bytes < bytes)
			return true;
	}
	return false;
}

/* What a release of this service shows in. */
static struct proof_usage usage_of(const struct turn *turn, size_t i)
{
	const struct service_turn *service = &turn->service[i]->turn;
	if (service->leaf_bytes != 0)
		return (struct proof_usage){.current_bytes = service->leaf_bytes,
			.used_bytes = service->own.used_bytes,
			.taken_bytes = turn->service[i]->state.credit.taken_bytes};
	return (struct proof_usage){.current_bytes = turn->sample->shared.current_bytes,
		.used_bytes = turn->shared.used_bytes,
		.taken_bytes = turn->taken_bytes};
}

static struct release_view release_view_of(const struct turn *turn, size_t i)
{
	const struct heap_sample *heap = &turn->service[i]->sample.heap;
	const struct service_turn *service = &turn->service[i]->turn;
	return (struct release_view){
		.level = service->asks,
		.rose = service->rose,
		.answered = heap->answered,
		.urgent = (turn->gate_wants_bytes > 0 && !service->spared) || service->own_short,
		.short_of_eager = is_short_of(turn, i, LEVEL_EAGER),
		.idle_bytes =
			release_idle_bytes(&turn->service[i]->state.release, heap, service->asks),
		.released_bytes = heap->released_bytes,
		.usage = usage_of(turn, i),
	};
}

static void release_service(struct turn *turn, size_t i, const struct supply *supply)
{
	struct reason reason;
	struct release_view view = release_view_of(turn, i);
	view.target_bytes = target_bytes(turn, i, supply, view.idle_bytes, &reason);
	if (view.rose)
		reason = turn->service[i]->turn.reason;
	uint64_t bytes = UINT64_MAX;
	enum level level =
		release_step(&turn->service[i]->state.release, &view, turn->now_ms, &bytes);
	if (level == LEVEL_CALM)
		return;
	struct action *action = turn_action_add(turn, ACTION_RELEASE, i);
	if (action == NULL)
		return;
	action->level = level;
	action->target_bytes = bytes;
	action->reason = reason;
}

static void release_by_hand(struct turn *turn, size_t i)
{
	const struct service_sample *sample = &turn->service[i]->sample;
	struct release_view view = release_view_of(turn, i);
	if (sample->manual == LEVEL_CALM)
		return;
	struct action *action = turn_action_add(turn, ACTION_RELEASE, i);
	if (action == NULL)
		return;
	view.target_bytes = sample->manual_bytes != 0 ? sample->manual_bytes : UINT64_MAX;
	release_asked(&turn->service[i]->state.release, sample->manual, &view, turn->now_ms);
	action->level = sample->manual;
	action->target_bytes = view.target_bytes;
	action->reason = (struct reason){.kind = REASON_MANUAL};
}

/* Those that may be asked, the one that holds most that is idle first. */
static struct order *richest_first(struct turn *turn)
{
	struct order *first = NULL;
	struct order **end = &first;
	for (size_t i = 0; i < turn->count; i++) {
		struct policy_service *service = turn->service[i];
		struct order *order = &service->turn.order;
		if (!service->sample.running || service->sample.heap.processes == 0)
			continue;
		*order = (struct order){.key = release_idle_bytes(&service->state.release,
						&service->sample.heap, LEVEL_FULL),
			.index = i};
		*end = order;
		end = &order->next;
	}
	return order_by_key(first);
}

/* Whoever holds most that is idle is asked first: it costs the least there.  What the operator asks
 * for is asked of a frozen service too, which goes on for that. */
static void release(struct turn *turn)
{
	struct supply supply = target_supply_of(turn);
	for (size_t i = 0; i < turn->count; i++)
		turn->taken_bytes = fraction_plus(
			turn->taken_bytes, turn->service[i]->state.credit.taken_bytes);
	for (struct order *order = richest_first(turn); order != NULL; order = order->next) {
		if (turn_can_give(turn, order->index))
			release_service(turn, order->index, &supply);
		release_by_hand(turn, order->index);
	}
}

/* How many services drive towards the shared wall: those that grow at half the
 * speed of the fastest one or more.  *rate_bytes_per_s: what that is. */
static size_t drivers_of(const struct turn *turn, uint64_t *rate_bytes_per_s)
{
	uint64_t fastest = 0;
	size_t drivers = 0;
	for (size_t i = 0; i < turn->count; i++) {
		uint64_t rate = turn->service[i]->turn.own.bytes_per_s;
		if (turn->service[i]->sample.can_brake && rate > fastest)
			fastest = rate;
	}
	*rate_bytes_per_s = fastest / 2 + fastest % 2;
	for (size_t i = 0; i < turn->count; i++) {
		uint64_t rate = turn->service[i]->turn.own.bytes_per_s;
		if (turn->service[i]->sample.can_brake && rate > 0 && rate >= *rate_bytes_per_s)
			drivers++;
	}
	return drivers;
}

static uint64_t less_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Whether this wall is close enough to brake for; then lowers *room_bytes to what
 * is left before the brake should bite. */
static bool wall_brakes(const struct wall *wall, const struct service_turn *service, bool shared,
	uint64_t *room_bytes, struct reason *reason)
{
	const struct config_policy *policy = service->policy;
	uint64_t amount_bytes = fraction_amount_bytes(policy->brake, wall->limit_bytes);
	uint32_t full_ms = service->gated ? 0 : policy->at[LEVEL_FULL].time_to_wall_ms;
	if (!wall->exists || amount_bytes == 0)
		return false;
	struct reason why = {.wall_bytes = wall->limit_bytes, .shared = shared};
	if (wall->headroom_bytes < amount_bytes) {
		why.kind = REASON_HEADROOM;
		why.value = wall->headroom_bytes;
		why.threshold = amount_bytes;
	} else if (wall->time_to_wall_ms < full_ms) {
		why.kind = REASON_TIME_TO_WALL;
		why.value = wall->time_to_wall_ms;
		why.threshold = full_ms;
	} else {
		return false;
	}
	uint64_t room = fraction_less(wall->free_bytes, amount_bytes);
	if (room < *room_bytes)
		*room_bytes = room;
	*reason = why;
	return true;
}

/* Whether either wall is, whoever drives towards it. */
static bool is_close(
	const struct turn *turn, const struct service_turn *service, struct reason *reason)
{
	uint64_t room_bytes = UINT64_MAX;
	bool shared = wall_brakes(&turn->shared, service, true, &room_bytes, reason);
	return wall_brakes(&service->own, service, false, &room_bytes, reason) || shared;
}

/* Of a brake that just came off. */
static struct reason unbrake_reason(const struct turn *turn, size_t i)
{
	const struct service_turn *service = &turn->service[i]->turn;
	if (turn->now_ms >= turn->service[i]->state.brake.until_ms)
		return (struct reason){
			.kind = REASON_DEADLINE, .value = service->policy->brake_hold_ms};
	return (struct reason){.kind = REASON_RELAXED,
		.value = less_of(turn->shared.headroom_bytes, service->own.headroom_bytes)};
}

static void brake_service(struct turn *turn, size_t i, size_t drivers, uint64_t driver_rate)
{
	const struct service_turn *service = &turn->service[i]->turn;
	struct service_state *state = &turn->service[i]->state;
	uint64_t own_room = UINT64_MAX;
	uint64_t shared_room = UINT64_MAX;
	struct reason reason = {.kind = REASON_HEADROOM};
	uint64_t rate = service->own.bytes_per_s;
	bool drives = turn->service[i]->sample.can_brake && rate > 0 &&
		      !growth_is_falling(&state->growth);
	bool wanted = drives && drivers > 0 && rate >= driver_rate &&
		      wall_brakes(&turn->shared, service, true, &shared_room, &reason);
	if (wanted)
		shared_room /= drivers;
	if (drives && wall_brakes(&service->own, service, false, &own_room, &reason))
		wanted = true;
	bool close = wanted;
	if (!close)
		close = is_close(turn, service, &reason);
	struct brake_view view = {
		.close = close && !state->leaves,
		.hit = service->events_high > 0,
		.can_brake = turn->service[i]->sample.can_brake,
		/* What is to end is not slowed down, nor what stands still. */
		.wanted = wanted && !state->leaves && !state->freeze.on,
		.far = turn_is_clear(&service->own, service->policy) &&
		       turn_is_clear(&turn->shared, service->policy),
		.current_bytes = service->leaf_bytes,
		.room_bytes = own_room < shared_room ? own_room : shared_room,
		.hold_ms = service->policy->brake_hold_ms,
	};
	enum brake_change change = brake_step(&state->brake, &view, turn->now_ms);
	if (change == BRAKE_KEEP)
		return;
	struct action *action =
		turn_action_add(turn, change == BRAKE_ON ? ACTION_BRAKE : ACTION_UNBRAKE, i);
	if (action == NULL)
		return;
	if (change == BRAKE_OFF) {
		action->reason = unbrake_reason(turn, i);
		return;
	}
	action->high_bytes = state->brake.high_bytes;
	action->until_ms = state->brake.until_ms;
	action->reason = reason;
}

static void brake(struct turn *turn)
{
	uint64_t driver_rate;
	size_t drivers = drivers_of(turn, &driver_rate);
	for (size_t i = 0; i < turn->count; i++) {
		if (turn->service[i]->sample.running)
			brake_service(turn, i, drivers, driver_rate);
	}
}

/* The shared wall has one price, that of the service to which idle memory is worth most. */
static uint64_t shared_base_ns(const struct turn *turn)
{
	uint64_t base_ns = 0;
	for (size_t i = 0; i < turn->count; i++) {
		uint64_t ns = price_base_ns(turn->service[i]->turn.policy->core_worth_bytes);
		if (turn->service[i]->sample.running && ns > base_ns)
			base_ns = ns;
	}
	return base_ns;
}

/* What every heap is told.  A service that does not run has no wall of its own yet. */
static void inform(struct turn *turn)
{
	uint64_t shared_ns = price_ns(shared_base_ns(turn),
		price_factor_permille(turn->shared.limit_bytes, turn->shared.headroom_bytes));
	for (size_t i = 0; i < turn->count; i++) {
		const struct wall *own = &turn->service[i]->turn.own;
		struct service_plan *plan = &turn->service[i]->plan;
		uint32_t permille = PRICE_FACTOR_LEAST_PERMILLE;
		plan->headroom_bytes = turn->shared.headroom_bytes;
		if (own->exists) {
			permille = price_factor_permille(own->limit_bytes, own->headroom_bytes);
			plan->headroom_bytes = less_of(plan->headroom_bytes, own->headroom_bytes);
		}
		plan->notice_bytes = notice_bytes(turn, i);
		plan->price_ns = price_ns(
			price_base_ns(turn->service[i]->turn.policy->core_worth_bytes), permille);
		if (turn->shared.exists && shared_ns > plan->price_ns)
			plan->price_ns = shared_ns;
	}
}

void policy_step(
	struct policy_state *state, const struct sample *sample, uint64_t now_ms, struct plan *plan)
{
	struct turn turn = {
		.state = state,
		.service = state->service,
		.count = state->service_count,
		.sample = sample,
		.now_ms = now_ms,
		.plan = plan,
	};
	plan->count = 0;
	turn_observe(&turn);
	grant_step(&turn);
	judge(&turn);
	release(&turn);
	conclude_step(&turn);
	reclaim_walls_step(&turn);
	freeze_walls_step(&turn);
	brake(&turn);
	last_resort_walls_step(&turn);
	inform(&turn);
	plan->next_ms = turn.concluded ? 1 : looks_next_ms(&turn);
}

void policy_service_forget(struct policy_service *service)
{
	memset(&service->state, 0, sizeof service->state);
}
