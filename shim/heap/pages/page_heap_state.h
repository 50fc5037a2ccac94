#ifndef SHIM_HEAP_PAGES_PAGE_HEAP_STATE_H
#define SHIM_HEAP_PAGES_PAGE_HEAP_STATE_H

#include "shim/heap/base/lock.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/pages/region.h"

/* The page heap as page_heap.c, page_hunt.c and huge.c see it; all under its lock. */

#define REGIONS_MAX 128U

/* Of the 65530 mappings that a process may have, pieces that are away cost two each. */
#define AWAY_PIECES_MAX 4096U

struct page_heap {
	struct lock lock;
	size_t count;
	struct region regions[REGIONS_MAX]; /* by address */
	size_t reserved_bytes;
	size_t away_pieces; /* runs of chunks that were decommitted */
	size_t backing;     /* runs that were taken and are being committed */
	struct page_stats stats;
	size_t transit_dirty; /* pages in transit by what they still count as */
	size_t transit_lazy;
	struct reuse reuse;
	uint64_t break_even_ns;
};

extern struct page_heap page_heap;

/* Pages went out. */
static inline void page_heap_peak_locked(void)
{
	struct page_stats *stats = &page_heap.stats;
	size_t in_use = stats->in_use + stats->mapped;

	if (in_use > stats->peak_in_use)
		stats->peak_in_use = in_use;
}

/* The region an address of the heap lies in. */
static inline struct region *page_heap_region(uintptr_t address)
{
	for (size_t i = page_heap.count; i > 0; i--) {
		struct region *region = &page_heap.regions[i - 1];

		if (address >= region->start)
			return region;
	}
	return NULL;
}

#endif
