#ifndef SHIM_HEAP_SCAVENGE_CHUNK_MAPS_H
#define SHIM_HEAP_SCAVENGE_CHUNK_MAPS_H

#include "shim/heap/base/os.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Giving back what the page map has of chunks that went as a whole: 4 KiB each.
 *
 * One system call for a chunk's entries costs a flush of the other processors' address caches, as
 * one for its 2 MiB does.  So chunks that went are noted over a pass, and their entries go
 * together, joined where they touch.  A chunk of which something was taken again meanwhile
 * is left out, the others are in transit (transit.h) while the kernel is called.  Where a fork
 * called for a stop, entries stay resident: that costs memory and nothing else.
 */
#define CHUNK_MAPS_MAX OS_RANGES_MAX

struct chunk_maps {
	void *chunks[CHUNK_MAPS_MAX];
	size_t count;
};

struct page_hunt;

/* Notes the whole chunks of a batch that went; false: there is no room for all of another one. */
bool chunk_maps_note(struct chunk_maps *maps, const struct page_hunt *hunt);

/* Calls advise for the entries of all that were noted, and forgets them. */
void chunk_maps_release(
	struct chunk_maps *maps, int (*advise)(const struct os_range *ranges, size_t count));

#endif
