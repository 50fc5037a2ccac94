#ifndef SUPERVISOR_CGROUP_CGROUP_WALLS_H
#define SUPERVISOR_CGROUP_CGROUP_WALLS_H

#include <stddef.h>
#include <stdint.h>

#include "supervisor/cgroup/cgroup_files.h"
#include "supervisor/cgroup/limit_watch.h"
#include "supervisor/cgroup/mode.h"
#include "supervisor/policy/sample.h"

/*
 * Walls: from a cgroup up to the visible root, the level with the least
 * headroom.  Limit and usage always are of the same level: a limit of an
 * ancestor says nothing about our own usage alone.
 *
 * The limit is memory.max, or memory.high where that is lower: the kernel kills nobody there, but
 * slows down all that grow beyond it, the supervisor among them.
 */
#define CGROUP_LEVELS_MAX 16

struct cgroup_walls {
	size_t count; /* [0] is the cgroup itself */
	struct cgroup_files level[CGROUP_LEVELS_MAX];
	int high_fd[CGROUP_LEVELS_MAX]; /* memory.high; -1 = none */
	char *directory[CGROUP_LEVELS_MAX];
};

/* path lies at or below mount; both absolute, below root_fd.  Levels that cannot be
 * opened are left out. */
void cgroup_walls_open(struct cgroup_walls *walls, int root_fd, const char *path, const char *mount,
	enum cgroup_version version);
void cgroup_walls_close(struct cgroup_walls *walls);

/* All limits are to be watched, as far as that is possible. */
void cgroup_walls_watch(const struct cgroup_walls *walls, const struct limit_watch *watch);

/* The tightest, by what is left with the reclaimable added.  SAMPLE_NO_LIMIT and the usage of
 * [0] where nothing has a limit.  *level is its index. */
void cgroup_walls_read(const struct cgroup_walls *walls, struct wall_sample *wall, size_t *level);

/* Events of every level's own limit summed up, so that a change of the tightest level
 * never makes a count fall; oom_kill is that of [0] with all below it. */
void cgroup_walls_events(const struct cgroup_walls *walls, struct events_sample *events);

#endif
