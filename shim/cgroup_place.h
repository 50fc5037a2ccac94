#ifndef SHIM_CGROUP_PLACE_H
#define SHIM_CGROUP_PLACE_H

#include "shim/cgroup.h"

/*
 * Where the process's own cgroup is, by /proc/self/cgroup and /proc/self/mountinfo.  root_fd stands
 * for "/".  For cgroup.c alone.
 */

/* Into room: v1 and v2, as /proc/self/cgroup has them.  Which text that is. */
uint64_t cgroup_place_read(int root_fd, struct cgroup_room *room);

/* Into room: the directory of path, and the point of the mount that shows it, which is v2 or that
 * of v1 which counts memory.  False: no mount does. */
bool cgroup_place_find(int root_fd, bool v2, const char *path, struct cgroup_room *room);

/* A descriptor, or -errno; neither waits. */
int cgroup_place_open_file(int directory_fd, const char *name);
int cgroup_place_open_directory(int root_fd, const char *path);

#endif
