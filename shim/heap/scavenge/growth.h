#ifndef SHIM_HEAP_SCAVENGE_GROWTH_H
#define SHIM_HEAP_SCAVENGE_GROWTH_H

#include "shim/heap/scavenge/scavenge.h"
#include "shim/heap/scavenge/scavenge_policy.h"

/*
 * What growing calls for in the thread that grows: when pages became resident
 * that were not (grown.h), as many others may have to go, those of the largest idle runs.
 *
 *	go1.12		whatever idled: what grew is paid back
 *	adaptive	what idled for longer than the break-even, when the background
 *			did not get done with it
 *	the others	nothing; near the wall the gate sees to it (gate_set)
 *
 * At most GROWTH_BYTES_MAX at once, which is under a millisecond; the rest of the
 * debt is forgotten.
 *
 * Under adaptive a large block pays more: when GROWTH_LARGE_BYTES or more became resident at
 * once, no idle run was long enough for it, and what idles is in pieces that blocks of that size
 * cannot use.  Without this, blocks of 12 to 20 MiB that come and go under a budget of 1 GiB have a
 * quarter more resident than lives.  As many idle pages go as became resident, of any age,
 * GROWTH_LARGE_BYTES_MAX at most; the larger of GROWTH_CUSHION_BYTES and one
 * part of GROWTH_CUSHION_PART of what is in use stays idle.  Giving a page back costs a
 * tenth of the fault that made the new one resident.
 *
 * No lock may be held.
 */
#define GROWTH_BYTES_MAX ((size_t)1 << 20)
#define GROWTH_LARGE_BYTES ((size_t)1 << 20)
#define GROWTH_LARGE_BYTES_MAX ((size_t)64 << 20)
#define GROWTH_CUSHION_BYTES ((size_t)16 << 20)
#define GROWTH_CUSHION_PART 32U

/* For what the calling thread's last calls took. */
void growth_settle(void);

/* Whether large blocks pay. */
void growth_follow(enum heap_policy policy);

/* What to pay with: pages idle since before; 0: nothing. */
void growth_tune(enum heap_level level, uint64_t idle_before_ns);

#endif
