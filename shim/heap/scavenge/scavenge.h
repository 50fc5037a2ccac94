#ifndef SHIM_HEAP_SCAVENGE_SCAVENGE_H
#define SHIM_HEAP_SCAVENGE_SCAVENGE_H

#include "shim/heap/front/heap.h"

/*
 * Giving back: heap_scavenge, one bounded pass at a level.
 *
 *	calm, lazy	idle dirty pages over the cushion are MADV_FREEd: lazy
 *	eager		idle dirty pages over the cushion, and all lazy ones,
 *			become clean; then pages with no live slot inside idle
 *			part-used slabs become holes
 *	full		as eager with no cushion, and every slab counts as idle
 *
 * Before that, at every level, idle thread caches are emptied and idle empty
 * slabs go back to the page heap.
 *
 * A pass looks for whole chunks first, then for runs of 64 KiB and more, and for
 * shorter ones with what is left of max_bytes, highest address first in each turn.  A batch of
 *ranges is taken in transit, advised without a lock, and given back in its new state.
 *
 * A partial MADV_DONTNEED inside a transparent huge page frees nothing until
 * the kernel splits the page, and one touched slot makes 2 MiB resident that
 * nobody asked the gate for.  So os_reserve keeps huge pages out of the heap, unless
 * heap_use_huge_pages has them in; then the turns above leave those alone of which
 * a part lives, and releases at eager and full have two more in which they don't (huge.h).
 */

/* In the child of a fork: the passes of threads that are not there are over. */
void scavenge_after_fork(void);

void scavenge_stats(struct heap_stats *stats);

#endif
