/* Gives back the page map's entries of chunks that went. */
#include "shim/heap/scavenge/chunk_maps.h"

#include "shim/heap/base/transit.h"
#include "shim/heap/pages/page_heap_state.h"
#include "shim/heap/pages/page_map.h"
#include "shim/heap/pages/page_reserve.h"
#include "shim/heap/scavenge/page_hunt.h"

bool chunk_maps_note(struct chunk_maps *maps, const struct page_hunt *hunt)
{
	for (size_t i = 0; i < hunt->chunk_count; i++)
		maps->chunks[maps->count++] = hunt->chunks[i];
	return maps->count + PAGE_HUNT_CHUNKS_MAX <= CHUNK_MAPS_MAX;
}

/* Takes those that are still empty in transit, leaves only them in the list, and returns how many
 * ranges their entries are. */
static size_t hold_locked(struct chunk_maps *maps, struct os_range *ranges)
{
	size_t noted = maps->count;
	size_t count = 0;

	maps->count = 0;
	for (size_t i = 0; i < noted; i++) {
		uintptr_t start = (uintptr_t)maps->chunks[i];
		struct region *region = page_heap_region(start);
		size_t page = region_page(region, start);
		struct os_range map = page_map_of_chunk(start);

		if (!region_chunk_is_void(region, page) || region_chunk(region, page)->mapped == 0)
			continue;
		region_hold(region, page, CHUNK_PAGES);
		maps->chunks[maps->count++] = maps->chunks[i];
		if (count != 0 &&
			(unsigned char *)map.start + map.bytes == ranges[count - 1].start) {
			ranges[count - 1].start = map.start;
			ranges[count - 1].bytes += map.bytes;
		} else {
			ranges[count++] = map;
		}
	}
	return count;
}

static void drop_locked(const struct chunk_maps *maps, bool gone)
{
	for (size_t i = 0; i < maps->count; i++) {
		uintptr_t start = (uintptr_t)maps->chunks[i];
		struct region *region = page_heap_region(start);
		size_t page = region_page(region, start);

		if (gone)
			page_reserve_unmapped_locked(region, page);
		region_release(region, page, CHUNK_PAGES, REGION_AS_BEFORE);
	}
}

void chunk_maps_release(
	struct chunk_maps *maps, int (*advise)(const struct os_range *ranges, size_t count))
{
	struct os_range ranges[CHUNK_MAPS_MAX];
	size_t count;
	bool gone;

	/* Where the kernel's pages are larger than ours, a chunk's entries have none of their own.
	 */
	if (maps->count == 0 || os_page_bytes() != PAGE_BYTES || !transit_begin()) {
		maps->count = 0;
		return;
	}
	lock_take(&page_heap.lock);
	count = hold_locked(maps, ranges);
	lock_drop(&page_heap.lock);
	if (count != 0) {
		gone = advise(ranges, count) == 0;
		lock_take(&page_heap.lock);
		drop_locked(maps, gone);
		/* The next hunt takes it at once. */
		lock_drop_kindly(&page_heap.lock);
	}
	transit_end();
	maps->count = 0;
}
