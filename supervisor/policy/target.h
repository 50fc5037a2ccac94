#ifndef SUPERVISOR_POLICY_TARGET_H
#define SUPERVISOR_POLICY_TARGET_H

#include "supervisor/policy/supply.h"
#include "supervisor/policy/turn.h"

/*
 * How much to ask of whom: what headroom lacks of lazy's threshold, with
 * 1/TARGET_MARGIN_SHARE of the wall on top, or else the next step would ask
 * again for a few pages; what waits at the gate and has no credit; and at a rise
 * that is due to time to wall, what headroom lacks of that time's growth.
 *
 * What the shared wall lacks is divided as supply.h says, by heap_sample.page_ns times
 * memory_priority.  So nobody who holds nothing idle is asked while others do.
 */

#define TARGET_MARGIN_SHARE 64U

/* Of all that can be asked, as their levels reach it. */
struct supply target_supply_of(const struct turn *turn);

/* One service's part: all its own wall lacks, and of what the shared one lacks as
 * much as its idle_bytes are of the supply.  *reason: of a wall that lacks something. */
uint64_t target_bytes(const struct turn *turn, size_t i, const struct supply *supply,
	uint64_t idle_bytes, struct reason *reason);

#endif
