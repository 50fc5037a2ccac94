#ifndef SHIM_HEAP_PAGES_PAGE_HEAP_H
#define SHIM_HEAP_PAGES_PAGE_HEAP_H

#include "shim/heap/base/page.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Runs of whole pages, out of a few large regions.
 *
 * Address-ordered first fit: first among dirty pages, as far as a short look finds
 * some, then among warm ones (dirty or lazy, which cost no fault), then among all.  What is handed
 * out is lowest first and what is given back is highest first, so that the two stay apart.
 *
 * Pages that would newly become resident (clean or fresh ones) are taken only
 * after the gate was asked, and the search starts again after it, so that what
 * was freed while the gate held the caller is used before anything new.
 *
 * One lock guards the regions and the counters.  It is never held over madvise
 * or the gate; reserving address space does happen under it, committing it does not.
 *
 * Counters, in pages: in_use + dirty + lazy + clean = committed.  A page in
 * transit still counts as what it was.  Pages of slabs that were given back
 * (holes) count as clean, not as in use.
 */

struct page_stats {
	size_t committed;
	size_t in_use;
	size_t mapped;      /* in blocks that have mappings of their own (mapped.h) */
	size_t peak_in_use; /* those included */
	size_t dirty;
	size_t lazy;
	size_t clean;
	size_t taken;     /* handed out ever */
	size_t refaulted; /* clean pages, fresh ones not counted, that were handed out again */
	size_t refaulted_touched; /* of these, by samples (refault.h) */
	size_t regret_release;
	size_t regret_hold;
	size_t metadata;
	size_t huge;        /* chunks that are huge, of 512 pages */
	size_t huge_broken; /* ever */
	size_t huge_filled; /* broken ones that the kernel filled again */
	size_t looks;       /* of hunts at the trees over the pages (page_hunt.h) */
	size_t looks_most;  /* while the lock was held once */
};

/* NULL: memory is out.  *clean_mask (where not NULL): which of the first 64 pages are zero and not
 * resident; *zero: all of them are. */
struct page_taken {
	void *start;
	uint64_t clean_mask;
	bool zero;
	size_t cold; /* pages that were not resident */
	bool away;   /* some must be committed first: page_heap_take's own affair */
};

struct page_taken page_heap_take(size_t pages, size_t alignment);

/*
 * The same for a block that moves there: as its new pages become resident, so many old
 * ones go.  The gate is asked for the difference.
 */
struct page_taken page_heap_take_for(size_t pages, size_t leaving);

/* The pages right behind `end`, up to the region's end, join the span that ends there; false:
 * they are not free.  *cold: how many were not resident. */
bool page_heap_extend(void *end, size_t pages, size_t *cold);

/* clean_mask: which of the first 64 pages are not resident. */
void page_heap_put(void *start, size_t pages, uint64_t clean_mask);

/* None of them is resident, all are zero.  fresh: and none was touched since they were taken. */
void page_heap_put_clean(void *start, size_t pages, bool fresh);

/* Holes: pages of a live slab went, or come back (the gate was asked). */
void page_heap_hole_made(size_t pages);
void page_heap_hole_filled(size_t pages, size_t refaulted);

void page_heap_stats(struct page_stats *stats);

/* For locks.h. */
struct lock;
void page_heap_locks(void (*visit)(struct lock *lock));

/* Lock held, nothing in transit.  hole_pages: holes in all slabs; span_pages: pages of all live
 * spans, holes included. */
const char *page_heap_check_locked(size_t hole_pages, size_t span_pages);

/* Lock held: the i-th region's committed range; false past the last. */
bool page_heap_region_locked(size_t index, uintptr_t *start, size_t *pages);

#endif
