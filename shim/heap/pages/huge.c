#include "shim/heap/pages/huge.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/base/os.h"
#include "shim/heap/base/transit.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/pages/page_heap_state.h"
#include "shim/heap/slabs/holes.h"

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

static _Atomic uint32_t closes;

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

/* Looking ------------------------------------------------------------------- */

/* Whether a chunk's clean pages and holes may be resident: not if it has none, nor if all of it
 * went at once. */
static bool is_doubtful(const struct region *region, size_t page)
{
	const struct chunk *chunk = region_chunk(region, page);

	return chunk->huge == 0 && (chunk->parts != 0 || !region_chunk_is_void(region, page));
}

bool huge_is_in_doubt_locked(const struct region *region)
{
	return region->huge || region->looked < region->look_end;
}

/* Lock held.  From where to where a region is looked at now: an open one behind the last look. */
static size_t look_range(const struct region *region, size_t *end)
{
	*end = region->huge ? region->committed : region->look_end;
	if (!region->huge)
		return region->looked;
	return look.at > region->start ? region_page(region, look.at) : 0;
}

/* Lock held.  All of a region up to here was looked at. */
static void looked_to(struct region *region, size_t page)
{
	if (region->huge)
		look.at = region_address(region, page);
	else
		region->looked = page;
}

/* Lock held.  The next chunk that is to be looked at; false: none up to the end (*all), or not in
 * so many steps. */
static bool next_chunk_locked(uintptr_t *start, unsigned *steps, unsigned most, bool *all)
{
	*all = false;
	for (size_t i = 0; i < page_heap.count; i++) {
		struct region *region = &page_heap.regions[i];
		size_t end;
		size_t page = look_range(region, &end);

		for (; page < end; page += CHUNK_PAGES) {
			if (*steps == most) {
				looked_to(region, page);
				return false;
			}
			++*steps;
			if (!is_doubtful(region, page))
				continue;
			/* Unless something of it is found. */
			if (region_chunk_is_void(region, page))
				region_chunk(region, page)->parts = 0;
			*start = region_address(region, page);
			looked_to(region, page + CHUNK_PAGES);
			return true;
		}
		if (!region->huge)
			region->looked = region->look_end;
	}
	look.at = 0;
	*all = true;
	return false;
}

/* The same, without the lock; *steps: all in all. */
static bool next_chunk(uintptr_t *start, unsigned *steps, unsigned most, bool *all)
{
	bool found;

	do {
		unsigned upto = *steps + STEPS_AT_ONCE < most ? *steps + STEPS_AT_ONCE : most;

		lock_take(&page_heap.lock);
		found = next_chunk_locked(start, steps, upto, all);
		lock_drop_kindly(&page_heap.lock);
	} while (!found && !*all && *steps < most);
	return found;
}

/* Pages of a chunk that seemed to be resident: the clean ones among them that are become dirty; how
 * many.  In transit nobody may touch them, so that what is resident is not by our doing. */
static size_t soil_resident(uintptr_t start, const uint64_t *seem_resident)
{
	uint64_t resident[CHUNK_WORDS];
	uint64_t held[CHUNK_WORDS];
	struct region *region;
	size_t dirty;
	bool any;

	for (size_t i = 0; i < CHUNK_WORDS; i++)
		held[i] = seem_resident[i];
	lock_take(&page_heap.lock);
	region = page_heap_region(start);
	any = region_hold_clean(region, region_page(region, start), held) != 0;
	lock_drop_kindly(&page_heap.lock);
	if (!any)
		return 0;
	os_resident_pages((void *)start, CHUNK_PAGES, resident);
	lock_take(&page_heap.lock);
	region = page_heap_region(start);
	dirty = region_release_clean(region, region_page(region, start), held, resident);
	page_heap.stats.clean -= dirty;
	page_heap.stats.dirty += dirty;
	lock_drop_kindly(&page_heap.lock);
	return dirty;
}

