/* The wall that the machine's memory is. */
#include "supervisor/cgroup/machine.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/cgroup/cgroup_files.h"
#include "supervisor/policy/fraction.h"

#define MEMINFO_TEXT_BYTES 4096

bool machine_read(int meminfo_fd, const struct wall_sample *ours, struct wall_sample *wall)
{
	char text[MEMINFO_TEXT_BYTES];
	unsigned long long available_kib;
	if (meminfo_fd < 0 || cgroup_files_read(meminfo_fd, text, sizeof text) <= 0)
		return false;
	const char *line = strstr(text, "\nMemAvailable:");
	if (line == NULL || sscanf(line, "\nMemAvailable: %llu kB", &available_kib) != 1 ||
		available_kib > UINT64_MAX / 2048)
		return false;
	*wall = *ours;
	if (!wall->reclaimable_known)
		wall->reclaimable_bytes = 0;
	wall->limit_bytes = fraction_plus(
		fraction_less(wall->current_bytes, wall->reclaimable_bytes), available_kib * 1024);
	/* Available holds what is reclaimable, the heaps' lazy pages too. */
	wall->reclaimable_known = true;
	return true;
}
