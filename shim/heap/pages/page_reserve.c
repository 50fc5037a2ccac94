/* Reserves and commits address space for the page heap; which pages are taken of it is
 * page_heap.c's. */

#include "shim/heap/pages/page_reserve.h"

#include "shim/heap/base/os.h"
#include "shim/heap/pages/huge.h"
#include "shim/heap/pages/page_heap_state.h"
#include "shim/heap/pages/page_map.h"

#include <string.h>

/* At a time. */
#define RESERVE_BYTES_MAX ((size_t)1 << 30)

/* What a region may grow to, unless more is needed at once. */
#define CAPACITY_BYTES_MIN ((size_t)256 << 20)
#define CAPACITY_BYTES_MAX ((size_t)512 << 30)
#define CAPACITY_FACTOR 8U

/* This part of an address is the distance to what the kernel places. */
#define DISTANCE_DIVISOR 512U

#define GROWTH_CHUNKS_MAX 4U

/* What is left where there is a limit: this part of what is reserved.  The smallest blocks need
 * 1 %, and an area of records some address space more to align it. */
#define SPARE_DIVISOR 32U
#define SPARE_BYTES_MIN ((size_t)256 << 10)

/* With a spare ---------------------------------------------------------- */

static size_t spare_bytes(void)
{
	return round_up(page_heap.reserved_bytes / SPARE_DIVISOR, CHUNK_BYTES / 8) +
	       SPARE_BYTES_MIN;
}

static enum os_reserved reserve_at(void *start, size_t bytes)
{
	size_t spare = spare_bytes();
	enum os_reserved result = os_reserve_at(start, bytes + spare);

	if (result == OS_OCCUPIED)
		return os_reserve_at(start, bytes);
	if (result == OS_RESERVED)
		os_unreserve((unsigned char *)start + bytes, spare);
	return result;
}

static void *reserve_anywhere(size_t bytes)
{
	size_t spare = spare_bytes();
	unsigned char *start = os_reserve(bytes + spare, CHUNK_BYTES);

	if (start != NULL)
		os_unreserve(start + bytes, spare);
	return start;
}

/* New regions ------------------------------------------------------------ */

static struct region *region_insert(void *start, size_t capacity, void *metadata)
{
	size_t at = page_heap.count;

	for (; at > 0 && page_heap.regions[at - 1].start > (uintptr_t)start; at--)
		page_heap.regions[at] = page_heap.regions[at - 1];
	page_heap.count++;
	region_init(&page_heap.regions[at], start, capacity, metadata);
	return &page_heap.regions[at];
}

/* Address space for a region: behind the last one, else away from where mappings go, of which
 * `mapping` is one, else anywhere. */
static void *region_place(size_t bytes, uintptr_t mapping)
{
	uintptr_t away = (mapping - mapping / DISTANCE_DIVISOR) & ~(CHUNK_BYTES - 1);

	if (page_heap.count != 0) {
		const struct region *last = &page_heap.regions[page_heap.count - 1];
		void *behind = (void *)region_address(last, last->capacity);

		if (reserve_at(behind, bytes) == OS_RESERVED)
			return behind;
	}
	if (reserve_at((void *)away, bytes) == OS_RESERVED)
		return (void *)away;
	return reserve_anywhere(bytes);
}

static bool region_try(size_t bytes, size_t capacity_bytes, struct region **region)
{
	size_t metadata_bytes = region_metadata_bytes(capacity_bytes / PAGE_BYTES);
	void *metadata = os_reserve(metadata_bytes, PAGE_BYTES);
	void *start;

	if (metadata == NULL)
		return false;
	start = os_commit(metadata, metadata_bytes) == 0 ? region_place(bytes, (uintptr_t)metadata)
							 : NULL;
	if (start == NULL) {
		os_unreserve(metadata, metadata_bytes);
		return false;
	}
	*region = region_insert(start, capacity_bytes / PAGE_BYTES, metadata);
	(*region)->pages = bytes / PAGE_BYTES;
	huge_region_locked(*region);
	page_heap.reserved_bytes += bytes;
	return true;
}

/* How much to reserve where so much is missing. */
static size_t bytes_to_reserve(size_t need)
{
	size_t want = round_up(page_heap.reserved_bytes / 2, CHUNK_BYTES);

	if (want > RESERVE_BYTES_MAX)
		want = RESERVE_BYTES_MAX;
	return want > need ? want : need;
}

static struct region *region_new(size_t pages)
{
	size_t need = round_up(pages * PAGE_BYTES, CHUNK_BYTES);
	size_t want = bytes_to_reserve(need);
	size_t capacity = round_up(page_heap.reserved_bytes, CHUNK_BYTES) * CAPACITY_FACTOR;
	struct region *region;

	if (page_heap.count == REGIONS_MAX)
		return NULL;
	/* Were all of them small, there would soon be too many. */
	if (want < page_heap.reserved_bytes / CAPACITY_FACTOR)
		want = round_up(page_heap.reserved_bytes / CAPACITY_FACTOR, CHUNK_BYTES);
	if (capacity > CAPACITY_BYTES_MAX)
		capacity = CAPACITY_BYTES_MAX;
	if (capacity < CAPACITY_BYTES_MIN)
		capacity = CAPACITY_BYTES_MIN;
	for (; want > need; want = round_up(want / 2, CHUNK_BYTES))
		if (region_try(want, want > capacity ? want : capacity, &region))
			return region;
	return region_try(need, need > capacity ? need : capacity, &region) ? region : NULL;
}

