/* Takes idle pages in transit, batch by batch. */
#include "shim/heap/scavenge/page_hunt.h"

#include "shim/heap/base/transit.h"
#include "shim/heap/pages/page_ages.h"
#include "shim/heap/pages/page_heap_state.h"
#include "shim/heap/pages/page_reserve.h"
#include "shim/heap/scavenge/region_hunt.h"

#define CHUNKS_LEAST ((size_t)8)

/* Joins a range with the one right above it, if no more than so many bytes come of that. */
static bool range_join(struct os_range *above, uintptr_t start, size_t bytes, size_t most_bytes)
{
	if (start + bytes != (uintptr_t)above->start || above->bytes + bytes > most_bytes)
		return false;
	above->start = (void *)start;
	above->bytes += bytes;
	return true;
}

/* Adds a range of a region, joined with the last where they touch; false when the table is full. */
static bool hunt_add(
	struct page_hunt *hunt, const struct region *region, uintptr_t start, size_t bytes)
{
	size_t most_bytes =
		bytes == CHUNK_BYTES ? PAGE_HUNT_CHUNKS_MAX * CHUNK_BYTES : PAGE_HUNT_RANGE_BYTES;

	/* Another region may begin where this one ends. */
	if (hunt->count > 0 && start + bytes != region_address(region, region->committed) &&
		range_join(&hunt->ranges[hunt->count - 1], start, bytes, most_bytes))
		return true;
	if (hunt->count == OS_RANGES_MAX)
		return false;
	hunt->ranges[hunt->count++] = (struct os_range){.start = (void *)start, .bytes = bytes};
	return true;
}

/* Idle dirty pages that may still be taken. */
static size_t dirty_over_cushion(const struct page_hunt *hunt)
{
	size_t idle = page_heap.stats.dirty - page_heap.transit_dirty;

	return idle > hunt->cushion_pages ? idle - hunt->cushion_pages : 0;
}

/* Pages that may still go into this batch. */
static size_t hunt_room(const struct page_hunt *hunt)
{
	size_t pages = hunt->dirty_pages + hunt->lazy_pages;
	size_t room = pages < hunt->transit_pages ? hunt->transit_pages - pages : 0;

	return hunt->pages_max < room ? hunt->pages_max : room;
}

/* Clean pages of whole chunks cost little, so that there may be CHUNKS_LEAST in any batch. */
static size_t chunks_most(const struct page_hunt *hunt)
{
	size_t chunks = hunt->transit_pages / CHUNK_PAGES;

	return chunks > CHUNKS_LEAST ? chunks : CHUNKS_LEAST;
}

/* Brings a run's end to whole kernel pages: outward where the pages there are free too, else
 * inward. */
static size_t hunt_round(const struct region *region, size_t page, size_t grain, bool is_end)
{
	size_t base = page - page % grain;
	bool outward;

	if (page == base)
		return page;
	outward = region_is_free(region, base, grain);
	return outward == is_end ? base + grain : base;
}

/* Cuts a run to what the budgets and the kernel's page size allow, from its top. */
static void hunt_cut(
	const struct page_hunt *hunt, const struct region *region, size_t *first, size_t *end)
{
	size_t grain = os_page_bytes() / PAGE_BYTES;
	size_t most = hunt_room(hunt);

	if (most > PAGE_HUNT_RANGE_BYTES / PAGE_BYTES)
		most = PAGE_HUNT_RANGE_BYTES / PAGE_BYTES;
	*end = hunt_round(region, *end, grain, true);
	*first = hunt_round(region, *first, grain, false);
	if (*end <= *first)
		return;
	if (region_count(region, *first, *end - *first).dirty > dirty_over_cushion(hunt) &&
		most > dirty_over_cushion(hunt))
		most = dirty_over_cushion(hunt);
	most -= most % grain;
	if (*end - *first > most)
		*first = *end - most;
}

/* Widens a run to its chunk where that is all free and what is warm of it fits the budgets. */
static bool hunt_widen(const struct page_hunt *hunt, const struct region *region,
	const struct region_hunt *want, size_t *first, size_t *end)
{
	size_t base = *first - *first % CHUNK_PAGES;
	bool huge = region_chunk(region, base)->huge != 0;
	struct page_counts counts;

	if ((!huge && (!hunt->dirty || !hunt->lazy)) || !region_chunk_is_free(region, base) ||
		!region_hunts_all(region, want, base))
		return false;
	counts = region_count(region, base, CHUNK_PAGES);
	if (counts.dirty > dirty_over_cushion(hunt) ||
		(!huge && counts.dirty + counts.lazy > hunt_room(hunt)))
		return false;
	*first = base;
	*end = base + CHUNK_PAGES;
	return true;
}

static void hunt_whole(struct page_hunt *hunt, const struct region *region, size_t page)
{
	void *start = (void *)region_address(region, page);

	hunt->chunks[hunt->chunk_count++] = start;
	if (region->huge && region_chunk(region, page)->huge != 0)
		hunt->huge_chunk = start;
}

static void hunt_count(struct page_hunt *hunt, const struct page_counts *counts)
{
	size_t pages = counts->dirty + counts->lazy;

	page_heap.transit_dirty += counts->dirty;
	page_heap.transit_lazy += counts->lazy;
	hunt->dirty_pages += counts->dirty;
	hunt->lazy_pages += counts->lazy;
	hunt->pages_max -= pages < hunt->pages_max ? pages : hunt->pages_max;
}

/* Makes a run part of the batch, from *first on or as much of its top as there is room for, and
 * *first is where that begins; false: the batch is full. */
