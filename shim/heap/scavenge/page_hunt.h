#ifndef SHIM_HEAP_SCAVENGE_PAGE_HUNT_H
#define SHIM_HEAP_SCAVENGE_PAGE_HUNT_H

#include "shim/heap/base/os.h"
#include "shim/heap/base/page.h"
#include "shim/heap/pages/huge.h"
#include "shim/heap/pages/reuse.h"

/*
 * Taking idle pages in transit to advise them.  The caller fills in what it
 * wants, starts with below = UINTPTR_MAX, and calls until `done`; each
 * call goes on under the last, highest address first.  Every batch found must
 * be ended with page_hunt_end before or after the next.
 *
 * A call holds the page heap's lock once, and no longer than for so many looks at
 * the trees over the pages (region.h); it may find nothing and not be done.  With
 * `below` a hunt can also go on after a while, as if it were a new one.
 *
 * The last warm pages of a chunk in which nothing lives are taken together with
 * the clean ones: advising 2 MiB as a whole gives the kernel's page table back
 * too (Linux 6.14), and the chunk's page of the page map can go (chunk_maps.h).  A huge chunk goes
 * whole or not at all while nothing lives in it, and what bounds the batch and the
 * hunt is exceeded by one of them.
 */

/* Ranges of a batch are no longer than this, whole chunks excepted, which are joined. */
#define PAGE_HUNT_RANGE_BYTES ((size_t)256 << 10)

/* Nor does it have more whole chunks. */
#define PAGE_HUNT_CHUNKS_MAX 32

/* Looks of a call, some more for the last range aside; and what a range counts as. */
#define PAGE_HUNT_LOOKS ((size_t)1024)
#define PAGE_HUNT_RANGE_LOOKS ((size_t)8)

struct page_hunt {
	bool dirty;
	bool lazy;
	uint64_t idle_before_ns;
	const struct hunt_ages *ages; /* instead, by size; NULL: none */
	size_t cushion_pages;         /* idle dirty ones to keep */
	size_t run_pages_min;
	size_t pages_max; /* warm ones; counts down */
	enum huge_break breaks;
	size_t transit_pages; /* warm ones of a batch; one of transit.h's */
	uintptr_t below;

	bool done;    /* there is no more below */
	size_t looks; /* of this call */
	struct os_range ranges[OS_RANGES_MAX];
	size_t count;
	void *chunks[PAGE_HUNT_CHUNKS_MAX]; /* whole chunks among them */
	size_t chunk_count;
	bool may_decommit;  /* the caller may decommit these when they are gone; */
	unsigned away;      /* which of them it has, by bits */
	size_t dirty_pages; /* in those ranges */
	size_t lazy_pages;
	bool parts;       /* some ranges may be parts of huge pages */
	bool uncommitted; /* some pages must not be touched */
	void *huge_chunk; /* a whole one among them, which will be huge again; NULL: none */
};

/* False when nothing was found by this call. */
bool page_hunt(struct page_hunt *hunt);

enum page_outcome { PAGE_AS_BEFORE, PAGE_LAZY, PAGE_CLEAN };

void page_hunt_end(const struct page_hunt *hunt, enum page_outcome outcome);

#endif
