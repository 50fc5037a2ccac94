#ifndef SUPERVISOR_POLICY_STALL_H
#define SUPERVISOR_POLICY_STALL_H

#include <stddef.h>
#include <stdint.h>

#include "supervisor/policy/sample.h"

/*
 * What share of a window was spent stalled, from totals that are read every
 * 250 ms at the most (reading memory.pressure faster spoils it).
 *
 * The same history answers for every window up to 10 s.  Where it is
 * shorter than the window, what was stalled so far is measured against the whole
 * window: it answers as a kernel trigger does, at once but never too high.
 * Totals that run backwards belong to a new cgroup: the history starts anew.
 */

#define STALL_SPACING_MS 250U
#define STALL_READINGS 42U

struct stall_reading {
	uint64_t read_ms;
	uint64_t some_us;
	uint64_t full_us;
};

struct stall {
	struct stall_reading reading[STALL_READINGS]; /* a ring, oldest at first */
	size_t first;
	size_t count;
};

/* The same reading may be given again and again; it counts once.  Unknown empties the history. */
void stall_step(struct stall *stall, const struct stall_sample *sample);

/* Permille of the window that ended with the newest reading; 0 where that reading
 * is older than the window, or there are not two. */
uint32_t stall_permille(const struct stall *stall, struct config_psi psi, uint64_t now_ms);

#endif
