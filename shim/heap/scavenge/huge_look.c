/* Looks for what khugepaged filled, and begins with huge pages. */
#include "shim/heap/scavenge/huge_look.h"

#include "shim/heap/base/os.h"
#include "shim/heap/base/transit.h"
#include "shim/heap/pages/huge.h"
#include "shim/heap/pages/page_heap_state.h"
#include "shim/heap/slabs/holes.h"

#include <limits.h>

/* Chunks that are looked into at once, and of which it is seen at once that there is no need; of
 * these, so many while the lock is held. */
#define LOOKS_MAX 64U
#define STEPS_MAX 4096U
#define STEPS_AT_ONCE 256U

/* From one look to the next at most. */
#define PAUSE_LAST_NS (8 * HUGE_PAUSE_FIRST_NS)

static struct {
	_Atomic bool busy;
	uintptr_t at; /* where to go on */
} look;

/* Looking ------------------------------------------------------------------- */

/* Whether a chunk's clean pages and holes may be resident: not if it has none, nor if all of it
 * went at once. */
static bool is_doubtful(const struct region *region, size_t page)
{
	const struct chunk *chunk = region_chunk(region, page);

	return chunk->huge == 0 && (chunk->parts != 0 || !region_chunk_is_void(region, page));
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
		huge_look_again_locked(region);
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
		huge_close(start);
	return filled != 0;
}

/* Soon where some chunks are left or something was found. */
static uint64_t pause_next(bool soon)
{
	uint64_t pause_ns = atomic_load_explicit(&huge_due.pause_ns, memory_order_relaxed);

	if (soon || pause_ns == 0)
		pause_ns = HUGE_PAUSE_FIRST_NS;
	atomic_store_explicit(&huge_due.pause_ns,
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
	atomic_store_explicit(&huge_due.at_ns, last_ns, memory_order_relaxed);
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
		huge_due_within(now_ns, pause_next(filled || !all));
	else
		atomic_compare_exchange_strong(&huge_due.at_ns, &last_ns, UINT64_MAX);
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
	uint64_t due_ns = atomic_load_explicit(&huge_due.at_ns, memory_order_relaxed);

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
	huge_soil_locked(region, page, CHUNK_PAGES);
	region_set_huge(region, page, true);
	page_heap.stats.huge++;
	lock_drop(&page_heap.lock);
}

void huge_use(bool use)
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
