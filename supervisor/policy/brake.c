/* When a service is slowed down by memory.high, and when no more. */
#include "supervisor/policy/brake.h"

#include "supervisor/policy/fraction.h"

#define PAGE_BYTES 4096U
/* "Just below": 1/256 of the usage, which is penalised and not yet a stop. */
#define BELOW_SHARE 256U

static uint64_t high_bytes(const struct brake_view *view)
{
	uint64_t bytes = fraction_plus(view->current_bytes, view->room_bytes);
	if (view->room_bytes == 0)
		bytes -= view->current_bytes / BELOW_SHARE;
	bytes -= bytes % PAGE_BYTES;
	return bytes < PAGE_BYTES ? PAGE_BYTES : bytes;
}

static bool is_called_for(const struct brake_view *view)
{
	return view->wanted && !view->far && view->hold_ms != 0 && view->current_bytes != 0;
}

/* It grows as far as the brake lets it. */
static bool still_drives(const struct brake *brake, const struct brake_view *view)
{
	return view->close && brake->hit && view->hold_ms != 0 &&
	       view->current_bytes >= fraction_plus(brake->set_bytes, BRAKE_LITTLE_BYTES);
}

enum brake_change brake_step(struct brake *brake, const struct brake_view *view, uint64_t now_ms)
{
	if (!view->can_brake) {
		brake->on = false;
		return BRAKE_KEEP;
	}
	uint64_t bytes = high_bytes(view);
	if (brake->on) {
		bool over = now_ms >= brake->until_ms;
		brake->hit |= view->hit;
		if (!over && !view->far)
			return BRAKE_KEEP;
		if (!over || (!is_called_for(view) && !still_drives(brake, view))) {
			brake->on = false;
			brake->watch_ms = now_ms + BRAKE_WATCH_MS;
			return BRAKE_OFF;
		}
		if (brake->high_bytes < bytes)
			bytes = brake->high_bytes;
	} else if (!is_called_for(view)) {
		return BRAKE_KEEP;
	}
	brake->on = true;
	brake->hit = false;
	brake->set_bytes = view->current_bytes;
	brake->high_bytes = bytes;
	brake->until_ms = now_ms + view->hold_ms;
	return BRAKE_ON;
}