static bool hunt_run(struct page_hunt *hunt, struct region *region, const struct region_hunt *want,
	size_t *first, size_t end)
{
	struct page_counts counts;
	size_t cut = *first;
	bool whole;

	if (hunt->chunk_count == chunks_most(hunt))
		return false;
	whole = hunt_widen(hunt, region, want, &cut, &end);
	if (!whole && region_chunk(region, cut)->huge != 0 && region_chunk_is_free(region, cut))
		return true;
	if (!whole)
		hunt_cut(hunt, region, &cut, &end);
	if (cut >= end)
		return true;
	if (!hunt_add(hunt, region, region_address(region, cut), (end - cut) * PAGE_BYTES))
		return false;
	if (whole)
		hunt_whole(hunt, region, cut);
	else
		hunt->parts |= region->once_huge;
	/* A page that a hunt is to find a chunk by counts as dirty there, too. */
	hunt->uncommitted |= page_reserve_is_away_locked(region, cut, end - cut);
	*first = cut;
	hunt->below = region_address(region, cut);
	counts = region_count(region, cut, end - cut);
	region_hold(region, cut, end - cut);
	hunt_count(hunt, &counts);
	return true;
}

/* False: the batch is full, or has had its looks. */
static bool hunt_region(struct page_hunt *hunt, struct region *region, struct region_hunt *want)
{
	size_t below = region->committed;
	size_t end;

	if (hunt->below <= region->start)
		return true;
	if (region_page(region, hunt->below) < below)
		below = region_page(region, hunt->below);
	for (;;) {
		want->dirty = hunt->dirty && dirty_over_cushion(hunt) != 0;
		if (hunt_room(hunt) == 0)
			return false;
		if (!region_hunt(region, want, &below, &end)) {
			hunt->below = region_address(region, below);
			return below == 0;
		}
		want->looks -=
			PAGE_HUNT_RANGE_LOOKS < want->looks ? PAGE_HUNT_RANGE_LOOKS : want->looks;
		if (!hunt_run(hunt, region, want, &below, end))
			return false;
	}
}

bool page_hunt(struct page_hunt *hunt)
{
	struct region_hunt want = {
		.idle_before_ns = hunt->idle_before_ns,
		.ages = hunt->ages,
		.pages_min = hunt->run_pages_min,
		.lazy = hunt->lazy,
		.broken_only = hunt->breaks == HUGE_KEEP,
		.sparse_only = hunt->breaks == HUGE_BREAK_SPARSE,
		.looks = PAGE_HUNT_LOOKS,
	};

	hunt->count = 0;
	hunt->chunk_count = 0;
	hunt->away = 0;
	hunt->dirty_pages = 0;
	hunt->lazy_pages = 0;
	hunt->parts = false;
	hunt->uncommitted = false;
	hunt->huge_chunk = NULL;
	hunt->done = true;
	region_hunt_begin(&want);
	lock_take(&page_heap.lock);
	hunt->may_decommit = page_heap.away_pieces < AWAY_PIECES_MAX;
	for (size_t i = page_heap.count; i > 0 && hunt->done; i--)
		hunt->done = hunt_region(hunt, &page_heap.regions[i - 1], &want);
	hunt->looks = PAGE_HUNT_LOOKS - want.looks;
	page_heap.stats.looks += hunt->looks;
	if (hunt->looks > page_heap.stats.looks_most)
		page_heap.stats.looks_most = hunt->looks;
	/* While a batch is advised whoever waits has the lock. */
	if (hunt->count != 0)
		lock_drop(&page_heap.lock);
	else
		lock_drop_kindly(&page_heap.lock);
	return hunt->count != 0;
}

static void chunks_away(const struct page_hunt *hunt)
{
	for (size_t i = 0; i < hunt->chunk_count; i++) {
		struct region *region = page_heap_region((uintptr_t)hunt->chunks[i]);

		if ((hunt->away >> i & 1) != 0)
			page_reserve_away_locked(
				region, region_page(region, (uintptr_t)hunt->chunks[i]));
	}
}

void page_hunt_end(const struct page_hunt *hunt, enum page_outcome outcome)
{
	static const enum region_state states[] = {
		[PAGE_AS_BEFORE] = REGION_AS_BEFORE,
		[PAGE_LAZY] = REGION_LAZY,
		[PAGE_CLEAN] = REGION_CLEAN,
	};

	lock_take(&page_heap.lock);
	for (size_t i = 0; i < hunt->count; i++) {
		uintptr_t start = (uintptr_t)hunt->ranges[i].start;
		struct region *region = page_heap_region(start);

		if (outcome != PAGE_AS_BEFORE)
			page_ages_released_locked(region, region_page(region, start),
				hunt->ranges[i].bytes / PAGE_BYTES, outcome == PAGE_CLEAN);
		if (outcome == PAGE_CLEAN && region->once_huge)
			huge_gone_locked(region, region_page(region, start),
				hunt->ranges[i].bytes / PAGE_BYTES);
		region_release(region, region_page(region, start),
			hunt->ranges[i].bytes / PAGE_BYTES, states[outcome]);
	}
	if (outcome == PAGE_CLEAN)
		chunks_away(hunt);
	page_heap.transit_dirty -= hunt->dirty_pages;
	page_heap.transit_lazy -= hunt->lazy_pages;
	if (outcome == PAGE_LAZY) {
		page_heap.stats.dirty -= hunt->dirty_pages;
		page_heap.stats.lazy += hunt->dirty_pages;
	} else if (outcome == PAGE_CLEAN) {
		page_heap.stats.dirty -= hunt->dirty_pages;
		page_heap.stats.lazy -= hunt->lazy_pages;
		page_heap.stats.clean += hunt->dirty_pages + hunt->lazy_pages;
	}
	lock_drop_kindly(&page_heap.lock);
}
