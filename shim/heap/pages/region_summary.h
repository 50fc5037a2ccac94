#ifndef SHIM_HEAP_PAGES_REGION_SUMMARY_H
#define SHIM_HEAP_PAGES_REGION_SUMMARY_H

#include "shim/heap/pages/region.h"

/* The tree over a region's chunks as region.c, which changes the bits, sees it. */

static inline size_t region_chunks(size_t pages)
{
	return pages / CHUNK_PAGES;
}

/* Nodes of a level over so many pages. */
static inline size_t region_nodes(size_t pages, int level)
{
	size_t under = (size_t)1 << REGION_FAN_SHIFT * level;

	return (region_chunks(pages) + under - 1) / under;
}

/*
 * A chunk's summary is a function of its bits, and a node's one of those under it.  There are two
 * ways to keep a chunk's so, with the same result:
 *
 *	region_summarize	computes it anew, whatever changed;
 *	region_adjust_taken,	adjust it by the pages that a span took or gave, which
 *	region_adjust_given	is most of what happens.
 *
 * The second way rests on this.  Pages that are given make one run, which is found from their two
 * ends; no other run changes.  A run that loses pages was the longest of the chunk, or it was not.
 * Only when it was does the chunk have to be read.  What is built with ASan compares both ways
 * after each change.
 */

/* Bits or ages of pages changed: brings what lies over them up to date. */
void region_summarize(struct region *region, size_t page, size_t pages);

/* The same after so many pages more were committed, for which the tree may have to be higher. */
void region_summarize_grown(struct region *region, size_t page, size_t pages);

/* What changed in summaries: counts by difference, which kinds of runs, and which ages. */
struct region_change {
	uint32_t dirty; /* modulo 2^32 */
	uint32_t lazy;
	bool runs[RUN_KINDS];
	uint32_t ages; /* a bit for each */
};

/*
 * Pages of one chunk that were free are a span's from now on, or the other way round.  counts: the
 * pages' states before they were taken, or after they were given.  Adds to *change, which is
 * for region_adjusted.
 */
void region_adjust_taken(struct region *region, size_t page, size_t end,
	const struct page_counts *counts, struct region_change *change);
void region_adjust_given(struct region *region, size_t page, size_t end,
	const struct page_counts *counts, struct region_change *change);

/* Chunks of the node of level 1 over a page changed: brings what lies over them up to date.
 * *change is none afterwards. */
void region_adjusted(struct region *region, size_t page, struct region_change *change);

#endif
