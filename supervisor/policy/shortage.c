/* The conclusion that no heap below a wall has anything left to give. */
#include "supervisor/policy/shortage.h"

#include "supervisor/policy/fraction.h"

static void note_short(struct shortage *shortage, bool is_short, uint64_t now_ms)
{
	if (is_short) {
		if (!shortage->began)
			shortage->began_ms = now_ms;
		shortage->began = true;
		shortage->short_ms = now_ms;
	} else if (now_ms - shortage->short_ms > SHORTAGE_PAUSE_MS) {
		shortage->began = false;
	}
}

bool shortage_has_room(uint64_t headroom_bytes, uint64_t reserve_bytes, uint64_t limit_bytes)
{
	return headroom_bytes >
	       fraction_plus(reserve_bytes, 2 * (limit_bytes / SHORTAGE_LITTLE_SHARE));
}

/* Room that a want fits into is a matter of pending credit, and over at the next step. */
static bool has_room(const struct shortage_view *view)
{
	return shortage_has_room(view->headroom_bytes, view->reserve_bytes, view->limit_bytes) &&
	       (!view->is_short || view->wants_bytes <= view->headroom_bytes);
}

static enum shortage_change conclude(struct shortage *shortage, const struct shortage_view *view,
	uint64_t little_bytes, uint64_t now_ms, bool *tell)
{
	if (!view->is_short || !view->emptied || view->idle_bytes > little_bytes ||
		has_room(view) || now_ms - shortage->began_ms < view->unseen_ms)
		return SHORTAGE_KEEP;
	shortage->concluded = true;
	shortage->limit_bytes = view->limit_bytes;
	shortage->headroom_bytes = view->headroom_bytes;
	shortage->changed_ms = now_ms;
	*tell = !shortage->told || now_ms - shortage->told_ms >= SHORTAGE_TOLD_MS;
	if (*tell)
		shortage->told_ms = now_ms;
	shortage->told = true;
	return SHORTAGE_CONCLUDE;
}

/* While it is concluded: notes whether waiting brings anything. */
static void note_hope(struct shortage *shortage, const struct shortage_view *view,
	uint64_t little_bytes, uint64_t now_ms)
{
	bool rose = view->headroom_bytes > fraction_plus(shortage->headroom_bytes, little_bytes);
	if (rose) {
		shortage->changed_ms = now_ms;
		if (!shortage->hopeless)
			shortage->halves = 0;
		shortage->hopeless = false;
	}
	if (rose || view->headroom_bytes < shortage->headroom_bytes)
		shortage->headroom_bytes = view->headroom_bytes;
	if (shortage->hopeless || now_ms - shortage->changed_ms < view->hold_ms >> shortage->halves)
		return;
	shortage->hopeless = true;
	shortage->halves += shortage->halves < SHORTAGE_HALVES ? 1 : 0;
}

enum shortage_change shortage_step(
	struct shortage *shortage, const struct shortage_view *view, uint64_t now_ms, bool *tell)
{
	uint64_t little_bytes = view->limit_bytes / SHORTAGE_LITTLE_SHARE;
	*tell = false;
	shortage->emptied = view->emptied;
	note_short(shortage, view->is_short, now_ms);
	if (!shortage->concluded)
		return conclude(shortage, view, little_bytes, now_ms, tell);
	if (view->limit_bytes <= shortage->limit_bytes && view->idle_bytes <= 2 * little_bytes &&
		!has_room(view)) {
		note_hope(shortage, view, little_bytes, now_ms);
		return SHORTAGE_KEEP;
	}
	if (!shortage->hopeless)
		shortage->halves = 0;
	shortage->concluded = false;
	shortage->hopeless = false;
	return SHORTAGE_WITHDRAW;
}

bool shortage_is_hopeless(const struct shortage *shortage)
{
	return shortage->concluded && shortage->emptied && shortage->hopeless;
}

uint64_t shortage_reserve_bytes(
	const struct shortage *shortage, uint64_t reserve_bytes, uint64_t limit_bytes)
{
	uint64_t last_bytes = limit_bytes / SHORTAGE_LAST_SHARE;
	if (!shortage->concluded)
		return reserve_bytes;
	if (shortage_is_hopeless(shortage))
		return 0;
	return last_bytes < reserve_bytes ? last_bytes : reserve_bytes;
}