/* One of which nothing was committed: where memory is not overcommitted what describes it is
 * charged, 200 MiB for a TiB. */
static void region_drop(struct region *region)
{
	size_t at = (size_t)(region - page_heap.regions);
	void *start = (void *)region->start;
	size_t bytes = region->pages * PAGE_BYTES;

	os_unreserve(region->levels[REGION_TOP], region_metadata_bytes(region->capacity));
	page_heap.count--;
	memmove(&page_heap.regions[at], &page_heap.regions[at + 1],
		(page_heap.count - at) * sizeof *region);
	page_heap.reserved_bytes -= bytes;
	os_unreserve(start, bytes);
}

/* Growing in place --------------------------------------------------------- */

/* Reserves so much or more at the region's end. */
static bool region_stretch(struct region *region, size_t need)
{
	void *end = (void *)region_address(region, region->pages);
	size_t room = (region->capacity - region->pages) * PAGE_BYTES;
	size_t want = bytes_to_reserve(need);
	enum os_reserved result;

	if (need > room)
		return false;
	want = want < room ? want : room;
	while ((result = reserve_at(end, want)) != OS_RESERVED && want > need) {
		want = round_up(want / 2, CHUNK_BYTES);
		want = want > need ? want : need;
	}
	if (result == OS_RESERVED && !huge_region_grows_locked(region, want / PAGE_BYTES)) {
		os_unreserve(end, want);
		result = OS_OCCUPIED;
	}
	if (result == OS_OCCUPIED)
		region->capacity = region->pages;
	if (result != OS_RESERVED)
		return false;
	region->pages += want / PAGE_BYTES;
	page_heap.reserved_bytes += want;
	return true;
}

/* Takes a stretch back. */
static void region_shrink(struct region *region, size_t pages)
{
	size_t bytes = (region->pages - pages) * PAGE_BYTES;

	os_unreserve((void *)region_address(region, pages), bytes);
	region->pages = pages;
	page_heap.reserved_bytes -= bytes;
}

/* What is away ------------------------------------------------------------- */

static bool is_away(const struct region *region, size_t page)
{
	return page < region->committed && region_chunk(region, page)->away != 0;
}

static void set_away(struct region *region, size_t page, bool away)
{
	size_t beside = is_away(region, page + CHUNK_PAGES);

	if (page != 0)
		beside += is_away(region, page - CHUNK_PAGES);
	if (away == is_away(region, page))
		return;
	region_chunk(region, page)->away = away;
	region->away += away ? 1 : (size_t)-1;
	page_heap.away_pieces += away ? 1 - beside : beside - 1;
}

/* Growing by what is away ------------------------------------------------------- */

/* What describes so many committed pages, the page map left out: summaries, the index of slabs. */
static size_t metadata_pages(size_t committed)
{
	size_t bytes =
		region_touched_bytes(committed) + committed / CHUNK_PAGES * PAGE_MAP_CHUNK_BYTES;

	return round_up(bytes, PAGE_BYTES) / PAGE_BYTES;
}

static bool region_lengthen(struct region *region, size_t pages)
{
	void *start = (void *)region_address(region, region->committed);
	size_t page = region->committed;

	if (!page_map_cover((uintptr_t)start, pages * PAGE_BYTES))
		return false;
	page_heap.stats.metadata -= metadata_pages(region->committed);
	region_grow(region, pages);
	for (; page < region->committed; page += CHUNK_PAGES)
		set_away(region, page, true);
	page_heap.stats.metadata += metadata_pages(region->committed);
	page_heap.stats.committed += pages;
	page_heap.stats.clean += pages;
	return true;
}

bool page_reserve_extend_locked(struct region *region, size_t pages)
{
	size_t reserved = region->pages;
	size_t room = reserved - region->committed;

	if (pages > room && !region_stretch(region, (pages - room) * PAGE_BYTES))
		return false;
	if (region_lengthen(region, pages))
		return true;
	if (region->pages != reserved)
		region_shrink(region, reserved);
	return false;
}

/* Pages that a region lacks for such a run at its end. */
static size_t pages_missing(const struct region *region, size_t pages)
{
	size_t at_end = region_free_at_end(region);

	return round_up(pages > at_end ? pages - at_end : 1, CHUNK_PAGES);
}

enum growth { GROWTH_DONE, GROWTH_NO_ROOM, GROWTH_REFUSED };

/* Grows by what is missing out of what is reserved, and some more. */
static enum growth region_extend(struct region *region, size_t pages)
{
	size_t room = region->pages - region->committed;
	size_t missing = pages_missing(region, pages);
	size_t step = round_up(page_heap.stats.committed / 8, CHUNK_PAGES);

