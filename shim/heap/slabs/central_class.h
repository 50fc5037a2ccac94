#ifndef SHIM_HEAP_SLABS_CENTRAL_CLASS_H
#define SHIM_HEAP_SLABS_CENTRAL_CLASS_H

#include "shim/heap/base/lock.h"
#include "shim/heap/slabs/slab_index.h"

/*
 * One class as central.c and holes.c see it.  Every function here but
 * leaving_finish is called with the class's lock held.
 */
struct central {
	struct lock lock;
	struct span *candidates;
	struct span *candidates_last;
	struct span *empty; /* the slab that stays although it is empty, or NULL */
	/* Written under the lock, read anywhere. */
	_Atomic uint64_t used_slots;
	_Atomic uint64_t ready_slots;
} __attribute__((aligned(64)));

extern struct central centrals[SIZE_CLASSES + 1];

void central_count(_Atomic uint64_t *count, int64_t change);

void central_candidate_add(struct central *central, struct span *span);
void central_candidate_remove(struct central *central, struct span *span);
/* The candidates up to and including this one become the last ones; NULL: none. */
void central_candidates_rotate(struct central *central, struct span *span);

/* Moves a slab to where its counts say it belongs; had_ready: what they said before. */
void central_place(struct span *span, bool had_ready);

/* Holes of a slab are no more; `refaulted` of their pages are taken into use. */
void central_fill(struct central *central, struct span *span, uint64_t pages, size_t refaulted);

/* Slabs that left their class wait on a chain for the locks to be dropped. */
struct leaving {
	struct span *first;
};

void central_leave(struct central *central, struct span *span, struct leaving *leaving);
void leaving_finish(struct leaving *leaving);

/* A slab's last slot came back: it stays if no other empty one does, else the higher of them
 * leaves. */
void central_became_empty(struct central *central, struct span *span, struct leaving *leaving);
/* It is used again, or leaves. */
void central_not_empty(struct central *central, const struct span *span);

#endif
