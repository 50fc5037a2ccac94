/* Gives back free pages inside part-used slabs. */
#include "shim/heap/slabs/holes.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/base/os.h"
#include "shim/heap/base/transit.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/pages/page_map.h"
#include "shim/heap/slabs/central_class.h"

/* Holes of several slabs, class after class, on their way to the kernel. */
struct hole_batch {
	struct os_range ranges[OS_RANGES_MAX];
	struct span *spans[OS_RANGES_MAX];
	size_t range_count;
	size_t span_count;
	size_t pages; /* in the ranges */
	size_t room;  /* pages that may still be advised */
	uint32_t now_ms;
	uint32_t idle_before_ms;
	const struct hole_wants *wants;
};

/* So many slabs are looked at before the class's lock is dropped, and so many that are still in use
 * before the class is left for a later pass. */
#define LOOKS_MAX 64U
#define YOUNG_MAX 96U

/* Binary ones, which wrap around. */
static uint32_t ms_of(uint64_t ns)
{
	return (uint32_t)(ns >> 20);
}

/* Pages of whole kernel pages only. */
static uint64_t whole_kernel_pages(const struct span *span, uint64_t pages)
{
	size_t grain = os_page_bytes() / PAGE_BYTES;
	size_t first = (span->start >> PAGE_SHIFT) % grain;
	uint64_t whole = 0;

	if (grain == 1)
		return pages;
	for (size_t page = (grain - first) % grain; page + grain <= 64; page += grain) {
		uint64_t mask = bits_mask(page, page + grain);

		if ((pages & mask) == mask)
			whole |= mask;
	}
	return whole;
}

/* Lock held.  Adds the ranges of a slab; what finds no room is left alone.  False: no room. */
static bool batch_add(struct hole_batch *batch, struct span *span, uint64_t pages)
{
	size_t page = 0;
	uint64_t added = 0;

	while (page < 64 && (pages & bits_mask(page, 64)) != 0 && batch->room != 0 &&
		batch->range_count < OS_RANGES_MAX) {
		size_t first = bits_next(&pages, page, 64, true);
		size_t end = bits_next(&pages, first, 64, false);

		if (end - first > batch->room)
			end = first + batch->room;
		batch->room -= end - first;
		batch->pages += end - first;
		batch->ranges[batch->range_count++] = (struct os_range){
			.start = (void *)(span->start + first * PAGE_BYTES),
			.bytes = (end - first) * PAGE_BYTES,
		};
		added |= bits_mask(first, end);
		page = end;
	}
	if (added == 0)
		return pages == 0;
	span->advising = added;
	span_make_holes(span, added);
	batch->spans[batch->span_count++] = span;
	return (pages & ~added) == 0;
}

/* Lock held.  Whether a slab is left alone for the sake of its huge page. */
static bool is_kept_huge(const struct span *span, enum huge_break breaks)
{
	unsigned idle;

	if (!huge_is_on() || span->used == 0)
		return false;
	idle = bits_count(span_idle_pages(span));
	return idle != 0 &&
	       !huge_break(span->start, size_classes[span->size_class].pages, idle, breaks);
}

/* Lock held.  Whether slots were handed out of a slab lately. */
static bool is_in_use(const struct hole_batch *batch, const struct span *span)
{
	return span->used_ns > batch->wants->idle_before_ns;
}

static bool is_on_trial(const struct hole_batch *batch, const struct span *span)
{
	return span->trial != 0 && (int32_t)(batch->idle_before_ms - span->trial_ms) < 0;
}

/* Lock held.  One slab's pages that idled for long enough become holes, the other idle ones go on
 * trial; false: the batch is full. */
