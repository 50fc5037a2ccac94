#ifndef SHIM_HEAP_SLABS_CENTRAL_H
#define SHIM_HEAP_SLABS_CENTRAL_H

#include "shim/heap/base/size_class.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The slabs of each size class, shared by all threads, a lock per class.
 *
 * A slab is in one of these places:
 *
 *	ready		set of slabs with ready slots, the lowest by address at hand
 *	holed		set of slabs whose only free slots lie over holes
 *	nowhere		full; it comes back when a slot of it is freed, found
 *			through the page map
 *
 * Besides, a slab into which a slot was freed since holes were last looked for
 * is on the candidates list.  One slab per class stays although it is empty, against
 * blocks that come and go; central_dissolve sends it away.
 */

/* No more slots change hands in one call. */
#define CENTRAL_BATCH 128U

/* Up to `want` slots, at least one unless memory is out (0), each slab's lowest last.  May wait at
 * the gate. */
unsigned central_take(unsigned size_class, void **slots, unsigned want);

/* Panics on what is not a slot in use of this class. */
void central_put(unsigned size_class, void *const *slots, unsigned count);

/* Sends empty slabs, of all classes or of one, that nobody used since before idle_before_ns
 * (UINT64_MAX: any) to the page heap. */
void central_dissolve(uint64_t idle_before_ns);
void central_dissolve_class(unsigned size_class, uint64_t idle_before_ns);

struct central_stats {
	uint64_t used_slots; /* live or in caches */
	uint64_t used_bytes;
	uint64_t ready_bytes;
};

void central_stats(struct central_stats *stats);

/* For locks.h: classes upward. */
struct lock;
void central_locks(void (*visit)(struct lock *lock));

/* All locks held.  Whether a class's counters are these sums over its slabs. */
const char *central_check_locked(
	unsigned size_class, uint64_t used, uint64_t ready, unsigned empty);

#endif
