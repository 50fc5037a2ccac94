/* How hard one service must give back. */
#include "supervisor/policy/pressure.h"

#include "supervisor/policy/fraction.h"

static uint64_t lazy_headroom_bytes(
	const struct pressure_wall *wall, const struct config_policy *policy)
{
	return fraction_amount_bytes(policy->at[LEVEL_LAZY].headroom, wall->wall_bytes);
}

static bool is_under(
	enum reason_kind kind, uint64_t value, uint64_t threshold, struct reason *reason)
{
	if (value >= threshold)
		return false;
	reason->kind = kind;
	reason->value = value;
	reason->threshold = threshold;
	return true;
}

/* Is the wall near enough for the time to it, or for stall, to ask for that level? */
static bool is_near_for(
	const struct pressure_wall *wall, const struct config_policy *policy, enum level level)
{
	uint64_t lazy_bytes = lazy_headroom_bytes(wall, policy);
	if (level == LEVEL_FULL)
		return lazy_bytes == 0 || wall->headroom_bytes < lazy_bytes;
	if (level == LEVEL_EAGER)
		return wall->growable_bytes < wall->wall_bytes / 2;
	return true;
}

/* Whether enough of the wall is used for the time to it to ask for that level. */
static bool time_counts_for(
	const struct pressure_wall *wall, const struct config_policy *policy, enum level level)
{
	if (level == LEVEL_LAZY)
		return wall->growable_bytes < wall->wall_bytes - wall->wall_bytes / 4;
	return is_near_for(wall, policy, level);
}

static bool wall_asks(const struct pressure_wall *wall, const struct config_policy *policy,
	enum level level, uint64_t now_ms, struct reason *reason)
{
	const struct config_threshold *at = &policy->at[level];
	reason->wall_bytes = wall->exists ? wall->wall_bytes : 0;
	reason->shared = wall->shared;
	if (wall->exists) {
		uint64_t bytes = fraction_amount_bytes(at->headroom, wall->wall_bytes);
		if (is_under(REASON_HEADROOM, wall->headroom_bytes, bytes, reason))
			return true;
		if (time_counts_for(wall, policy, level) &&
			is_under(REASON_TIME_TO_WALL, wall->time_to_wall_ms, at->time_to_wall_ms,
				reason))
			return true;
	}
	if (wall->stall == NULL || at->pressure.permille == 0)
		return false;
	if (wall->exists && wall->reclaimable_known && !is_near_for(wall, policy, level))
		return false;
	reason->kind = REASON_PRESSURE;
	reason->value = stall_permille(wall->stall, at->pressure, now_ms);
	reason->threshold = at->pressure.permille;
	return reason->value >= reason->threshold;
}

/* Hits at a wall count unless there is room now: then it was lined with what the kernel takes back
 * by itself, or what hit it is gone. */
static bool hits_ask(const struct pressure_wall *wall, const struct config_policy *policy)
{
	bool has_room = wall->exists && wall->reclaimable_known &&
			wall->headroom_bytes >= lazy_headroom_bytes(wall, policy);
	return wall->events_max > 0 && !has_room;
}

enum level pressure_asked(const struct config_policy *policy, const struct pressure_view *view,
	uint64_t now_ms, struct reason *reason)
{
	for (enum level level = LEVEL_FULL; level > LEVEL_CALM; level--) {
		for (size_t i = 0; i < 2; i++) {
			const struct pressure_wall *wall = &view->wall[i];
			if (wall_asks(wall, policy, level, now_ms, reason))
				return level;
			if (level != LEVEL_EAGER || !hits_ask(wall, policy))
				continue;
			*reason = (struct reason){.kind = REASON_EVENTS_MAX,
				.value = wall->events_max,
				.wall_bytes = wall->exists ? wall->wall_bytes : 0,
				.shared = wall->shared};
			return level;
		}
	}
	if (view->events_high == 0)
		return LEVEL_CALM;
	*reason = (struct reason){.kind = REASON_EVENTS_HIGH, .value = view->events_high};
	return LEVEL_LAZY;
}

/* The highest level that was asked for within hold_ms, asked included. */
static enum level held(
	struct pressure *pressure, enum level asked, uint32_t hold_ms, uint64_t now_ms)
{
	enum level level = asked;
	for (enum level l = LEVEL_LAZY; l < LEVELS; l++) {
		if (l <= asked) {
			pressure->asked[l] = true;
			pressure->asked_ms[l] = now_ms;
		}
		pressure->asked[l] = pressure->asked[l] && now_ms - pressure->asked_ms[l] < hold_ms;
		if (pressure->asked[l] && l > level)
			level = l;
	}
	return level;
}

/* Of the wall with less headroom. */
static struct reason relaxed(
	const struct config_policy *policy, const struct pressure_view *view, enum level previous)
{
	const struct pressure_wall *wall = &view->wall[0];
	if (!wall->exists ||
		(view->wall[1].exists && view->wall[1].headroom_bytes < wall->headroom_bytes))
		wall = &view->wall[1];
	struct reason reason = {.kind = REASON_RELAXED};
	if (!wall->exists)
		return reason;
	reason.value = wall->headroom_bytes;
	reason.threshold = fraction_amount_bytes(policy->at[previous].headroom, wall->wall_bytes);
	reason.wall_bytes = wall->wall_bytes;
	reason.shared = wall->shared;
	return reason;
}

enum level pressure_step(struct pressure *pressure, const struct config_policy *policy,
	const struct pressure_view *view, uint64_t now_ms, struct reason *reason)
{
	enum level previous = pressure->level;
	struct reason why = {.kind = REASON_RELAXED};
	enum level asked = pressure_asked(policy, view, now_ms, &why);
	enum level level = held(pressure, asked, policy->hold_ms, now_ms);
	if (level < previous && policy->hold_ms != 0)
		level = steady_floor(&pressure->steady, previous, level, now_ms);
	if (level != previous)
		steady_note(&pressure->steady, now_ms);
	pressure->level = level;
	pressure->asks = asked;
	if (level < previous)
		*reason = relaxed(policy, view, previous);
	else if (level > previous)
		*reason = why;
	return level;
}
