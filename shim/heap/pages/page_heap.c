/* Takes runs of pages out of the regions. */
#include "shim/heap/pages/page_heap.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/base/gate.h"
#include "shim/heap/base/os.h"
#include "shim/heap/base/transit.h"
#include "shim/heap/pages/grown.h"
#include "shim/heap/pages/huge.h"
#include "shim/heap/pages/page_ages.h"
#include "shim/heap/pages/page_heap_state.h"
#include "shim/heap/pages/page_reserve.h"
#include "shim/heap/pages/refault.h"

/* How often a take that found nothing waits for pages that are in transit. */
#define TRANSIT_WAITS 8U

struct page_heap page_heap;

void page_heap_locks(void (*visit)(struct lock *lock))
{
	visit(&page_heap.lock);
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

/* Counts the run as one that is being committed, if it must be. */
static bool is_away_locked(const struct region *region, size_t page, size_t pages)
{
	bool away = page_reserve_is_away_locked(region, page, pages);

	page_heap.backing += away;
	return away;
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
	page_reserve_mapped_locked(place->region, place->page, pages);
	count_taken(counts, pages);
	taken.away = is_away_locked(place->region, place->page, pages);
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
		if (!page_reserve_grow_locked(
			    pages + (alignment > PAGE_BYTES ? alignment / PAGE_BYTES - 1 : 0)) ||
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
static void populate_behind(struct page_taken *taken, size_t pages, size_t leaving)
{
	unsigned char *start = taken->start;

	if (pages > leaving &&
		gate_populate(start + leaving * PAGE_BYTES, (pages - leaving) * PAGE_BYTES))
		taken->clean_mask &= bits_mask(0, leaving < 64 ? leaving : 64);
}

/* Commits a run that was taken.  One that is refused goes back clean, so that nobody takes it for
 * idle memory, or for the cheapest to take. */
static bool back(const struct page_taken *taken, size_t pages)
{
	struct os_range range = {.start = taken->start, .bytes = pages * PAGE_BYTES};

	if (!taken->away || page_reserve_back(taken->start, pages))
		return true;
	if (taken->zero || os_advise(&range, 1, OS_DONTNEED) == 0)
		page_heap_put_clean(taken->start, pages, taken->zero);
	else
		page_heap_put(taken->start, pages, 0);
	return false;
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
		if (!back(&taken, pages))
			return (struct page_taken){.start = NULL};
		if (taken.start != NULL) {
			if (populate && cold != 0)
				populate_behind(&taken, pages, leaving);
			grown_note(cold);
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
static bool extend_locked(
	uintptr_t start, size_t pages, bool may_be_cold, size_t *cold, struct page_taken *taken)
{
	struct region *region = page_heap_region(start - 1);
	size_t page = region_page(region, start);
	size_t end = page + pages;
	size_t beyond = end > region->committed ? end - region->committed : 0;
	struct page_counts counts;

	*cold = 0;
	if (end > region->capacity || beyond > pages)
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
	if (beyond != 0 && !page_reserve_extend_locked(region, round_up(beyond, CHUNK_PAGES))) {
		*cold = 0;
		return false;
	}
	counts = region_count(region, page, pages);
	page_ages_taken_locked(region, page, pages, &counts);
	if (region->once_huge)
		huge_taken_locked(region, page, pages);
	region_take(region, page, pages);
	count_taken(&counts, pages);
	*taken = (struct page_taken){
		.start = (void *)start,
		.zero = counts.clean == pages,
		.away = is_away_locked(region, page, pages),
	};
	return true;
}

bool page_heap_extend(void *end, size_t pages, size_t *cold)
{
	bool may_be_cold = !gate_is_set();
	bool populate = false;

	for (;;) {
		struct page_taken run = {.start = NULL};
		bool taken;

		lock_take(&page_heap.lock);
		taken = extend_locked((uintptr_t)end, pages, may_be_cold, cold, &run);
		lock_drop(&page_heap.lock);
		if (!back(&run, pages)) {
			*cold = 0;
			return false;
		}
		if (taken && populate && *cold != 0)
			gate_populate(end, pages * PAGE_BYTES);
		if (taken)
			grown_note(*cold);
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
		for (size_t at = 0; at < page_heap.regions[i].committed; at += CHUNK_PAGES) {
			huge += region_chunk(&page_heap.regions[i], at)->huge;
			if (region_chunk(&page_heap.regions[i], at)->away != 0 &&
				page_heap.backing == 0 &&
				!region_chunk_is_free(&page_heap.regions[i], at))
				return "a chunk that was decommitted is in use";
		}
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