static bool batch_slab(struct central *central, struct hole_batch *batch, struct span *span)
{
	uint64_t idle = whole_kernel_pages(span, span_idle_pages(span));
	uint64_t due = is_in_use(batch, span) ? idle & span->trial : idle;
	uint64_t untouched = span_untouched(span, due);
	uint64_t before = span->hole;
	unsigned ready = span->ready_slots;
	bool all;

	span_make_holes(span, untouched);
	all = batch_add(batch, span, due & ~untouched);
	page_heap_hole_made(bits_count(span->hole & ~before));
	central_count(&central->ready_slots, (int64_t)span->ready_slots - (int64_t)ready);
	central_place(span, ready != 0);
	if (all) {
		span->trial = idle & ~due;
		span->trial_ms = batch->now_ms;
	}
	return all;
}

static bool is_full(const struct hole_batch *batch)
{
	return batch->range_count == OS_RANGES_MAX || batch->room == 0;
}

/* Lock held.  Fills the batch from the candidates, until *young of the class are left alone.  True:
 * there is more to look at.  Those that have nothing due yet, or that another scavenger is at, stay
 * candidates, behind those that were not looked at.
 */
static bool batch_fill(
	struct central *central, struct hole_batch *batch, unsigned *young, struct leaving *leaving)
{
	struct span *young_last = NULL;
	struct span *next = central->candidates;
	unsigned looks = 0;
	bool more = false;

	while (next != NULL && *young < YOUNG_MAX && !more) {
		struct span *span = next;

		next = span->candidate_next;
		if (looks++ == LOOKS_MAX || is_full(batch)) {
			more = true;
		} else if (span->advising != 0 ||
			   (is_in_use(batch, span) &&
				   (span->used == 0 || is_on_trial(batch, span))) ||
			   is_kept_huge(span, batch->wants->breaks)) {
			++*young;
			young_last = span;
		} else if (span->used == 0) {
			central_not_empty(central, span);
			central_leave(central, span, leaving);
		} else {
			more = !batch_slab(central, batch, span);
			if (more || span->trial != 0) {
				++*young;
				young_last = span;
			} else {
				central_candidate_remove(central, span);
			}
		}
	}
	central_candidates_rotate(central, young_last);
	return more;
}

/* The holes of a batch are made, or filled again. */
static void batch_end(const struct hole_batch *batch, bool advised, struct leaving *leaving)
{
	for (size_t i = 0; i < batch->span_count; i++) {
		struct span *span = batch->spans[i];
		struct central *central = &centrals[span->size_class];
		uint64_t pages = span->advising;

		if (i == 0 || span->size_class != batch->spans[i - 1]->size_class)
			lock_take(&central->lock);
		span->advising = 0;
		if (!advised)
			central_fill(central, span, pages, 0);
		if (span->used == 0)
			central_became_empty(central, span, leaving);
		if (i + 1 == batch->span_count ||
			span->size_class != batch->spans[i + 1]->size_class)
			lock_drop_kindly(&central->lock);
	}
}

/* Fills the batch from the classes, from *size_class on, which goes behind those that are done. */
static void batch_gather(struct hole_batch *batch, unsigned *size_class, struct leaving *leaving)
{
	unsigned young = 0;

	while (*size_class <= SIZE_CLASSES) {
		struct central *central = &centrals[*size_class];
		bool more;

		lock_take(&central->lock);
		more = batch_fill(central, batch, &young, leaving);
		lock_drop_kindly(&central->lock);
		if (more && is_full(batch))
			return;
		if (!more) {
			++*size_class;
			young = 0;
		}
	}
}

bool holes_make(int (*advise)(void *with, const struct os_range *ranges, size_t count), void *with,
	const struct hole_wants *wants, uint64_t *clean_bytes)
{
	size_t room = (size_t)(wants->max_bytes / PAGE_BYTES);
	size_t most = wants->asked ? TRANSIT_PAGES_ASKED : TRANSIT_PAGES_MAX;
	unsigned size_class = 1;

	while (size_class <= SIZE_CLASSES) {
		struct hole_batch batch = {
			.room = room < most ? room : most,
			.now_ms = ms_of(os_now_ns()),
			.idle_before_ms = ms_of(wants->idle_before_ns),
			.wants = wants,
		};
		struct leaving leaving = {NULL};
		uint32_t closes = huge_closes();
		bool done = true;

		if (!transit_begin())
			return false;
		batch_gather(&batch, &size_class, &leaving);
		if (batch.span_count != 0) {
			done = advise(with, batch.ranges, batch.range_count) == 0;
			batch_end(&batch, done, &leaving);
			huge_gave_back(closes);
		}
		transit_end();
		leaving_finish(&leaving);
		if (!done)
			return false;
		*clean_bytes += batch.pages * PAGE_BYTES;
		room -= batch.pages;
		if (size_class <= SIZE_CLASSES && room == 0)
			return true;
	}
	return false;
}

