#ifndef SHIM_WALLS_H
#define SHIM_WALLS_H

#include "shim/cgroup.h"
#include "shim/heap/front/heap.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * The memory limits that stand above this process, for look.h: the tightest one of its cgroups,
 * found anew every five seconds in case it was moved, and the machine's memory where that is
 * nearer.  One caller, the thread of alone.h; descriptors are in its own table.
 */

struct walls {
	bool has_own_descriptors;
	int root_fd;
	int meminfo_fd;
	bool has_cgroup;
	bool machine;         /* the nearest is the machine's memory */
	uint64_t id;          /* of the nearest, the same for all who are below it */
	uint64_t limit_bytes; /* the tightest of the cgroups; SAMPLE_NO_LIMIT */
	uint32_t crowd;       /* processes that share the nearest, 1 to 16 */
	uint64_t place_ms;
	struct stall_sample stall;
	struct cgroup cgroup;
};

/* Gives the calling thread a table of descriptors of its own; without that there is no limit. */
void walls_open(struct walls *walls);
/* Sets what all services of *sample share. */
void walls_read(struct walls *walls, const struct heap_stats *stats, struct sample *sample,
	uint64_t now_ms);
/* The machine's memory is the nearest, and less than half of the way to it is used. */
bool walls_are_far(const struct walls *walls, const struct sample *sample);

#endif
