#include "shim/heap/huge.h"

#include "shim/heap/bits.h"
#include "shim/heap/heap.h"
#include "shim/heap/holes.h"
#include "shim/heap/os.h"
#include "shim/heap/page_heap_state.h"
#include "shim/heap/transit.h"

#include <limits.h>

/* Chunks that are looked into at once, and of which it is seen at once that there is no need; of
 * these, so many while the lock is held. */
#define LOOKS_MAX 64U
#define STEPS_MAX 4096U
#define STEPS_AT_ONCE 256U

/* From one look to the next: soon after a chunk was broken, then ever later. */
#define PAUSE_FIRST_NS ((uint64_t)1000000000)
#define PAUSE_LAST_NS (8 * PAUSE_FIRST_NS)

_Atomic bool huge_on;

static struct {
	_Atomic bool busy;
	_Atomic uint64_t due_ns; /* UINT64_MAX: nothing to look for */
	_Atomic uint64_t pause_ns;
	uintptr_t at; /* where to go on */
} look = {.due_ns = UINT64_MAX};

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

static void soil_locked(struct region *region, size_t page, size_t pages)
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
			for (size_t i = 0; i < CHUNK_WORDS; i++)
				chunk->idle_since_ns[i] = now_ns;
			region_set_huge(region, base, true);
			page_heap.stats.huge++;
		}
		if (chunk->huge == 0)
			continue;
		/* One write, and the kernel takes nothing of what was lazy. */
		if (page > base)
			soil_locked(region, base, page - base);
		if (end < stop)
			soil_locked(region, end, stop - end);
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

/* Not exact where two do it at once: then the later one stands. */
static void look_at_most_in(uint64_t now_ns, uint64_t pause_ns)
{
	if (atomic_load_explicit(&look.due_ns, memory_order_relaxed) > now_ns + pause_ns)
		atomic_store_explicit(&look.due_ns, now_ns + pause_ns, memory_order_relaxed);
}

static void break_locked(struct region *region, size_t page)
{
	region_set_huge(region, page, false);
	page_heap.stats.huge--;
	page_heap.stats.huge_broken++;
	atomic_store_explicit(&look.pause_ns, PAUSE_FIRST_NS, memory_order_relaxed);
	look_at_most_in(os_now_ns(), PAUSE_FIRST_NS);
}

