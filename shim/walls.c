/* The memory limits above this process: its cgroups' and the machine's. */
#include "shim/walls.h"

#include "shim/kernel.h"
#include "supervisor/policy/machine.h"
#include "supervisor/policy/wall.h"

#include <limits.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#define CLOSE_UNSHARES 2U /* CLOSE_RANGE_UNSHARE */

#define STALL_MS 250U
#define PLACE_MS 5000U
#define CROWD_MAX 16U
/* MemAvailable is on its third line. */
#define MEMINFO_TEXT_BYTES 512U
/* No inode of a limit. */
#define MACHINE_ID 1U

/* An empty table of descriptors of this thread's own; false: not to be had. */
static bool descriptors_unshare(void)
{
	return kernel_call(SYS_close_range, 0, UINT_MAX, CLOSE_UNSHARES, 0, 0, 0) == 0;
}

void walls_open(struct walls *walls)
{
	walls->root_fd = -1;
	walls->meminfo_fd = -1;
	walls->crowd = 1;
	walls->has_own_descriptors = descriptors_unshare();
	if (!walls->has_own_descriptors)
		return;
	walls->root_fd = kernel_open("/", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	walls->meminfo_fd = kernel_open("/proc/meminfo", O_RDONLY | O_CLOEXEC, 0);
}

static void place_look(struct walls *walls, uint64_t now_ms)
{
	if (walls->root_fd < 0 || (walls->place_ms != 0 && now_ms - walls->place_ms < PLACE_MS))
		return;
	if (walls->has_cgroup && cgroup_has_moved(walls->root_fd, &walls->cgroup)) {
		cgroup_close(&walls->cgroup);
		walls->has_cgroup = false;
	}
	if (!walls->has_cgroup)
		walls->has_cgroup = cgroup_open(walls->root_fd, &walls->cgroup) == 0;
	walls->place_ms = now_ms;
	walls->crowd = 1;
	if (walls->has_cgroup)
		walls->crowd = cgroup_processes(&walls->cgroup);
	if (walls->crowd > CROWD_MAX)
		walls->crowd = CROWD_MAX;
}

/* The machine's memory, where it is nearer than any limit.  Usage of a cgroup that is the machine's
 * root is everybody's; then what this heap has stands for ours. */
static void machine_read(struct walls *walls, const struct heap_stats *stats, struct sample *sample)
{
	char text[MEMINFO_TEXT_BYTES];
	struct wall_sample ours;
	struct wall_sample machine;
	long length;

	walls->machine = false;
	if (walls->meminfo_fd < 0)
		return;
	length = kernel_call(SYS_pread64, walls->meminfo_fd, (long)text, sizeof text, 0, 0, 0);
	if (!walls->has_cgroup || !cgroup_read_own(&walls->cgroup, &ours))
		ours = (struct wall_sample){
			.current_bytes = stats->mapped_bytes - stats->clean_bytes,
			.reclaimable_bytes = stats->lazy_bytes,
			.reclaimable_known = true,
		};
	if (length <= 0 || !machine_wall(text, (size_t)length, &ours, &machine) ||
		!wall_is_tighter(&machine, &sample->shared))
		return;
	walls->machine = true;
	walls->id = MACHINE_ID;
	if (walls->crowd == 1)
		walls->crowd = 2;
	sample->shared = machine;
}

static void cgroup_walls_read(struct walls *walls, struct sample *sample, uint64_t now_ms)
{
	size_t level = 0;

	sample->shared = (struct wall_sample){.limit_bytes = SAMPLE_NO_LIMIT};
	sample->shared_events = (struct events_sample){0};
	sample->shared_stall = (struct stall_sample){0};
	if (!walls->has_cgroup)
		return;
	level = cgroup_read(&walls->cgroup, &sample->shared, &sample->shared_events);
	walls->id = walls->cgroup.level[level].id;
	/* There are others below an ancestor, or it would have no limit of its own. */
	if (level > 0 && walls->crowd == 1)
		walls->crowd = 2;
	if (!walls->stall.known || now_ms - walls->stall.read_ms >= STALL_MS)
		cgroup_read_stall(&walls->cgroup, now_ms, &walls->stall);
	sample->shared_stall = walls->stall;
}

void walls_read(
	struct walls *walls, const struct heap_stats *stats, struct sample *sample, uint64_t now_ms)
{
	place_look(walls, now_ms);
	cgroup_walls_read(walls, sample, now_ms);
	walls->limit_bytes = sample->shared.limit_bytes;
	machine_read(walls, stats, sample);
}

bool walls_are_far(const struct walls *walls, const struct sample *sample)
{
	const struct wall_sample *wall = &sample->shared;

	return walls->machine && wall_headroom_bytes(wall, 0) >= wall->limit_bytes / 2;
}
