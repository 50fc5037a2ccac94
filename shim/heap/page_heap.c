#include "shim/heap/page_heap.h"

#include "shim/heap/bits.h"
#include "shim/heap/gate.h"
#include "shim/heap/growth.h"
#include "shim/heap/huge.h"
#include "shim/heap/os.h"
#include "shim/heap/page_ages.h"
#include "shim/heap/page_heap_state.h"
#include "shim/heap/page_map.h"
#include "shim/heap/refault.h"
#include "shim/heap/slab_index.h"
#include "shim/heap/transit.h"

#include <string.h>

/* Address space is taken in one such piece where it is plenty; where that is
 * refused, in pieces of a quarter of what there is, so that the rest of the
 * process finds room under its limit too. */
#define RESERVE_BYTES ((size_t)64 << 30)
#define RESERVE_BYTES_SCARCE ((size_t)32 << 20)

#define COMMIT_CHUNKS_MAX 32U

/* How often a take that found nothing waits for pages that are in transit. */
#define TRANSIT_WAITS 8U

struct page_heap page_heap;

void page_heap_locks(void (*visit)(struct lock *lock))
{
	visit(&page_heap.lock);
}

/* Regions --------------------------------------------------------------- */

static struct region *region_insert(void *start, size_t pages, void *metadata)
{
	size_t at = page_heap.count;

	for (; at > 0 && page_heap.regions[at - 1].start > (uintptr_t)start; at--)
		page_heap.regions[at] = page_heap.regions[at - 1];
	page_heap.count++;
	region_init(&page_heap.regions[at], start, pages, metadata);
	return &page_heap.regions[at];
}

static bool region_try(size_t bytes, struct region **region)
{
	size_t metadata_bytes = region_metadata_bytes(bytes / PAGE_BYTES);
	unsigned char *start = os_reserve(bytes + metadata_bytes, CHUNK_BYTES);

	if (start == NULL)
		return false;
	if (os_commit(start + bytes, metadata_bytes) != 0) {
		os_unreserve(start, bytes + metadata_bytes);
		return false;
	}
	*region = region_insert(start, bytes / PAGE_BYTES, start + bytes);
	huge_region_locked(*region);
	page_heap.reserved_bytes += bytes;
	return true;
}

static struct region *region_new(size_t pages)
{
	size_t need = round_up(pages * PAGE_BYTES, CHUNK_BYTES);
	size_t want = RESERVE_BYTES;
	struct region *region;

	if (page_heap.count == REGIONS_MAX)
		return NULL;
	if (!page_heap.scarce) {
		if (region_try(want > need ? want : need, &region))
			return region;
		if (need > RESERVE_BYTES)
			return NULL;
		page_heap.scarce = true;
	}
	want = round_up(page_heap.reserved_bytes / 4, CHUNK_BYTES);
	if (want < RESERVE_BYTES_SCARCE)
		want = RESERVE_BYTES_SCARCE;
	for (; want > need; want = round_up(want / 2, CHUNK_BYTES))
		if (region_try(want, &region))
			return region;
	return region_try(need, &region) ? region : NULL;
}

/* One of which nothing was committed: where memory is not overcommitted what describes it is
 * charged, 200 MiB for a TiB. */
static void region_drop(struct region *region)
{
	size_t at = (size_t)(region - page_heap.regions);
	void *start = (void *)region->start;
	size_t bytes = region->pages * PAGE_BYTES;

	page_heap.count--;
	memmove(&page_heap.regions[at], &page_heap.regions[at + 1],
		(page_heap.count - at) * sizeof *region);
	page_heap.reserved_bytes -= bytes;
	os_unreserve(start, bytes + region_metadata_bytes(bytes / PAGE_BYTES));
}

/* What describes so many committed pages: summaries, the page map, the index of slabs. */
static size_t metadata_pages(size_t committed)
{
	size_t bytes = region_touched_bytes(committed) + committed * sizeof(uint64_t) +
		       committed / CHUNK_PAGES * SLAB_ROWS * sizeof(uint64_t);

	return round_up(bytes, PAGE_BYTES) / PAGE_BYTES;
}

