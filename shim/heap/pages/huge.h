#ifndef SHIM_HEAP_PAGES_HUGE_H
#define SHIM_HEAP_PAGES_HUGE_H

#include "shim/heap/pages/region.h"

#include <stdatomic.h>

/*
 * Huge pages, where huge_use asked for them; else none of this does anything.
 *
 * The kernel gives one for the first touch of a chunk in which it has nothing, and
 * charges all of it.  So a chunk in which nothing is resident becomes `huge` when
 * any page of it is taken: the gate is asked for 512 pages, and those that nobody
 * took are dirty.  That is the most that may be resident.  Where the kernel has no
 * huge page to give, or still has the table of the small pages that were there
 * before (before Linux 6.14 it stays), less is.
 *
 * What the heap does otherwise with a huge chunk:
 *
 *	all of it free		goes whole at any level: one range of 2 MiB, which is
 *				cheap (11 ns a page) and truly frees it.  It is
 *				never cut, so a pass may go over its max_bytes by
 *				less than a chunk.  At lazy the same by MADV_FREE,
 *				which does not split it; whoever takes a page of it
 *				then has all of it dirty again
 *	a part of it free	stays at calm and lazy.  An eager or full release breaks
 *				it, after all that can be had without, and the eager
 *				one not if less than 1/32 is free
 *	broken			an ordinary chunk; huge again once all of it was given
 *				back and something is taken
 *
 * MADV_DONTNEED of a part of a huge page unmaps it and frees nothing: the kernel
 * splits the page when it is short of memory.  MADV_FREE splits it at once.  So
 * parts go by MADV_FREE and then by MADV_DONTNEED, here and for holes, and not only
 * in chunks known to be huge: khugepaged makes a broken chunk huge again behind our
 * back (max_ptes_none is 511), and fills what was given back.
 *
 * That is looked for.  While there are broken chunks, mincore says of some of them
 * what is resident.  Clean pages and holes that seem to be are held in transit and
 * asked for again; those that are become dirty, or free slots, and what was idle
 * goes the usual way.  Each page counts for itself: a chunk may be filled between
 * two pieces that are given back, and then only what went before is resident.  The
 * region as a whole gets MADV_NOHUGEPAGE, one advice without splitting a mapping,
 * so that it does not happen again: there are no new huge pages in it from then
 * on.  Once the kernel has agreed, one more look at all of its chunks finds what
 * was filled before, and another where pages were in transit meanwhile.  Until that
 * is done no slab is told that its pages are not resident.
 *
 * A chunk that was broken before anybody had written to it is filled by the first
 * write, which is nobody's fault.  So the region is closed only for a chunk of which
 * a look has found a part resident and a part not, or that is filled for a second
 * time.
 */

enum huge_break {
	HUGE_KEEP,         /* leave those alone of which a part lives */
	HUGE_BREAK_SPARSE, /* not those of which nearly all lives */
	HUGE_BREAK
};

#define HUGE_DENSE_PART 32U

extern _Atomic bool huge_on;

static inline bool huge_is_on(void)
{
	return atomic_load_explicit(&huge_on, memory_order_relaxed);
}

/* Whether of so many pages so many are idle that an eager release breaks for them. */
static inline bool huge_is_sparse(size_t idle, size_t pages)
{
	return idle * HUGE_DENSE_PART > pages;
}

/* The page heap's lock is held for all with _locked. */

/* A region was made, of which nothing is committed yet. */
void huge_region_locked(struct region *region);
/* So many more pages were reserved at its end; false: the kernel does not treat them alike. */
bool huge_region_grows_locked(const struct region *region, size_t pages);

/* Pages that become resident beside those that are taken. */
size_t huge_cold_locked(const struct region *region, size_t page, size_t pages);

/* Pages are about to be taken, and were counted: chunks become huge, pages beside them dirty. */
void huge_taken_locked(struct region *region, size_t page, size_t pages);

/* Whether pages of a region that count as clean may be resident. */
bool huge_is_in_doubt_locked(const struct region *region);

/* Of pages that are not resident if they are small ones, those that are not in huge chunks. */
uint64_t huge_clean_mask_locked(const struct region *region, size_t page, uint64_t clean_mask);

/* Pages in transit are about to become clean. */
void huge_gone_locked(struct region *region, size_t page, size_t pages);

/* Whether idle pages of a slab may go, some of its pages being so; its chunks are broken then. */
bool huge_break(uintptr_t start, size_t pages, size_t idle, enum huge_break breaks);

/*
 * No lock is held.  How many regions were closed so far; and who read that before it began to
 * advise pages away says so after they became clean or holes: khugepaged may have filled them, and
 * been stopped, and been looked for, while they were in transit.
 */
uint32_t huge_closes(void);
void huge_gave_back(uint32_t closes_before);

/* For who looks (huge_look.h), with the lock held or not as above. ----------- */

/* When to look next, and the pause that led to it: soon after a chunk was broken, then ever later.
 */
#define HUGE_PAUSE_FIRST_NS ((uint64_t)1000000000)

struct huge_due {
	_Atomic uint64_t at_ns; /* UINT64_MAX: nothing to look for */
	_Atomic uint64_t pause_ns;
};

extern struct huge_due huge_due;

/* Not exact where two do it at once: then the later one stands. */
void huge_due_within(uint64_t now_ns, uint64_t pause_ns);

/* Free pages are dirty from now on, and are counted so. */
void huge_soil_locked(struct region *region, size_t page, size_t pages);

/* All of a region is looked at once more from now on. */
void huge_look_again_locked(struct region *region);

/* No more huge pages in the region of a chunk.  What is taken until the kernel knows is still said
 * to be huge. */
void huge_close(uintptr_t start);

#endif
