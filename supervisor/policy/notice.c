/* When a heap that grows should say so. */
#include "supervisor/policy/notice.h"

#include "supervisor/policy/fraction.h"

/* From the headroom that there is to the nearest threshold of a level above the one in force. */
static uint64_t way_bytes(
	const struct wall *wall, const struct config_policy *policy, enum level level)
{
	uint64_t nearest_bytes = 0;
	if (!wall->exists)
		return UINT64_MAX;
	for (enum level above = level + 1; above < LEVELS; above++) {
		uint64_t bytes =
			fraction_amount_bytes(policy->at[above].headroom, wall->limit_bytes);
		if (bytes > nearest_bytes)
			nearest_bytes = bytes;
	}
	return nearest_bytes == 0 ? UINT64_MAX : fraction_less(wall->headroom_bytes, nearest_bytes);
}

uint64_t notice_bytes(const struct turn *turn, size_t service)
{
	const struct service_turn *from = &turn->service[service]->turn;
	enum level level = turn->service[service]->state.pressure.level;
	uint64_t own = way_bytes(&from->own, from->policy, level);
	uint64_t shared = way_bytes(&turn->shared, from->policy, level);
	if (own != UINT64_MAX)
		own /= 2;
	if (shared != UINT64_MAX)
		shared /= turn->count + 1;
	uint64_t bytes = own < shared ? own : shared;
	return bytes > NOTICE_MIN_BYTES ? bytes : NOTICE_MIN_BYTES;
}