static bool region_commit(struct region *region, size_t pages)
{
	void *start = (void *)region_address(region, region->committed);
	size_t bytes = pages * PAGE_BYTES;

	/* The range first: where it is refused, the leaves of a wide one would stay for nothing. */
	if (os_commit(start, bytes) != 0 || !page_map_cover((uintptr_t)start, bytes))
		return false;
	page_heap.stats.metadata -= metadata_pages(region->committed);
	region_grow(region, pages);
	page_heap.stats.metadata += metadata_pages(region->committed);
	page_heap.stats.committed += pages;
	page_heap.stats.clean += pages;
	return true;
}

enum growth { GROWTH_DONE, GROWTH_NO_ROOM, GROWTH_REFUSED };

/* Commits what is missing for a run of so many pages at the region's end, and some more. */
static enum growth region_extend(struct region *region, size_t pages)
{
	size_t at_end = region_free_at_end(region);
	size_t room = region->pages - region->committed;
	size_t missing = round_up(pages > at_end ? pages - at_end : 1, CHUNK_PAGES);
	size_t step = round_up(page_heap.stats.committed / 8, CHUNK_PAGES);

	if (missing > room)
		return GROWTH_NO_ROOM;
	if (step > COMMIT_CHUNKS_MAX * (size_t)CHUNK_PAGES)
		step = COMMIT_CHUNKS_MAX * (size_t)CHUNK_PAGES;
	if (step > room)
		step = room;
	if (step > missing && region_commit(region, step))
		return GROWTH_DONE;
	return region_commit(region, missing) ? GROWTH_DONE : GROWTH_REFUSED;
}

static bool heap_grow(size_t pages)
{
	struct region *region;

	for (size_t i = 0; i < page_heap.count; i++) {
		enum growth growth = region_extend(&page_heap.regions[i], pages);

		if (growth != GROWTH_NO_ROOM)
			return growth == GROWTH_DONE;
	}
	region = region_new(pages);
	if (region == NULL)
		return false;
	if (region_extend(region, pages) == GROWTH_DONE)
		return true;
	region_drop(region);
	return false;
}

/* Taking ---------------------------------------------------------------- */

struct place {
	struct region *region;
	size_t page;
};

static bool heap_find(enum run_kind kind, size_t pages, size_t alignment, struct place *place)
{
	size_t slack = alignment > PAGE_BYTES ? alignment / PAGE_BYTES - 1 : 0;

	for (size_t i = 0; i < page_heap.count; i++) {
		struct region *region = &page_heap.regions[i];
		size_t page = region_find(region, kind, pages + slack);

		if (page == SIZE_MAX)
			continue;
		if (slack != 0)
			page = region_page(
				region, round_up(region_address(region, page), alignment));
		*place = (struct place){.region = region, .page = page};
		return true;
	}
	return false;
}

/* Dirty pages cost nothing, lazy ones a write that the kernel notices or even a fault. */
static bool heap_find_dirty(size_t pages, size_t alignment, struct place *place)
{
	if (page_heap.stats.lazy == 0 || alignment > PAGE_BYTES)
		return false;
	for (size_t i = 0; i < page_heap.count; i++) {
		size_t page = region_find_dirty(&page_heap.regions[i], pages);

		if (page == SIZE_MAX)
			continue;
		*place = (struct place){.region = &page_heap.regions[i], .page = page};
		return true;
	}
	return false;
}

static void count_taken(const struct page_counts *counts, size_t pages)
{
	page_heap.stats.in_use += pages;
	page_heap.stats.taken += pages;
	page_heap_peak_locked();
	page_heap.stats.dirty -= counts->dirty;
	page_heap.stats.lazy -= counts->lazy;
	page_heap.stats.clean -= counts->clean;
	page_heap.stats.refaulted += counts->clean - counts->fresh;
}

static uint64_t clean_mask_of(const struct place *place, size_t pages)
{
	uint64_t mask = 0;

	for (size_t i = 0; i < pages && i < 64; i++)
		if (region_count(place->region, place->page + i, 1).clean != 0)
			mask |= (uint64_t)1 << i;
	return mask;
}

