#ifndef SHIM_HEAP_SLABS_HOLES_H
#define SHIM_HEAP_SLABS_HOLES_H

#include "shim/heap/base/os.h"
#include "shim/heap/pages/huge.h"

/*
 * Giving back pages that are free inside part-used slabs.
 *
 * Each class lists the slabs into which slots were freed since they were last
 * looked at.  A slab's idle pages are marked as holes and as being advised under
 * the lock of its class, so that no slot over them is handed out; then `advise`
 * is called with no lock held (0 = done; what fails is filled again).
 *
 * Of a slab out of which no slot went since before idle_before_ns (UINT64_MAX: any) all idle
 * pages go.  In one that is in use idle pages are put on trial: those of which nothing went
 * out since before idle_before_ns go at a later look.  Lowest slots go out first, so the
 * upper pages of a slab may idle for as long as it is in use.
 *
 * At most max_bytes are advised; *clean_bytes grows by what went.  True: there
 * is more to do.
 *
 * In huge chunks holes are made as `breaks` says (huge.h); to tell whether nearly
 * all of one lives, the slab stands for its chunk.
 */
struct hole_wants {
	uint64_t max_bytes;
	uint64_t idle_before_ns;
	enum huge_break breaks;
	bool asked; /* somebody waits: batches may be larger (transit.h) */
};

bool holes_make(int (*advise)(void *with, const struct os_range *ranges, size_t count), void *with,
	const struct hole_wants *wants, uint64_t *clean_bytes);

/* In transit.  Of the holes of a chunk's slabs that seemed to be resident, 1 bit a page of the
 * chunk, those that are become free slots again: how many pages.  *busy: another scavenger was at
 * one. */
size_t holes_fill_resident(uintptr_t chunk, const uint64_t *seem_resident, bool *busy);

/* All of a chunk became resident: the holes of its slabs are free slots, and of no page is it
 * believed that nobody touched it. */
void holes_fill_chunk(uintptr_t chunk);

#endif
