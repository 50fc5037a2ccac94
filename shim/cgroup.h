#ifndef SHIM_CGROUP_H
#define SHIM_CGROUP_H

#include "supervisor/policy/cgroup_text.h"
#include "supervisor/policy/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The process's own cgroup and those above it, as far as a mount shows them: which memory limit
 * is the tightest, what is used of it, and how often it was hit.
 *
 * /proc/self/cgroup says where the process is, v1 where memory is one of the controllers of a
 * line, else v2; /proc/self/mountinfo says where that is mounted.  The last mount that shows the
 * process counts, since what is mounted later lies on top.  Where the path does not exist under a
 * mount (a container in the host's cgroup namespace), the mount's root is the best there is.
 *
 * Every file stays open, so one caller, alone.h's thread, should have a table of descriptors of
 * its own.  Files that are missing or say what cannot be read are left out; texts are bounded.  No
 * function allocates, or is a cancellation point.
 */

#define CGROUP_LEVELS_MAX 12
#define CGROUP_PATH_BYTES 1024

struct cgroup_level {
	int limit_fd;
	int usage_fd;
	int stat_fd;
	int events_fd; /* v1: memory.failcnt */
	uint64_t id;   /* of the limit, the same for all who are below it */
};

/* Room for texts, since the caller's stack is small and stays. */
struct cgroup_room {
	char line[2048];
	char text[4096]; /* memory.stat of 6.18 has 2 KiB; the last keys of a longer one are unknown
			  */
	char v2[CGROUP_PATH_BYTES]; /* where /proc/self/cgroup says that we are; "": in none */
	char v1[CGROUP_PATH_BYTES]; /* in the tree of memory */
	char directory[CGROUP_PATH_BYTES];
	char point[CGROUP_PATH_BYTES];
	char path[CGROUP_PATH_BYTES];
};

struct cgroup {
	enum cgroup_version version;
	size_t count; /* level[0] is the process's own */
	struct cgroup_level level[CGROUP_LEVELS_MAX];
	int pressure_fd; /* of v2's tree; -1: none, or that of the whole machine */
	int processes_fd;
	uint64_t place; /* which text of /proc/self/cgroup this is */
	struct cgroup_room room;
};

/* root_fd stands for "/".  0, or -ENOENT: nothing that counts memory can be seen, and nothing is
 * open. */
int cgroup_open(int root_fd, struct cgroup *cgroup);
void cgroup_close(struct cgroup *cgroup);
/* The process is in another cgroup now. */
bool cgroup_has_moved(int root_fd, struct cgroup *cgroup);

/* The level with the least headroom, and its index; SAMPLE_NO_LIMIT and the usage of [0] where none
 * has a limit.  Events are summed over the levels. */
size_t cgroup_read(struct cgroup *cgroup, struct wall_sample *wall, struct events_sample *events);
/* Not more often than every 250 ms (policy/stall.h). */
void cgroup_read_stall(struct cgroup *cgroup, uint64_t now_ms, struct stall_sample *stall);
/* In the process's own cgroup; at least 1. */
uint32_t cgroup_processes(struct cgroup *cgroup);

#endif
