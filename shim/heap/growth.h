#ifndef SHIM_HEAP_GROWTH_H
#define SHIM_HEAP_GROWTH_H

#include "shim/heap/heap.h"

/*
 * What growing calls for in the thread that grows: when pages became resident
 * that were not, as many others may have to go, those of the largest idle runs.
 *
 *	go1.12		whatever idled: what grew is paid back
 *	adaptive	what idled for longer than the break-even, when the background
 *			did not get done with it
 *	the others	nothing; near the wall the gate sees to it (heap_set_gate)
 *
 * At most GROWTH_BYTES_MAX at once, which is under a millisecond; the rest of the
 * debt is forgotten.  No lock may be held.
 */
#define GROWTH_BYTES_MAX ((size_t)1 << 20)

void growth_pay(size_t cold_pages);

/* What to pay with: pages idle since before; 0: nothing. */
void growth_tune(enum heap_level level, uint64_t idle_before_ns);

#endif
