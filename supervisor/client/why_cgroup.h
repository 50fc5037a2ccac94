#ifndef SUPERVISOR_CLIENT_WHY_CGROUP_H
#define SUPERVISOR_CLIENT_WHY_CGROUP_H

#include <stdbool.h>

#include "supervisor/client/why_facts.h"

/*
 * A cgroup's memory files, of version 2 below /sys/fs/cgroup or of version 1 below
 * /sys/fs/cgroup/memory.  Paths are those of /proc/PID/cgroup: "/" is the root.
 */

/* The cgroup that the text names: a path, with or without the mount before it, or a part of a
 * directory's name, such as a container's id or a pod's uid, with - or _.  0, -ENOENT, or -E2BIG:
 * several of the same depth have that part. */
int why_cgroup_find(const char *text, char path[WHY_PATH_BYTES]);

/* Whether path is the cgroup or lies below it. */
bool why_cgroup_is_below(const char *path, const char *cgroup);

/* Reads limit, usage, kills and the parts of the usage; the limit is the tightest from there
 * upwards, and usage that at it.  *hits: how often limits were hit.  What cannot be read stays. */
void why_cgroup_read(const char *path, struct why_facts *facts, uint64_t *hits);

/* Calls see for each process in the cgroup and below it. */
void why_cgroup_each(const char *path, void (*see)(int pid, void *with), void *with);

#endif