void huge_gone_locked(struct region *region, size_t page, size_t pages)
{
	size_t end = page + pages;

	for (size_t base = chunk_base(page); base < end; base += CHUNK_PAGES) {
		struct chunk *chunk = region_chunk(region, base);

		if (chunk->huge == 0)
			continue;
		if (page > base || end < base + CHUNK_PAGES) {
			break_locked(region, base);
		} else {
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

/* Looking ------------------------------------------------------------------- */

/* Whether a region is looked at, and one more of its chunks. */
static bool is_watched(struct region *region)
{
	if (!region->once_huge)
		return false;
	if (region->huge)
		return true;
	if (region->looks_left == 0)
		return false;
	region->looks_left--;
	return true;
}

/* Lock held.  The next chunk at or behind look.at that something was given back of while a part
 * lives; false: none up to the end, where look.at is 0, or not up to so many steps. */
static bool next_chunk_locked(uintptr_t *start, unsigned *steps, unsigned most)
{
	for (size_t i = 0; i < page_heap.count; i++) {
		struct region *region = &page_heap.regions[i];
		size_t page = look.at > region->start ? region_page(region, look.at) : 0;

		for (; page < region->committed && *steps < most; page += CHUNK_PAGES) {
			if (!is_watched(region))
				break;
			++*steps;
			if (region_chunk(region, page)->huge != 0 ||
				region_chunk_is_free(region, page))
				continue;
			*start = region_address(region, page);
			look.at = *start + CHUNK_BYTES;
			return true;
		}
		if (*steps == most) {
			look.at = region_address(region, page);
			return false;
		}
	}
	look.at = 0;
	return false;
}

/* The same, without the lock; *steps: all in all. */
static bool next_chunk(uintptr_t *start, unsigned *steps, unsigned most)
{
	bool found;

	do {
		unsigned upto = *steps + STEPS_AT_ONCE < most ? *steps + STEPS_AT_ONCE : most;

		lock_take(&page_heap.lock);
		found = next_chunk_locked(start, steps, upto);
		lock_drop_kindly(&page_heap.lock);
	} while (!found && look.at != 0 && *steps < most);
	return found;
}

/* Lock held.  The first clean pages of a chunk, within a word; 0: none. */
static size_t first_clean_locked(const struct region *region, size_t base, size_t *page)
{
	const struct chunk *chunk = region_chunk(region, base);

	for (size_t i = 0; i < CHUNK_WORDS; i++) {
		uint64_t clean = ~chunk->allocated[i] & chunk->clean[i];

		if (clean == 0)
			continue;
		*page = base + i * 64 + bits_lowest(clean);
		clean >>= bits_lowest(clean);
		return clean == UINT64_MAX ? 64 : bits_lowest(~clean);
	}
	return 0;
}

/* In transit nobody may touch them, so what is resident is not by our doing. */
static bool clean_pages_are_resident(uintptr_t start, bool *any)
{
	struct region *region;
	uintptr_t address = 0;
	size_t pages;
	size_t page;
	bool resident;

	lock_take(&page_heap.lock);
	region = page_heap_region(start);
	pages = first_clean_locked(region, region_page(region, start), &page);
	*any = pages != 0;
	if (pages != 0) {
		address = region_address(region, page);
		region_hold(region, page, pages);
	}
	lock_drop_kindly(&page_heap.lock);
	if (pages == 0)
		return false;
	resident = os_resident_bytes((void *)address, pages * PAGE_BYTES) == pages * PAGE_BYTES;
	lock_take(&page_heap.lock);
	region = page_heap_region(address);
	region_release(region, region_page(region, address), pages, REGION_AS_BEFORE);
	lock_drop_kindly(&page_heap.lock);
	return resident;
}

/* All of a chunk is resident: its clean pages are dirty, its holes are free slots. */
static void chunk_filled(uintptr_t start)
{
	struct region *region;

	holes_fill_chunk(start);
	lock_take(&page_heap.lock);
	region = page_heap_region(start);
	soil_locked(region, region_page(region, start), CHUNK_PAGES);
	lock_drop_kindly(&page_heap.lock);
}

/* A chunk was filled: no more huge pages in its region, if that was khugepaged. */
static void region_close(uintptr_t start)
{
	struct region *region;
	struct region advised;
	struct chunk *chunk;
	bool closes;

	lock_take(&page_heap.lock);
	page_heap.stats.huge_filled++;
	region = page_heap_region(start);
	chunk = region_chunk(region, region_page(region, start));
	closes = region->huge && chunk->small_seen != 0;
	chunk->small_seen = 1;
	advised = *region;
	if (closes) {
		region->huge = false;
		region->looks_left = region->committed / CHUNK_PAGES;
	}
	lock_drop_kindly(&page_heap.lock);
	if (closes)
		region_advise(&advised, OS_SMALL);
}

/* A chunk was not filled; is any of it resident, only khugepaged will. */
static void chunk_see(uintptr_t start)
{
	struct region *region;

	if (os_resident_bytes((void *)start, CHUNK_BYTES) == 0)
		return;
	lock_take(&page_heap.lock);
	region = page_heap_region(start);
	region_chunk(region, region_page(region, start))->small_seen = 1;
	lock_drop_kindly(&page_heap.lock);
}

/* False: a fork is about to happen. */
static bool look_at_chunk(uintptr_t start, bool *filled)
{
	bool any;
	bool resident;

	if (!transit_begin())
		return false;
	resident = clean_pages_are_resident(start, &any);
	if (!any)
		resident = holes_are_resident(start, &any);
	if (resident)
		region_close(start);
	else if (any)
		chunk_see(start);
	transit_end();
	if (resident)
		chunk_filled(start);
	*filled |= resident;
	return true;
}

/* Soon where some chunks are left or something was found. */
static uint64_t pause_next(bool soon)
{
	uint64_t pause_ns = atomic_load_explicit(&look.pause_ns, memory_order_relaxed);

	if (soon || pause_ns == 0)
		pause_ns = PAUSE_FIRST_NS;
	atomic_store_explicit(&look.pause_ns,
		pause_ns < PAUSE_LAST_NS / 2 ? pause_ns * 2 : PAUSE_LAST_NS, memory_order_relaxed);
	return pause_ns;
}

static void look_around(uint64_t now_ns)
{
	uint64_t last_ns = now_ns + PAUSE_LAST_NS;
	bool from_start = look.at == 0;
	unsigned steps = 0;
	unsigned looks = 0;
	bool filled = false;

	/* Who breaks a chunk meanwhile says when. */
	atomic_store_explicit(&look.due_ns, last_ns, memory_order_relaxed);
	while (looks < LOOKS_MAX) {
		uintptr_t start;

		if (!next_chunk(&start, &steps, STEPS_MAX))
			break;
		looks++;
		if (!look_at_chunk(start, &filled))
			break;
	}
	if (looks != 0 || look.at != 0 || !from_start)
		look_at_most_in(now_ns, pause_next(filled || look.at != 0));
	else
		atomic_compare_exchange_strong(&look.due_ns, &last_ns, UINT64_MAX);
}

void huge_look(uint64_t now_ns)
{
	if (huge_pause_ns(now_ns) != 0 ||
		atomic_exchange_explicit(&look.busy, true, memory_order_acquire))
		return;
	look_around(now_ns);
	atomic_store_explicit(&look.busy, false, memory_order_release);
}

uint64_t huge_pause_ns(uint64_t now_ns)
{
	uint64_t due_ns = atomic_load_explicit(&look.due_ns, memory_order_relaxed);

	/* Behind a filter mincore may not be called, and all would seem to be resident. */
	if (!huge_is_on() || due_ns == UINT64_MAX || os_is_sandboxed())
		return UINT64_MAX;
	return due_ns > now_ns ? due_ns - now_ns : 0;
}

void huge_after_fork(void)
{
	atomic_store_explicit(&look.busy, false, memory_order_relaxed);
}

/* Beginning ------------------------------------------------------------------ */

/* What was there before: khugepaged may make a huge page of it, which is all right. */
static void chunk_begin(uintptr_t start)
{
	struct region *region;

	chunk_filled(start);
	lock_take(&page_heap.lock);
	region = page_heap_region(start);
	region_set_huge(region, region_page(region, start), true);
	page_heap.stats.huge++;
	lock_drop(&page_heap.lock);
}

void heap_use_huge_pages(bool use)
{
	uintptr_t start;
	unsigned steps = 0;

	if (!use || huge_is_on() || !os_has_huge_pages())
		return;
	lock_take(&page_heap.lock);
	atomic_store_explicit(&huge_on, true, memory_order_relaxed);
	for (size_t i = 0; i < page_heap.count; i++)
		huge_region_locked(&page_heap.regions[i]);
	lock_drop(&page_heap.lock);
	while (next_chunk(&start, &steps, UINT_MAX))
		chunk_begin(start);
	look.at = 0;
}
