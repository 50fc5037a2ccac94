/* How closely usage is looked at after a heap has said that it grows. */
#include "supervisor/tick/follow.h"

uint32_t follow_step(struct follow *follow, bool notified, uint64_t heap_bytes,
	uint64_t usage_bytes, uint64_t now_ms)
{
	bool follows = now_ms < follow->until_ms;
	bool grows = notified && heap_bytes > follow->heap_bytes;
	bool rises = usage_bytes >= follow->usage_bytes + FOLLOW_RISE_BYTES;
	if (grows || (follows && rises))
		follow->until_ms = now_ms + FOLLOW_MS;
	/* While it is followed, a slow rise adds up. */
	if (!follows || rises || usage_bytes < follow->usage_bytes)
		follow->usage_bytes = usage_bytes;
	follow->heap_bytes = heap_bytes;
	return now_ms < follow->until_ms ? FOLLOW_LOOK_MS : UINT32_MAX;
}