/* Lock held.  All of a region is looked at once more from now on. */
static void look_again_locked(struct region *region)
{
	region->looked = 0;
	region->look_end = region->committed;
	look_at_most_in(os_now_ns(), PAUSE_FIRST_NS);
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
			look_again_locked(&page_heap.regions[i]);
	lock_drop_kindly(&page_heap.lock);
}

/* No more huge pages in the region of a chunk.  What is taken until the kernel knows is still said
 * to be huge. */
static void region_close(uintptr_t start)
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
	look_again_locked(region);
	atomic_fetch_add(&closes, 1);
	lock_drop_kindly(&page_heap.lock);
}

/* Something of a chunk is resident: nobody but khugepaged fills it from now on.  Whether it did so.
 */
static bool chunk_see(uintptr_t start, bool filled, bool busy)
{
	struct region *region;
	struct chunk *chunk;
	bool by_khugepaged;

	lock_take(&page_heap.lock);
	region = page_heap_region(start);
	chunk = region_chunk(region, region_page(region, start));
	by_khugepaged = filled && chunk->small_seen != 0;
	chunk->small_seen = 1;
	chunk->parts = 1;
	page_heap.stats.huge_filled += filled;
	if (busy && !region->huge)
		look_again_locked(region);
	lock_drop_kindly(&page_heap.lock);
	return by_khugepaged;
}

/* In transit.  Whether pages of it were filled that had been given back. */
static bool look_at_chunk(uintptr_t start)
{
	uint64_t resident[CHUNK_WORDS];
	bool busy = false;
	size_t filled;

	if (os_resident_pages((void *)start, CHUNK_PAGES, resident) == 0)
		return false;
	filled = soil_resident(start, resident);
	filled += holes_fill_resident(start, resident, &busy);
	if (chunk_see(start, filled != 0, busy))
		region_close(start);
	return filled != 0;
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
	bool found = true;
	bool all = false;

	/* Who breaks a chunk meanwhile says when. */
	atomic_store_explicit(&look.due_ns, last_ns, memory_order_relaxed);
	/* What is taken from the list before a fork would not be looked at. */
	while (looks < LOOKS_MAX && found && transit_begin()) {
		uintptr_t start;

		found = next_chunk(&start, &steps, STEPS_MAX, &all);
		if (found) {
			looks++;
			filled |= look_at_chunk(start);
		}
		transit_end();
	}
	if (looks != 0 || !all || !from_start)
		look_at_most_in(now_ns, pause_next(filled || !all));
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

	if (!huge_is_on() || due_ns == UINT64_MAX || !os_tells_resident())
		return UINT64_MAX;
	return due_ns > now_ns ? due_ns - now_ns : 0;
}

void huge_after_fork(void)
{
	atomic_store_explicit(&look.busy, false, memory_order_relaxed);
}

/* Beginning ------------------------------------------------------------------ */

/* All of a chunk that was there before is said to be resident: khugepaged may make a huge page of
 * it, which is all right. */
static void chunk_begin(uintptr_t start)
{
	struct region *region;
	size_t page;

	holes_fill_chunk(start);
	lock_take(&page_heap.lock);
	region = page_heap_region(start);
	page = region_page(region, start);
	soil_locked(region, page, CHUNK_PAGES);
	region_set_huge(region, page, true);
	page_heap.stats.huge++;
	lock_drop(&page_heap.lock);
}

void heap_use_huge_pages(bool use)
{
	uintptr_t start;
	unsigned steps = 0;
	bool all;

	if (!use || huge_is_on() || !os_has_huge_pages())
		return;
	lock_take(&page_heap.lock);
	atomic_store_explicit(&huge_on, true, memory_order_relaxed);
	for (size_t i = 0; i < page_heap.count; i++)
		huge_region_locked(&page_heap.regions[i]);
	lock_drop(&page_heap.lock);
	while (next_chunk(&start, &steps, UINT_MAX, &all))
		chunk_begin(start);
	look.at = 0;
}
