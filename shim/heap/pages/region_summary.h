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

/* Bits or ages of pages changed: brings what lies over them up to date. */
void region_summarize(struct region *region, size_t page, size_t pages);

#endif
