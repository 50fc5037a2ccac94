#ifndef SUPERVISOR_CGROUP_MACHINE_H
#define SUPERVISOR_CGROUP_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/policy/sample.h"

/*
 * The machine's own memory as the outermost wall.
 *
 * Without any limit a service grows until the machine has no memory left, and the kernel then
 * chooses whom to kill.  What is left is MemAvailable of /proc/meminfo, which the kernel
 * computes from free pages, the page cache and the zones' watermarks.
 *
 * What others use of the machine is not ours to give back, so the wall is taken as if it were
 * fixed: what is ours, and what is available.  On a machine that a database fills to nine tenths a
 * small service of ours is still far from it, and only who is near compared with their own size
 * are asked to give back.
 *
 * Swap does not count: giving idle memory back is cheaper than swapping it out.
 */

/* ours: usage of what we supervise, the reclaimable included.  false: it cannot be read. */
bool machine_read(int meminfo_fd, const struct wall_sample *ours, struct wall_sample *wall);

#endif
