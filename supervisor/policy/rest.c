/* How far apart the looks are while nothing happens. */
#include "supervisor/policy/rest.h"

uint32_t rest_step(struct rest *rest, bool calm, uint64_t room_bytes, uint64_t now_ms)
{
	uint64_t most_ms = room_bytes / REST_FASTEST_BYTES_PER_MS;
	if (!calm || rest->looks_ms == 0 || now_ms < rest->since_ms) {
		*rest = (struct rest){REST_LEAST_MS, now_ms};
	} else if (now_ms - rest->since_ms >= rest->looks_ms) {
		uint32_t twice_ms = rest->looks_ms * 2;
		*rest = (struct rest){twice_ms < REST_MOST_MS ? twice_ms : REST_MOST_MS, now_ms};
	}
	if (most_ms < REST_LEAST_MS)
		return REST_LEAST_MS;
	return most_ms < rest->looks_ms ? (uint32_t)most_ms : rest->looks_ms;
}
