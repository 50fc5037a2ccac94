/* When the kernel is asked to take back what it can below one wall, and how much. */
#include "supervisor/policy/reclaim.h"

#include "supervisor/policy/fraction.h"

static uint64_t less_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void rest(struct reclaim *reclaim, bool longer, uint64_t now_ms)
{
	uint32_t twice_ms = reclaim->rest_ms * 2;
	if (!longer || reclaim->rest_ms == 0)
		twice_ms = RECLAIM_REST_MS;
	reclaim->rest_ms = twice_ms < RECLAIM_REST_MOST_MS ? twice_ms : RECLAIM_REST_MOST_MS;
	reclaim->next_ms = now_ms + reclaim->rest_ms;
}

static uint64_t cache_of(const struct reclaim_view *view)
{
	return fraction_plus(view->unused_bytes, view->used_bytes);
}

/* What was asked for is answered. */
static void weigh(struct reclaim *reclaim, const struct reclaim_view *view, uint64_t now_ms)
{
	reclaim->asked = false;
	reclaim->got_bytes = view->got_bytes;
	reclaim->cache_bytes = cache_of(view);
	reclaim->watched = view->got_bytes > 0;
	/* One that found enough does not take back what was learnt of cache that came back. */
	if (view->got_bytes < reclaim->asked_bytes / 2)
		rest(reclaim, true, now_ms);
	else
		reclaim->next_ms =
			now_ms + (reclaim->rest_ms == 0 ? RECLAIM_REST_MS : reclaim->rest_ms);
}

/* Whether the last one was in vain; once after each. */
static bool came_back(struct reclaim *reclaim, const struct reclaim_view *view)
{
	uint64_t risen_bytes = fraction_less(cache_of(view), reclaim->cache_bytes);
	bool watched = reclaim->watched;
	reclaim->watched = false;
	return watched && risen_bytes >= reclaim->got_bytes / 2;
}

static uint64_t amount(const struct reclaim_view *view)
{
	uint64_t there_bytes = view->unused_bytes;
	uint64_t step_bytes = view->limit_bytes / RECLAIM_STEP_SHARE;
	if (view->is_short && there_bytes < RECLAIM_LEAST_BYTES)
		there_bytes = cache_of(view);
	if (step_bytes < RECLAIM_LEAST_BYTES)
		step_bytes = RECLAIM_LEAST_BYTES;
	return less_of(less_of(there_bytes, step_bytes),
		fraction_less(view->wanted_bytes, view->free_bytes));
}

uint64_t reclaim_judge(struct reclaim *reclaim, const struct reclaim_view *view, uint64_t now_ms)
{
	if (reclaim->asked && view->under_way)
		return 0;
	if (reclaim->asked)
		weigh(reclaim, view, now_ms);
	if (now_ms < reclaim->next_ms)
		return 0;
	if (came_back(reclaim, view)) {
		rest(reclaim, true, now_ms);
		return 0;
	}
	if (view->headroom_bytes >= view->wanted_bytes) {
		reclaim->rest_ms = 0;
		return 0;
	}
	uint64_t bytes = amount(view);
	if (!view->possible || !view->has_nothing || bytes < RECLAIM_LEAST_BYTES)
		return 0;
	reclaim->asked = true;
	reclaim->asked_bytes = bytes;
	return bytes;
}
