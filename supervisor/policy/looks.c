/* When to look again. */
#include "supervisor/policy/looks.h"

#include "supervisor/policy/fraction.h"

static uint64_t less_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* How long until this wall asks for that level, at the present growth. */
static uint64_t threshold_ms(
	const struct wall *wall, const struct config_policy *policy, enum level level)
{
	const struct config_threshold *at = &policy->at[level];
	uint64_t bytes = fraction_amount_bytes(at->headroom, wall->limit_bytes);
	uint64_t by_headroom_ms = growth_time_to_wall_ms(
		wall->bytes_per_s, fraction_less(wall->headroom_bytes, bytes));
	uint64_t by_time_ms = fraction_less(wall->time_to_wall_ms, at->time_to_wall_ms);
	return less_of(by_headroom_ms, by_time_ms);
}

/* Of the thresholds that are not crossed yet, the nearest; the wall itself is the last. */
static uint64_t wall_next_ms(
	const struct wall *wall, const struct config_policy *policy, enum level asked)
{
	uint64_t next_ms = wall->time_to_wall_ms;
	if (!wall->exists || wall->bytes_per_s == 0)
		return GROWTH_NEVER_MS;
	for (enum level level = asked + 1; level < LEVELS; level++)
		next_ms = less_of(next_ms, threshold_ms(wall, policy, level));
	next_ms /= LOOKS_BEFORE;
	return next_ms < LOOKS_NEAR_MS ? LOOKS_NEAR_MS : next_ms;
}

static uint64_t service_next_ms(const struct turn *turn, size_t i)
{
	static const uint32_t asked_ms[LEVELS] = {
		[LEVEL_CALM] = LOOKS_FAR_MS,
		[LEVEL_LAZY] = LOOKS_LAZY_MS,
		[LEVEL_EAGER] = LOOKS_EAGER_MS,
		[LEVEL_FULL] = LOOKS_NEAR_MS,
	};
	const struct service_state *state = &turn->service[i]->state;
	const struct service_turn *service = &turn->service[i]->turn;
	enum level asked = state->pressure.asks;
	uint64_t next_ms = asked_ms[asked];
	bool was_held =
		turn->now_ms < state->brake.watch_ms || turn->now_ms < state->freeze.next_ms;
	if (state->brake.on || was_held || service->wants_bytes > 0 || !turn_has_answered(turn, i))
		next_ms = LOOKS_NEAR_MS;
	if (state->brake.on)
		next_ms = less_of(next_ms, fraction_less(state->brake.until_ms, turn->now_ms));
	if (state->freeze.on)
		next_ms = less_of(next_ms, fraction_less(state->freeze.until_ms, turn->now_ms));
	next_ms = less_of(next_ms, wall_next_ms(&service->own, service->policy, asked));
	return less_of(next_ms, wall_next_ms(&turn->shared, service->policy, asked));
}

static bool is_calm(const struct turn *turn)
{
	if (turn->sample->stall_is_polled || turn->shared.bytes_per_s > 0)
		return false;
	for (size_t i = 0; i < turn->count; i++)
		if (turn->service[i]->sample.running &&
			(turn->service[i]->state.pressure.level != LEVEL_CALM ||
				turn->service[i]->turn.own.bytes_per_s > 0))
			return false;
	return true;
}

/* From usage to the threshold of this wall that is reached first. */
static uint64_t wall_room_bytes(const struct wall *wall, const struct config_policy *policy)
{
	uint64_t most_bytes = 0;
	if (!wall->exists)
		return UINT64_MAX;
	for (enum level level = LEVEL_LAZY; level < LEVELS; level++) {
		uint64_t bytes =
			fraction_amount_bytes(policy->at[level].headroom, wall->limit_bytes);
		if (bytes > most_bytes)
			most_bytes = bytes;
	}
	return fraction_less(wall->headroom_bytes, most_bytes);
}

static uint64_t room_bytes(const struct turn *turn)
{
	uint64_t room = UINT64_MAX;
	for (size_t i = 0; i < turn->count; i++) {
		const struct service_turn *service = &turn->service[i]->turn;
		if (!turn->service[i]->sample.running)
			continue;
		room = less_of(room, wall_room_bytes(&service->own, service->policy));
		room = less_of(room, wall_room_bytes(&turn->shared, service->policy));
	}
	return room;
}

uint32_t looks_next_ms(const struct turn *turn)
{
	uint64_t next_ms = turn->sample->reclaim.under_way ? LOOKS_NEAR_MS : LOOKS_FAR_MS;
	struct rest *rest = &turn->state->rest;
	for (size_t i = 0; i < turn->count; i++)
		if (turn->service[i]->sample.running)
			next_ms = less_of(next_ms, service_next_ms(turn, i));
	bool calm = next_ms == LOOKS_FAR_MS && is_calm(turn);
	uint32_t rest_ms = rest_step(rest, calm, room_bytes(turn), turn->now_ms);
	if (calm)
		return rest_ms;
	return next_ms == 0 ? 1 : (uint32_t)next_ms;
}