/* Whole chunks --------------------------------------------------------------- */

/* The slab over a page at or behind *page of a chunk, its class's lock held; NULL: none.  *page
 * goes behind it. */
static struct span *chunk_slab_lock(uintptr_t chunk, size_t *page)
{
	while (*page < CHUNK_PAGES) {
		uintptr_t address = chunk + *page * PAGE_BYTES;
		unsigned size_class = page_map_class(page_map_get((void *)address));
		struct span *span;
		uint64_t entry;

		++*page;
		if (size_class == 0)
			continue;
		lock_take(&centrals[size_class].lock);
		entry = page_map_get((void *)address);
		span = page_map_span(entry);
		if (page_map_class(entry) == size_class) {
			address = span->start + size_classes[size_class].pages * PAGE_BYTES;
			*page = (address - chunk) / PAGE_BYTES;
			return span;
		}
		lock_drop(&centrals[size_class].lock);
	}
	return NULL;
}

/* Lock held.  The holes of a slab that lie on pages of a chunk with a bit. */
static uint64_t holes_among(const struct span *span, uintptr_t chunk, const uint64_t *bits)
{
	uint64_t among = 0;

	for (uint64_t rest = span->hole; rest != 0; rest &= rest - 1) {
		uintptr_t address = span->start + bits_lowest(rest) * PAGE_BYTES;
		size_t page = (address - chunk) / PAGE_BYTES;

		if (address >= chunk && page < CHUNK_PAGES &&
			(bits[page / 64] >> page % 64 & 1) != 0)
			among |= rest & -rest;
	}
	return among;
}

/* Lock held, which is dropped.  Being advised, these holes are filled by nobody meanwhile. */
static size_t slab_fill_resident(struct span *span, uint64_t holes)
{
	struct central *central = &centrals[span->size_class];
	struct leaving leaving = {NULL};
	uint64_t resident = 0;

	span->advising = holes;
	lock_drop_kindly(&central->lock);
	os_resident_pages((void *)span->start, size_classes[span->size_class].pages, &resident);
	lock_take(&central->lock);
	span->advising = 0;
	if ((holes & resident) != 0)
		central_fill(central, span, holes & resident, 0);
	if (span->used == 0)
		central_became_empty(central, span, &leaving);
	lock_drop_kindly(&central->lock);
	leaving_finish(&leaving);
	return bits_count(holes & resident);
}

size_t holes_fill_resident(uintptr_t chunk, const uint64_t *seem_resident, bool *busy)
{
	struct span *span;
	size_t page = 0;
	size_t filled = 0;

	while ((span = chunk_slab_lock(chunk, &page)) != NULL) {
		uint64_t holes = holes_among(span, chunk, seem_resident);

		if (holes != 0 && span->advising == 0) {
			filled += slab_fill_resident(span, holes);
			continue;
		}
		*busy |= holes != 0;
		lock_drop(&centrals[span->size_class].lock);
	}
	return filled;
}

void holes_fill_chunk(uintptr_t chunk)
{
	struct leaving leaving = {NULL};
	struct span *span;
	size_t page = 0;

	while ((span = chunk_slab_lock(chunk, &page)) != NULL) {
		struct central *central = &centrals[span->size_class];

		span->born_clean = 0;
		if (span->hole != 0 && span->advising == 0)
			central_fill(central, span, span->hole, 0);
		if (span->used == 0)
			central_became_empty(central, span, &leaving);
		lock_drop_kindly(&central->lock);
	}
	leaving_finish(&leaving);
}
