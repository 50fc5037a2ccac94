#ifndef SUPERVISOR_POLICY_TARGET_H
#define SUPERVISOR_POLICY_TARGET_H

#include "supervisor/policy/turn.h"

/*
 * How much to ask of whom: what headroom lacks of lazy's threshold, with
 * 1/TARGET_MARGIN_SHARE of the wall on top, or else the next step would ask
 * again for a few pages; what waits at the gate and has no credit; and at a rise
 * that is due to time to wall, what headroom lacks of that time's growth.
 *
 * Cheap first: what the shared wall lacks is asked of those to whom a page costs least
 * (heap_sample.page_ns, times memory_priority), as far as they hold idle memory, then of those to
 * whom it costs twice as much, and so on; among equals in proportion to what each holds
 * idle, and of nobody who holds nothing while others do.  Where the cost is not known yet it
 * is TARGET_PAGE_NS.  When all together hold less than is lacking, all are asked in that
 * proportion.
 */

#define TARGET_MARGIN_SHARE 64U
/* Of an advice, as it was measured for 300 MiB. */
#define TARGET_PAGE_NS 240U
/* Costs of which the larger is less than twice the smaller may be equal: powers of 2. */
#define TARGET_COSTS 64U

struct target_supply {
	uint64_t idle_bytes; /* of all that can be asked, as their levels reach it */
	size_t heaps;        /* services that can be asked */
	uint64_t by_cost_bytes[TARGET_COSTS];
};

struct target_supply target_supply_of(const struct turn *turn);

/* One service's part: all its own wall lacks, and of what the shared one lacks as
 * much as its idle_bytes are of the supply.  *reason: of a wall that lacks something. */
uint64_t target_bytes(const struct turn *turn, size_t i, const struct target_supply *supply,
	uint64_t idle_bytes, struct reason *reason);

#endif
