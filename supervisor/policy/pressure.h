#ifndef SUPERVISOR_POLICY_PRESSURE_H
#define SUPERVISOR_POLICY_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/policy/plan.h"
#include "supervisor/policy/stall.h"
#include "supervisor/policy/steady.h"

/*
 * How hard one service must give back, and which number says so.
 *
 * A service stands before up to two walls, its own and the shared one; either
 * can raise it.  The level rises on the first view that asks for it.  It falls to
 * the highest level that any view asked for within the last hold_ms, and no
 * more often than steady.h allows; where hold_ms is 0 it follows the numbers.
 *
 * Time to wall extrapolates, and the steeper a burst the more it does: 100 MiB
 * filled in 50 ms are half a second from a wall of 1 GiB, and a process that starts fills 10 MiB
 * at once.  So alone it brings a service to lazy only where more than a quarter of the wall is used
 * by other things than cache, to eager where more than half is, and to full where headroom is under
 * lazy's threshold.  Full reaches into the caches of running threads.  Stall, which files that are
 * read and written cause as well, asks for lazy anywhere and for the higher levels under the same
 * conditions: a release of idle heap would be no help.  Headroom would not do for eager: of cache
 * that has to be written first it counts half, so while files are written a burst that leaves most
 * of the wall to them would look near it.
 *
 * What waits at the gate raises no level (gate.h).
 */

/* One wall as a service sees it. */
struct pressure_wall {
	bool exists;
	bool shared;
	uint64_t wall_bytes;
	uint64_t headroom_bytes; /* free, and what the kernel takes back by itself */
	uint64_t growable_bytes; /* free, and all cache */
	bool reclaimable_known;  /* the difference was read from the kernel */
	uint64_t time_to_wall_ms;
	const struct stall *stall; /* known even where there is no wall */
	uint64_t events_max;       /* since the last step */
};

struct pressure_view {
	struct pressure_wall wall[2];
	uint64_t events_high; /* since the last step, where a memory.high is in force */
};

struct pressure {
	enum level level; /* in force */
	enum level asks;  /* the last view */
	bool asked[LEVELS];
	uint64_t asked_ms[LEVELS]; /* when a view last asked for this level or more */
	struct steady steady;
};

/* The level in force from now on; *reason says why where it differs from the one before. */
enum level pressure_step(struct pressure *pressure, const struct config_policy *policy,
	const struct pressure_view *view, uint64_t now_ms, struct reason *reason);

/* What this one view asks for, no memory of earlier ones. */
enum level pressure_asked(const struct config_policy *policy, const struct pressure_view *view,
	uint64_t now_ms, struct reason *reason);

#endif
