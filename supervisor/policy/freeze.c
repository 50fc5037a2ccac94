/* When one service stands still, and when it goes on. */
#include "supervisor/policy/freeze.h"

static void thaw(struct freeze *freeze, uint64_t now_ms)
{
	uint64_t rest_ms = (now_ms - freeze->began_ms) * FREEZE_REST_TIMES;
	freeze->on = false;
	freeze->next_ms = now_ms + (rest_ms > FREEZE_REST_MS ? rest_ms : FREEZE_REST_MS);
}

enum freeze_change freeze_step(
	struct freeze *freeze, const struct freeze_view *view, uint64_t now_ms)
{
	if (freeze->on) {
		if (view->possible && !view->over && now_ms < freeze->until_ms)
			return FREEZE_KEEP;
		thaw(freeze, now_ms);
		return FREEZE_OFF;
	}
	if (!view->possible || !view->wanted || now_ms < freeze->next_ms)
		return FREEZE_KEEP;
	freeze->on = true;
	freeze->began_ms = now_ms;
	freeze->until_ms = now_ms + view->for_ms;
	return FREEZE_ON;
}
