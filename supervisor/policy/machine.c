/* The wall that the machine's memory is. */
#include "supervisor/policy/machine.h"

#include "supervisor/policy/cgroup_text.h"
#include "supervisor/policy/fraction.h"

bool machine_wall(
	const char *text, size_t length, const struct wall_sample *ours, struct wall_sample *wall)
{
	uint64_t available_bytes;
	if (!cgroup_text_kib(text, length, "MemAvailable", &available_bytes))
		return false;
	*wall = *ours;
	if (!wall->reclaimable_known)
		wall->reclaimable_bytes = 0;
	wall->limit_bytes = fraction_plus(
		fraction_less(wall->current_bytes, wall->reclaimable_bytes), available_bytes);
	/* Available holds what is reclaimable, the heaps' lazy pages too. */
	wall->reclaimable_known = true;
	return true;
}
