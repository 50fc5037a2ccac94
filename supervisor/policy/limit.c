/* A limit that moves down without a kill. */
#include "supervisor/policy/limit.h"

#include "supervisor/policy/fraction.h"

bool limit_aim(struct limit *limit, uint64_t target_bytes)
{
	bool moves = !limit->moving || limit->target_bytes != target_bytes;
	limit->target_bytes = target_bytes;
	if (target_bytes >= limit->written_bytes) {
		bool rises = target_bytes > limit->written_bytes;
		limit->moving = false;
		limit->written_bytes = target_bytes;
		return rises;
	}
	if (moves) {
		limit->began = false;
		limit->late = false;
	}
	limit->moving = true;
	return false;
}

enum limit_change limit_step(struct limit *limit, uint64_t current_bytes, uint64_t now_ms)
{
	uint64_t room_bytes = fraction_plus(current_bytes, current_bytes / LIMIT_ROOM_SHARE);
	if (!limit->moving)
		return LIMIT_KEEP;
	if (!limit->began)
		limit->began_ms = now_ms;
	limit->began = true;
	if (room_bytes <= limit->target_bytes) {
		limit->moving = false;
		limit->written_bytes = limit->target_bytes;
		return LIMIT_REACHED;
	}
	if (room_bytes < limit->written_bytes - limit->written_bytes / LIMIT_STEP_SHARE) {
		limit->written_bytes = room_bytes;
		return LIMIT_WRITE;
	}
	if (limit->late || now_ms - limit->began_ms < LIMIT_DEADLINE_MS)
		return LIMIT_KEEP;
	limit->late = true;
	return LIMIT_LATE;
}
