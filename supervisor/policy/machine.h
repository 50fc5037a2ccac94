#ifndef SUPERVISOR_POLICY_MACHINE_H
#define SUPERVISOR_POLICY_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
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

/* text: of /proc/meminfo.  ours: usage of what we supervise, or of the process that runs alone, the
 * reclaimable included.  false, and *wall is untouched: the text does not say. */
bool machine_wall(
	const char *text, size_t length, const struct wall_sample *ours, struct wall_sample *wall);

#endif
