/* When a service is ended because nothing else is left. */
#include "supervisor/policy/last_resort.h"

enum last_resort_why last_resort_judge(
	struct last_resort *state, const struct last_resort_view *view, uint64_t now_ms)
{
	if (view->exhausted && view->slowed) {
		if (!state->began)
			state->began_ms = now_ms;
		state->began = true;
		state->seen_ms = now_ms;
	} else if (now_ms - state->seen_ms > LAST_RESORT_PAUSE_MS) {
		state->began = false;
	}
	if (!view->exhausted || (state->ended && now_ms - state->ended_ms < LAST_RESORT_REST_MS))
		return LAST_RESORT_NOT;
	uint64_t slowed_ms = state->began ? now_ms - state->began_ms : 0;
	bool tight = view->headroom_bytes < view->limit_bytes / LAST_RESORT_SHARE;
	if (tight && view->time_to_wall_ms < LAST_RESORT_NEAR_MS)
		return LAST_RESORT_NEAR;
	if (slowed_ms >= LAST_RESORT_SLOW_MS)
		return LAST_RESORT_SLOWED;
	if (tight && view->braked && slowed_ms >= LAST_RESORT_NEAR_MS)
		return LAST_RESORT_TIGHT;
	return LAST_RESORT_NOT;
}

void last_resort_note(struct last_resort *state, uint64_t now_ms)
{
	state->began = false;
	state->ended = true;
	state->ended_ms = now_ms;
}
