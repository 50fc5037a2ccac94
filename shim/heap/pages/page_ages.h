#ifndef SHIM_HEAP_PAGES_PAGE_AGES_H
#define SHIM_HEAP_PAGES_PAGE_AGES_H

#include "shim/heap/pages/region.h"

/*
 * What the page heap learns of idle pages: feeds its struct reuse, and counts
 * what was regretted.
 *
 *	regretted release	clean pages handed out again within a break-even of
 *				the time when pages of their word last became clean
 *	regretted hold		pages that were dirty and idle for longer than a
 *				break-even before they went or were wanted
 *
 * Ages are those of words, 64 pages, so both are estimates that err towards young.
 */

/* The page heap's lock is held.  Pages are about to be taken, which are these. */
void page_ages_taken_locked(
	const struct region *region, size_t page, size_t pages, const struct page_counts *counts);

/* The page heap's lock is held.  Pages in transit are about to become lazy or clean. */
void page_ages_released_locked(struct region *region, size_t page, size_t pages, bool clean);

/*
 * No lock is held.  Counts for how long pages were idle since the last call, looking
 * at a thousand words at most, which stand for the others; then what is known
 * is copied to *reuse.  Called again within 50 ms it does nothing.  One caller at a time.
 * break_even_ns is what regrets are measured by from now on.
 */
void page_ages_account(uint64_t now_ns, uint64_t break_even_ns, struct reuse *reuse);

#endif
