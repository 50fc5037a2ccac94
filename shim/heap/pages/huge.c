/* Which chunks may be huge pages, and what follows from it. */
#include "shim/heap/pages/huge.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/base/os.h"
#include "shim/heap/pages/page_heap_state.h"

_Atomic bool huge_on;

static _Atomic uint32_t closes;

struct huge_due huge_due = {.at_ns = UINT64_MAX};

static size_t chunk_base(size_t page)
{
	return page - page % CHUNK_PAGES;
}

/* Asking for them ---------------------------------------------------------- */

static bool region_advise(const struct region *region, enum os_advice advice)
{
	struct os_range range = {
		.start = (void *)region->start, .bytes = region->pages * PAGE_BYTES};

	return os_advise(&range, 1, advice) == 0;
}

bool huge_region_grows_locked(const struct region *region, size_t pages)
{
	struct os_range range = {.start = (void *)region_address(region, region->pages),
		.bytes = pages * PAGE_BYTES};

	return !region->huge || os_advise(&range, 1, OS_HUGE) == 0;
}

void huge_region_locked(struct region *region)
{
	region->huge = huge_is_on() && region_advise(region, OS_HUGE);
	region->once_huge = region->huge;
}

/* Taking ------------------------------------------------------------------- */

/* Whether all of a chunk, which may not be committed yet, becomes resident with its first page. */
static bool becomes_huge(const struct region *region, size_t page)
{
	return page >= region->committed || region_chunk_is_void(region, page);
}

size_t huge_cold_locked(const struct region *region, size_t page, size_t pages)
{
	size_t end = page + pages;
	size_t stop = round_up(end, CHUNK_PAGES);
	size_t cold = 0;

	if (becomes_huge(region, page))
		cold += page - chunk_base(page);
	if (becomes_huge(region, end - 1))
		cold += stop - end;
	return cold;
}

void huge_soil_locked(struct region *region, size_t page, size_t pages)
{
	struct page_counts counts = region_soil(region, page, pages);

	page_heap.stats.clean -= counts.clean;
	page_heap.stats.lazy -= counts.lazy;
	page_heap.stats.dirty += counts.clean + counts.lazy;
}

void huge_taken_locked(struct region *region, size_t page, size_t pages)
{
	uint64_t now_ns = os_now_coarse_ns();
	size_t end = page + pages;

	for (size_t base = chunk_base(page); base < end; base += CHUNK_PAGES) {
		struct chunk *chunk = region_chunk(region, base);
		size_t stop = base + CHUNK_PAGES;

		if (region->huge && region_chunk_is_void(region, base)) {
			chunk->small_seen = 0;
			chunk->parts = 0;
			for (size_t i = 0; i < CHUNK_WORDS; i++)
				chunk->idle_since_ns[i] = now_ns;
			region_set_huge(region, base, true);
			page_heap.stats.huge++;
		}
		if (chunk->huge == 0)
			continue;
		/* One write, and the kernel takes nothing of what was lazy. */
		if (page > base)
			huge_soil_locked(region, base, page - base);
		if (end < stop)
			huge_soil_locked(region, end, stop - end);
	}
}

uint64_t huge_clean_mask_locked(const struct region *region, size_t page, uint64_t clean_mask)
{
	for (uint64_t rest = clean_mask; rest != 0; rest &= rest - 1)
		if (region_chunk(region, page + bits_lowest(rest))->huge != 0)
			clean_mask &= ~(rest & -rest);
	return clean_mask;
}

/* Giving back --------------------------------------------------------------- */

void huge_due_within(uint64_t now_ns, uint64_t pause_ns)
{
	if (atomic_load_explicit(&huge_due.at_ns, memory_order_relaxed) > now_ns + pause_ns)
		atomic_store_explicit(&huge_due.at_ns, now_ns + pause_ns, memory_order_relaxed);
}

static void break_locked(struct region *region, size_t page)
{
	region_set_huge(region, page, false);
	page_heap.stats.huge--;
	page_heap.stats.huge_broken++;
	atomic_store_explicit(&huge_due.pause_ns, HUGE_PAUSE_FIRST_NS, memory_order_relaxed);
	huge_due_within(os_now_ns(), HUGE_PAUSE_FIRST_NS);
}

void huge_gone_locked(struct region *region, size_t page, size_t pages)
{
	size_t end = page + pages;

	for (size_t base = chunk_base(page); base < end; base += CHUNK_PAGES) {
		struct chunk *chunk = region_chunk(region, base);

		chunk->parts = page > base || end < base + CHUNK_PAGES;
		if (chunk->huge != 0 && chunk->parts != 0) {
			break_locked(region, base);
		} else if (chunk->huge != 0) {
			region_set_huge(region, base, false);
			page_heap.stats.huge--;
		}
	}
}

bool huge_break(uintptr_t start, size_t pages, size_t idle, enum huge_break breaks)
{
	bool may = breaks == HUGE_BREAK ||
		   (breaks == HUGE_BREAK_SPARSE && huge_is_sparse(idle, pages));
	struct region *region;
	size_t ends[2];
	bool is_huge = false;

	lock_take(&page_heap.lock);
	region = page_heap_region(start);
	ends[0] = region_page(region, start);
	ends[1] = ends[0] + pages - 1;
	for (size_t i = 0; i < 2; i++) {
		if (region_chunk(region, ends[i])->huge == 0)
			continue;
		is_huge = true;
		if (may)
			break_locked(region, ends[i]);
	}
	lock_drop(&page_heap.lock);
	return may || !is_huge;
}

/* Closing ------------------------------------------------------------------- */

bool huge_is_in_doubt_locked(const struct region *region)
{
	return region->huge || region->looked < region->look_end;
}

void huge_look_again_locked(struct region *region)
{
	region->looked = 0;
	region->look_end = region->committed;
	huge_due_within(os_now_ns(), HUGE_PAUSE_FIRST_NS);
}

uint32_t huge_closes(void)
{
	return atomic_load(&closes);
}

void huge_gave_back(uint32_t closes_before)
{
	if (huge_closes() == closes_before)
		return;
	lock_take(&page_heap.lock);
	for (size_t i = 0; i < page_heap.count; i++)
		if (page_heap.regions[i].once_huge && !page_heap.regions[i].huge)
			huge_look_again_locked(&page_heap.regions[i]);
	lock_drop_kindly(&page_heap.lock);
}

void huge_close(uintptr_t start)
{
	struct region *region;
	struct region advised;

	lock_take(&page_heap.lock);
	advised = *page_heap_region(start);
	lock_drop_kindly(&page_heap.lock);
	if (!region_advise(&advised, OS_SMALL))
		return;
	lock_take(&page_heap.lock);
	region = page_heap_region(start);
	region->huge = false;
	huge_look_again_locked(region);
	atomic_fetch_add(&closes, 1);
	lock_drop_kindly(&page_heap.lock);
}