static struct page_taken take_place(
	const struct place *place, size_t pages, const struct page_counts *counts)
{
	struct page_taken taken = {
		.start = (void *)region_address(place->region, place->page),
		.zero = counts->clean == pages,
		.cold = counts->clean,
	};

	if (counts->clean != 0)
		taken.clean_mask = taken.zero ? UINT64_MAX >> (pages < 64 ? 64 - pages : 0)
					      : clean_mask_of(place, pages);
	page_ages_taken_locked(place->region, place->page, pages, counts);
	if (place->region->once_huge) {
		huge_taken_locked(place->region, place->page, pages);
		taken.clean_mask = huge_is_in_doubt_locked(place->region)
					   ? 0
					   : huge_clean_mask_locked(
						     place->region, place->page, taken.clean_mask);
	}
	region_take(place->region, place->page, pages);
	count_taken(counts, pages);
	return taken;
}

/*
 * Lock held.  Takes a run, or says in *cold how many pages would newly become
 * resident when that is not allowed yet.
 */
static struct page_taken take_locked(size_t pages, size_t alignment, bool may_be_cold, size_t *cold)
{
	struct page_taken none = {.start = NULL};
	struct page_counts counts = {0};
	struct place place;

	*cold = 0;
	if (!heap_find_dirty(pages, alignment, &place) &&
		!heap_find(RUN_WARM, pages, alignment, &place) &&
		!heap_find(RUN_ANY, pages, alignment, &place)) {
		if (!may_be_cold) {
			*cold = huge_is_on() ? round_up(pages, CHUNK_PAGES) : pages;
			return none;
		}
		if (!heap_grow(pages + (alignment > PAGE_BYTES ? alignment / PAGE_BYTES - 1 : 0)) ||
			!heap_find(RUN_ANY, pages, alignment, &place))
			return none;
	}
	counts = region_count(place.region, place.page, pages);
	*cold = counts.clean;
	if (place.region->huge)
		*cold += huge_cold_locked(place.region, place.page, pages);
	if (counts.clean != 0 && !may_be_cold)
		return none;
	return take_place(&place, pages, &counts);
}

/* What moves there is resident soon enough. */
static void populate_behind(const struct page_taken *taken, size_t pages, size_t leaving)
{
	unsigned char *start = taken->start;

	if (pages > leaving)
		gate_populate(start + leaving * PAGE_BYTES, (pages - leaving) * PAGE_BYTES);
}

static struct page_taken take(size_t pages, size_t alignment, size_t leaving)
{
	bool may_be_cold = !gate_is_set();
	bool populate = false;
	unsigned waits = 0;

	if (pages > ((size_t)1 << (ADDRESS_BITS - 1 - PAGE_SHIFT)) ||
		alignment > ((size_t)1 << (ADDRESS_BITS - 1)))
		return (struct page_taken){.start = NULL};
	for (;;) {
		struct page_taken taken;
		size_t cold;

		lock_take(&page_heap.lock);
		taken = take_locked(pages, alignment, may_be_cold, &cold);
		lock_drop(&page_heap.lock);
		cold = cold > leaving ? cold - leaving : 0;
		if (taken.start != NULL) {
			if (populate && cold != 0)
				populate_behind(&taken, pages, leaving);
			if (cold != 0)
				growth_pay(cold);
			return taken;
		}
		if (may_be_cold && (waits++ == TRANSIT_WAITS || !transit_wait()))
			return taken;
		if (!may_be_cold && cold != 0)
			populate = gate_ask(cold * PAGE_BYTES);
		may_be_cold = true;
	}
}

struct page_taken page_heap_take(size_t pages, size_t alignment)
{
	return take(pages, alignment, 0);
}

struct page_taken page_heap_take_for(size_t pages, size_t leaving)
{
	return take(pages, PAGE_BYTES, leaving);
}

/*
 * Lock held.  Takes exactly these pages, which may lie beyond what is committed.
 * False: they are not free, or (then *cold says how many) not before the gate
 * was asked.
 */