	if (missing > room)
		return GROWTH_NO_ROOM;
	if (step > GROWTH_CHUNKS_MAX * (size_t)CHUNK_PAGES)
		step = GROWTH_CHUNKS_MAX * (size_t)CHUNK_PAGES;
	if (step > room)
		step = room;
	if (step > missing && region_lengthen(region, step))
		return GROWTH_DONE;
	return region_lengthen(region, missing) ? GROWTH_DONE : GROWTH_REFUSED;
}

/* The same where more must be reserved first. */
static enum growth region_stretch_and_extend(struct region *region, size_t pages)
{
	size_t reserved = region->pages;
	size_t room = reserved - region->committed;
	size_t missing = pages_missing(region, pages);
	enum growth growth;

	/* A wide run that did not fit must not pass for one that was refused. */
	if (missing <= room || !region_stretch(region, (missing - room) * PAGE_BYTES))
		return GROWTH_NO_ROOM;
	growth = region_extend(region, pages);
	if (growth == GROWTH_REFUSED)
		region_shrink(region, reserved);
	return growth;
}

bool page_reserve_grow_locked(size_t pages)
{
	static enum growth (*const ways[])(struct region * region, size_t pages) = {
		region_extend,
		region_stretch_and_extend,
	};
	struct region *region;

	for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
		for (size_t i = 0; i < page_heap.count; i++) {
			enum growth growth = ways[way](&page_heap.regions[i], pages);

			if (growth != GROWTH_NO_ROOM)
				return growth == GROWTH_DONE;
		}
	}
	region = region_new(pages);
	if (region == NULL)
		return false;
	if (region_extend(region, pages) == GROWTH_DONE)
		return true;
	region_drop(region);
	return false;
}

/* Committing what is away ------------------------------------------------------ */

static bool chunks_commit(struct region *region, size_t page, size_t end)
{
	struct os_range range = {
		.start = (void *)region_address(region, page), .bytes = (end - page) * PAGE_BYTES};

	if (os_commit(range.start, range.bytes) != 0 ||
		(region->huge && os_advise(&range, 1, OS_HUGE) != 0))
		return false;
	for (; page < end; page += CHUNK_PAGES)
		set_away(region, page, false);
	return true;
}

/* A part of a piece, or all of it: that makes no mapping more, of which there may be too many. */
static bool piece_commit(struct region *region, size_t page, size_t end)
{
	if (chunks_commit(region, page, end))
		return true;
	while (page != 0 && is_away(region, page - CHUNK_PAGES))
		page -= CHUNK_PAGES;
	while (is_away(region, end))
		end += CHUNK_PAGES;
	return chunks_commit(region, page, end);
}

bool page_reserve_is_away_locked(const struct region *region, size_t page, size_t pages)
{
	if (region->away == 0)
		return false;
	for (size_t at = page - page % CHUNK_PAGES; at < page + pages; at += CHUNK_PAGES)
		if (is_away(region, at))
			return true;
	return false;
}

/* What os_commit refused as one may be had piece by piece. */
static bool pieces_commit_locked(struct region *region, size_t page, size_t end)
{
	for (; page < end; page += CHUNK_PAGES) {
		size_t stop = page;

		while (stop < end && is_away(region, stop))
			stop += CHUNK_PAGES;
		if (stop != page && !piece_commit(region, page, stop))
			return false;
		page = stop;
	}
	return true;
}

bool page_reserve_back(void *start, size_t pages)
{
	uintptr_t first = (uintptr_t)start & ~(CHUNK_BYTES - 1);
	size_t bytes =
		round_up((uintptr_t)start + pages * PAGE_BYTES, CHUNK_BYTES) - (uintptr_t)first;
	struct os_range range = {.start = (void *)first, .bytes = bytes};
	bool done = os_commit(range.start, bytes) == 0;
	bool is_huge;
	struct region *region;
	size_t page;

	lock_take(&page_heap.lock);
	region = page_heap_region(first);
	page = region_page(region, first);
	is_huge = done && region->huge;
	for (size_t at = page; done && at < page + bytes / PAGE_BYTES; at += CHUNK_PAGES)
		set_away(region, at, false);
	if (!done)
		done = pieces_commit_locked(region, page, page + bytes / PAGE_BYTES);
	page_heap.backing--;
	lock_drop(&page_heap.lock);
	/* Refused, the chunks are small pages. */
	if (is_huge)
		(void)os_advise(&range, 1, OS_HUGE);
	return done;
}

void page_reserve_away_locked(struct region *region, size_t page)
{
	set_away(region, page, true);
}

static void chunk_mapped(struct region *region, size_t page)
{
	struct chunk *chunk = region_chunk(region, page);

	if (chunk->mapped != 0)
		return;
	chunk->mapped = 1;
	page_heap.stats.metadata++;
}

void page_reserve_mapped_locked(struct region *region, size_t page, size_t pages)
{
	/* Of what is longer than a slab only the first page has an entry. */
	chunk_mapped(region, page);
	if (pages <= 64)
		chunk_mapped(region, page + pages - 1);
}

void page_reserve_unmapped_locked(struct region *region, size_t page)
{
	region_chunk(region, page)->mapped = 0;
	page_heap.stats.metadata--;
}
