#ifndef SHIM_HEAP_SCAVENGE_REGION_HUNT_H
#define SHIM_HEAP_SCAVENGE_REGION_HUNT_H

#include "shim/heap/pages/region.h"

/* Looking for what a scavenger may take, from the top of a region.  The page heap's lock is held.
 */

/* What to look for: dirty pages, lazy pages, in words idle since before idle_before_ns, or by the
 * chunk's size where there are ages. */
struct region_hunt {
	bool dirty;
	bool lazy;
	uint64_t idle_before_ns;
	const struct hunt_ages *ages;
	size_t pages_min;
	bool broken_only; /* not in huge chunks of which a part lives, */
	bool sparse_only; /* or not in those of which nearly all does */
	size_t looks;     /* that may still be made, REGION_LEVELS at least; counts down */

	uint32_t ranks[IDLE_AGES]; /* what is ranked lower is too young */
};

/* A node of a tree is a look, a chunk's words are some more. */
#define REGION_CHUNK_LOOKS 4U

/* Before the first region_hunt: sets the ranks. */
void region_hunt_begin(struct region_hunt *hunt);

/* The highest run below page *below within one chunk: its pages from *below on, up to *end.  False:
 * there is none, and *below is 0, or the looks are used up and it is where to go on. */
bool region_hunt(const struct region *region, struct region_hunt *hunt, size_t *below, size_t *end);

/* Whether that is all that is warm of the chunk that a page lies in, be its runs long or short. */
bool region_hunts_all(const struct region *region, const struct region_hunt *hunt, size_t page);

#endif
