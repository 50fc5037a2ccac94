#ifndef SUPERVISOR_TICK_SOFT_USAGE_H
#define SUPERVISOR_TICK_SOFT_USAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/link/link.h"

/*
 * What a service without a cgroup of its own uses, for a soft limit.
 *
 * The heaps say in their slots what they have resident, and say it again as they change.  What
 * else their processes have (libraries, stacks, their own mappings) is the proportional set size
 * of /proc/PID/smaps_rollup less the heaps, read every SOFT_USAGE_PSS_MS since the kernel walks all
 * pages for it.  Of a service with more than SOFT_USAGE_PROCESSES processes only so many are read,
 * and the rest is taken to be like them.  A process without the shim is not seen.
 */

#define SOFT_USAGE_PSS_MS UINT64_C(5000)
#define SOFT_USAGE_PROCESSES 32U

/* All zero at the start. */
struct soft_usage {
	bool known;
	uint64_t read_ms;
	uint64_t other_bytes;
};

uint64_t soft_usage_bytes(struct soft_usage *usage, const struct link *link,
	const struct link_totals *totals, int proc_fd, uint64_t now_ms);

#endif
