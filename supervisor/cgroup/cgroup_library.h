#ifndef SUPERVISOR_CGROUP_CGROUP_LIBRARY_H
#define SUPERVISOR_CGROUP_CGROUP_LIBRARY_H

#include <stdint.h>
#include <sys/types.h>

/*
 * libcgroup, which makes cgroups with their limits, in a process of its own.
 *
 * Its tables of controllers and mount points take 850 kB of memory as soon as they are filled
 * (cgroup_init), several times what the supervisor has otherwise.  The process starts with the
 * first cgroup that is asked for and makes any number of them one after another, until
 * cgroup_library_end(): so the tables are filled once for all services of a start, and gone after.
 *
 * Version 2.0.2 cannot make every cgroup.  Then the result is an error, and the caller makes it by
 * hand:
 *
 *   - names are relative to the mount point that the library found first, so it is of no use where
 *     that is not ours;
 *   - creating writes "+memory" to the parents' subtree_control even where memory is on, which
 *     fails without write access to all of them.
 */

struct cgroup_library {
	int fd; /* -1 = the process is not there */
	pid_t pid;
};

#define CGROUP_LIBRARY_NONE ((struct cgroup_library){.fd = -1})

/* Makes path, which is below mount, with that memory.max and memory.high (UINT64_MAX = "max").  0
 * or -errno: the folder may exist all the same.  Waits for the process, a second at most. */
int cgroup_library_create(struct cgroup_library *library, const char *mount, const char *path,
	uint64_t max_bytes, uint64_t high_bytes);

/* Ends the process, if there is one, and waits for that. */
void cgroup_library_end(struct cgroup_library *library);

#endif
