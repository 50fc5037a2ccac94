#ifndef SHIM_HEAP_PAGE_HUNT_H
#define SHIM_HEAP_PAGE_HUNT_H

#include "shim/heap/os.h"
#include "shim/heap/page.h"

/*
 * Taking idle pages in transit to advise them.  The caller fills in what it
 * wants, starts with below = UINTPTR_MAX, and calls until nothing is found; each
 * call goes on under the last, highest address first.  Every batch found must
 * be ended with page_hunt_end before or after the next.
 */

/* A batch is no larger, since who maps or unmaps waits in the kernel while it is advised. */
#define PAGE_HUNT_BATCH_PAGES ((size_t)256)

struct page_hunt {
	bool dirty;
	bool lazy;
	uint64_t idle_before_ns;
	size_t cushion_pages; /* idle dirty ones to keep */
	size_t run_pages_min;
	size_t pages_max; /* counts down */
	uintptr_t below;

	struct os_range ranges[OS_RANGES_MAX];
	size_t count;
	size_t dirty_pages; /* in those ranges */
	size_t lazy_pages;
};

/* False when nothing was found. */
bool page_hunt(struct page_hunt *hunt);

enum page_outcome { PAGE_AS_BEFORE, PAGE_LAZY, PAGE_CLEAN };

void page_hunt_end(const struct page_hunt *hunt, enum page_outcome outcome);

#endif