static bool extend_locked(uintptr_t start, size_t pages, bool may_be_cold, size_t *cold)
{
	struct region *region = page_heap_region(start - 1);
	size_t page = region_page(region, start);
	size_t end = page + pages;
	size_t beyond = end > region->committed ? end - region->committed : 0;
	struct page_counts counts;

	*cold = 0;
	if (end > region->pages || beyond > pages)
		return false;
	if (pages > beyond && !region_is_free(region, page, pages - beyond))
		return false;
	*cold = beyond;
	if (pages > beyond)
		*cold += region_count(region, page, pages - beyond).clean;
	if (region->huge)
		*cold += huge_cold_locked(region, page, pages);
	if (*cold != 0 && !may_be_cold)
		return false;
	if (beyond != 0 && !region_commit(region, round_up(beyond, CHUNK_PAGES))) {
		*cold = 0;
		return false;
	}
	counts = region_count(region, page, pages);
	page_ages_taken_locked(region, page, pages, &counts);
	if (region->once_huge)
		huge_taken_locked(region, page, pages);
	region_take(region, page, pages);
	count_taken(&counts, pages);
	return true;
}

bool page_heap_extend(void *end, size_t pages, size_t *cold)
{
	bool may_be_cold = !gate_is_set();
	bool populate = false;

	for (;;) {
		bool taken;

		lock_take(&page_heap.lock);
		taken = extend_locked((uintptr_t)end, pages, may_be_cold, cold);
		lock_drop(&page_heap.lock);
		if (taken && populate && *cold != 0)
			gate_populate(end, pages * PAGE_BYTES);
		if (taken && *cold != 0)
			growth_pay(*cold);
		if (taken || *cold == 0 || may_be_cold)
			return taken;
		populate = gate_ask(*cold * PAGE_BYTES);
		may_be_cold = true;
	}
}

void page_heap_hole_made(size_t pages)
{
	lock_take(&page_heap.lock);
	page_heap.stats.in_use -= pages;
	page_heap.stats.clean += pages;
	lock_drop(&page_heap.lock);
}

void page_heap_hole_filled(size_t pages, size_t refaulted)
{
	struct page_counts counts = {.clean = pages, .fresh = pages - refaulted};

	lock_take(&page_heap.lock);
	count_taken(&counts, pages);
	lock_drop(&page_heap.lock);
}

/* Reading --------------------------------------------------------------- */

void page_heap_stats(struct page_stats *stats)
{
	lock_take(&page_heap.lock);
	*stats = page_heap.stats;
	stats->refaulted_touched = refault_touched_locked(stats->refaulted);
	lock_drop(&page_heap.lock);
}

bool page_heap_region_locked(size_t index, uintptr_t *start, size_t *pages)
{
	if (index >= page_heap.count)
		return false;
	*start = page_heap.regions[index].start;
	*pages = page_heap.regions[index].committed;
	return true;
}

const char *page_heap_check_locked(size_t hole_pages, size_t span_pages)
{
	const struct page_stats *stats = &page_heap.stats;
	struct page_counts counts = {0};
	size_t allocated = 0;
	size_t committed = 0;
	size_t huge = 0;

	for (size_t i = 0; i < page_heap.count; i++) {
		const char *wrong = region_check(&page_heap.regions[i], &counts, &allocated);

		if (wrong != NULL)
			return wrong;
		committed += page_heap.regions[i].committed;
		for (size_t at = 0; at < page_heap.regions[i].committed; at += CHUNK_PAGES)
			huge += region_chunk(&page_heap.regions[i], at)->huge;
	}
	if (page_heap.transit_dirty != 0 || page_heap.transit_lazy != 0)
		return "pages are in transit though no scavenger runs";
	if (committed != stats->committed ||
		stats->in_use + stats->dirty + stats->lazy + stats->clean != committed)
		return "the page counters do not add up";
	if (counts.dirty != stats->dirty || counts.lazy != stats->lazy)
		return "the idle counters differ from the bits";
	if (counts.clean + hole_pages != stats->clean)
		return "the clean counter differs from the bits and the holes";
	if (allocated != stats->in_use + hole_pages)
		return "the in-use counter differs from the bits and the holes";
	if (huge != stats->huge)
		return "the counter of huge chunks is wrong";
	if (span_pages > allocated)
		return "spans have more pages than are allocated";
	return NULL;
}
