#include "shim/heap/central.h"

#include "shim/heap/bits.h"
#include "shim/heap/gate.h"
#include "shim/heap/lock.h"
#include "shim/heap/meta.h"
#include "shim/heap/page_heap.h"
#include "shim/heap/page_map.h"
#include "shim/heap/span.h"
#include "shim/heap/span_queue.h"
#include "shim/heap/transit.h"

struct central {
	struct lock lock;
	struct span_queue part_used;
	struct span_queue holed;
	struct span *candidates;
	struct span *candidates_last;
	struct span *empty; /* the one slab that stays although it is empty */
	/* Written under the lock, read anywhere. */
	_Atomic uint64_t used_slots;
	_Atomic uint64_t ready_slots;
} __attribute__((aligned(64)));

static struct central centrals[SIZE_CLASSES + 1];

static void count_add(_Atomic uint64_t *count, int64_t change)
{
	uint64_t now = atomic_load_explicit(count, memory_order_relaxed);

	atomic_store_explicit(count, now + (uint64_t)change, memory_order_relaxed);
}

/* Places --------------------------------------------------------------- */

static void candidate_add(struct central *central, struct span *span)
{
	if (span->candidate)
		return;
	span->candidate = true;
	span->candidate_next = NULL;
	span->candidate_previous = central->candidates_last;
	if (central->candidates_last != NULL)
		central->candidates_last->candidate_next = span;
	else
		central->candidates = span;
	central->candidates_last = span;
}

static void candidate_remove(struct central *central, struct span *span)
{
	if (!span->candidate)
		return;
	span->candidate = false;
	if (span->candidate_previous != NULL)
		span->candidate_previous->candidate_next = span->candidate_next;
	else
		central->candidates = span->candidate_next;
	if (span->candidate_next != NULL)
		span->candidate_next->candidate_previous = span->candidate_previous;
	else
		central->candidates_last = span->candidate_previous;
}

/* Moves a slab to where its counts say it belongs; had_ready: what they said before. */
static void place(struct central *central, struct span *span, bool had_ready)
{
	bool has_ready = span->ready_slots != 0;

	if (span->queued && had_ready == has_ready && (has_ready || span->hole != 0))
		return;
	if (span->queued)
		span_queue_remove(had_ready ? &central->part_used : &central->holed, span);
	if (has_ready)
		span_queue_insert(&central->part_used, span);
	else if (span->hole != 0)
		span_queue_insert(&central->holed, span);
}

/*
 * Of these pages those that no slot was ever handed out on, and so are not
 * resident.  Where huge pages come unasked, a neighbour's first touch may have
 * made them so.
 */
static uint64_t untouched_pages(const struct span *span, uint64_t pages)
{
	return os_thp_always() ? 0 : span_untouched(span, pages);
}

/* Slabs that left their class wait on a chain for the locks to be dropped. */
struct leaving {
	struct span *first;
};

static void leave(struct central *central, struct span *span, struct leaving *leaving)
{
	if (span->queued)
		span_queue_remove(
			span->ready_slots != 0 ? &central->part_used : &central->holed, span);
	candidate_remove(central, span);
	count_add(&central->ready_slots, -(int64_t)span->ready_slots);
	if (span->hole != 0)
		page_heap_hole_filled(bits_count(span->hole), 0);
	page_map_set(span->start, size_classes[span->size_class].pages, NULL, 0);
	span->next = leaving->first;
	leaving->first = span;
}

static void leaving_finish(struct leaving *leaving)
{
	struct span *span = leaving->first;

	while (span != NULL) {
		struct span *next = span->next;
		size_t pages = size_classes[span->size_class].pages;
		uint64_t clean = span->hole | untouched_pages(span, bits_mask(0, pages));

		page_heap_put((void *)span->start, pages, clean);
		meta_put(span, span_record_bytes(span->size_class));
		span = next;
	}
}

/* A slab's last slot came back: it stays as the one empty slab of its class if it is the lower. */
static void became_empty(struct central *central, struct span *span, struct leaving *leaving)
{
	struct span *other = central->empty;

	if (span->advising != 0 || other == span)
		return;
	if (other == NULL) {
		central->empty = span;
		return;
	}
	if (span->start < other->start) {
		central->empty = span;
		span = other;
	}
	leave(central, span, leaving);
}

/* Taking --------------------------------------------------------------- */

static unsigned take_ready(struct central *central, void **slots, unsigned want)
{
	unsigned got = 0;

	while (got < want && central->part_used.lowest != NULL) {
		struct span *span = central->part_used.lowest;

		if (span == central->empty)
			central->empty = NULL;
		got += span_take(span, slots + got, want - got);
		place(central, span, true);
	}
	count_add(&central->used_slots, got);
	count_add(&central->ready_slots, -(int64_t)got);
	return got;
}

/* A slab whose holes may be filled now, or NULL. */
static struct span *holed_slab(const struct central *central)
{
	struct span *span = central->holed.lowest;

	return span != NULL && span->advising == 0 ? span : NULL;
}

static void fill_holes(struct central *central, struct span *span, uint64_t pages, size_t refaulted)
{
	unsigned ready = span->ready_slots;

	if (span == central->empty)
		central->empty = NULL;
	span_fill(span, pages);
	page_heap_hole_filled(bits_count(pages), refaulted);
	count_add(&central->ready_slots, (int64_t)span->ready_slots - (int64_t)ready);
	place(central, span, ready != 0);
	candidate_add(central, span);
}

static bool slab_new(unsigned size_class)
{
	struct central *central = &centrals[size_class];
	size_t pages = size_classes[size_class].pages;
	struct page_taken taken;
	struct span *span = meta_take(span_record_bytes(size_class));

	if (span == NULL)
		return false;
	taken = page_heap_take(pages, PAGE_BYTES);
	if (taken.start == NULL) {
		meta_put(span, span_record_bytes(size_class));
		return false;
	}
	span_init(span, taken.start, size_class, taken.clean_mask);
	lock_take(&central->lock);
	page_map_set(span->start, pages, span, size_class);
	span_queue_insert(&central->part_used, span);
	candidate_add(central, span);
	count_add(&central->ready_slots, span->ready_slots);
	lock_drop(&central->lock);
	return true;
}

/* Pages that a take filled, or would fill once the gate was asked. */
struct filling {
	uintptr_t start;
	size_t bytes;
};

/* Lock held.  Fills holes of the lowest slab that has no other free slots. */
static unsigned take_holed(
	struct central *central, void **slots, unsigned want, bool asked, struct filling *filling)
{
	struct span *span = holed_slab(central);
	uint64_t pages;

	if (span == NULL)
		return 0;
	pages = span_fill_plan(span);
	filling->start = span->start + bits_lowest(pages) * PAGE_BYTES;
	filling->bytes = bits_count(pages) * PAGE_BYTES;
	if (!asked)
		return 0;
	fill_holes(central, span, pages, bits_count(pages));
	return take_ready(central, slots, want);
}

unsigned central_take(unsigned size_class, void **slots, unsigned want)
{
	struct central *central = &centrals[size_class];
	bool asked = !gate_is_set();
	bool populate = false;

	for (;;) {
		struct filling filling = {0};
		unsigned got;

		lock_take(&central->lock);
		got = take_ready(central, slots, want);
		if (got == 0)
			got = take_holed(central, slots, want, asked, &filling);
		lock_drop(&central->lock);
		if (got != 0) {
			if (populate && filling.bytes != 0)
				gate_populate((void *)filling.start, filling.bytes);
			return got;
		}
		if (filling.bytes != 0) {
			populate = gate_ask(filling.bytes);
			asked = true;
		} else if (!slab_new(size_class)) {
			return 0;
		}
	}
}

/* Putting --------------------------------------------------------------- */

static const char *put_one(unsigned size_class, void *slot, struct leaving *leaving)
{
	struct central *central = &centrals[size_class];
	uint64_t entry = page_map_get(slot);
	struct span *span = page_map_span(entry);
	bool had_ready;

	if (entry == 0 || page_map_class(entry) != size_class)
		return "free(): invalid pointer";
	had_ready = span->ready_slots != 0;
	switch (span_put(span, slot)) {
	case SPAN_NOT_A_SLOT:
		return "free(): invalid pointer";
	case SPAN_ALREADY_FREE:
		return "free(): double free";
	case SPAN_OK:
		break;
	}
	count_add(&central->used_slots, -1);
	count_add(&central->ready_slots, 1);
	place(central, span, had_ready);
	candidate_add(central, span);
	if (span->used == 0)
		became_empty(central, span, leaving);
	return NULL;
}

void central_put(unsigned size_class, void *const *slots, unsigned count)
{
	struct central *central = &centrals[size_class];
	struct leaving leaving = {NULL};
	const char *wrong = NULL;
	unsigned i;

	lock_take(&central->lock);
	for (i = 0; i < count && wrong == NULL; i++)
		wrong = put_one(size_class, slots[i], &leaving);
	lock_drop(&central->lock);
	if (wrong != NULL)
		os_panic(wrong, slots[i - 1]);
	leaving_finish(&leaving);
}

/* Giving back ----------------------------------------------------------- */

void central_dissolve(void)
{
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		struct central *central = &centrals[c];
		struct leaving leaving = {NULL};

		lock_take(&central->lock);
		if (central->empty != NULL && central->empty->advising == 0) {
			leave(central, central->empty, &leaving);
			central->empty = NULL;
		}
		lock_drop(&central->lock);
		leaving_finish(&leaving);
	}
}

/* Holes of several slabs of one class on their way to the kernel. */
struct hole_batch {
	struct os_range ranges[OS_RANGES_MAX];
	struct span *spans[OS_RANGES_MAX];
	size_t range_count;
	size_t span_count;
	size_t pages; /* in the ranges */
	size_t room;  /* pages that may still be advised */
};

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

/* Lock held.  One slab's idle pages become holes; false: the batch is full. */
static bool batch_slab(struct central *central, struct hole_batch *batch, struct span *span)
{
	uint64_t idle = whole_kernel_pages(span, span_idle_pages(span));
	uint64_t untouched = untouched_pages(span, idle);
	uint64_t before = span->hole;
	unsigned ready = span->ready_slots;
	bool all;

	span_make_holes(span, untouched);
	all = batch_add(batch, span, idle & ~untouched);
	page_heap_hole_made(bits_count(span->hole & ~before));
	count_add(&central->ready_slots, (int64_t)span->ready_slots - (int64_t)ready);
	place(central, span, ready != 0);
	return all;
}

/* Fills the batch from the candidates.  True: some are left for the next. */
static bool batch_fill(struct central *central, struct hole_batch *batch, struct leaving *leaving)
{
	struct span *stop = NULL;

	while (central->candidates != NULL && central->candidates != stop) {
		struct span *span = central->candidates;

		if (batch->range_count == OS_RANGES_MAX || batch->room == 0)
			return true;
		candidate_remove(central, span);
		if (span->advising != 0) {
			/* Another scavenger is at it; it stays a candidate. */
			candidate_add(central, span);
			if (stop == NULL)
				stop = span;
		} else if (span->used == 0) {
			if (central->empty == span)
				central->empty = NULL;
			leave(central, span, leaving);
		} else if (!batch_slab(central, batch, span)) {
			candidate_add(central, span);
			return true;
		}
	}
	return false;
}

static void batch_end(struct central *central, const struct hole_batch *batch, bool advised,
	struct leaving *leaving)
{
	for (size_t i = 0; i < batch->span_count; i++) {
		struct span *span = batch->spans[i];
		uint64_t pages = span->advising;

		span->advising = 0;
		if (!advised)
			fill_holes(central, span, pages, 0);
		if (span->used == 0)
			became_empty(central, span, leaving);
	}
}

/* One batch of one class.  True: there is more. */
static bool make_holes(struct central *central, struct hole_batch *batch,
	int (*advise)(void *with, const struct os_range *ranges, size_t count), void *with,
	bool *failed)
{
	struct leaving leaving = {NULL};
	bool more;

	if (!transit_begin())
		return *failed = true;
	lock_take(&central->lock);
	more = batch_fill(central, batch, &leaving);
	lock_drop(&central->lock);
	if (batch->span_count != 0) {
		*failed = advise(with, batch->ranges, batch->range_count) != 0;
		lock_take(&central->lock);
		batch_end(central, batch, !*failed, &leaving);
		lock_drop(&central->lock);
	}
	transit_end();
	leaving_finish(&leaving);
	return more;
}

bool central_make_holes(int (*advise)(void *with, const struct os_range *ranges, size_t count),
	void *with, uint64_t max_bytes, uint64_t *clean_bytes)
{
	size_t room = (size_t)(max_bytes / PAGE_BYTES);

	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		bool more = true;

		while (more) {
			struct hole_batch batch = {.room = room};
			bool failed = false;

			more = make_holes(&centrals[c], &batch, advise, with, &failed);
			if (failed)
				return false;
			*clean_bytes += batch.pages * PAGE_BYTES;
			room = batch.room;
			if (more && room == 0)
				return true;
		}
	}
	return false;
}

/* Reading --------------------------------------------------------------- */

void central_stats(struct central_stats *stats)
{
	*stats = (struct central_stats){.used_slots = 0};
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		struct central *central = &centrals[c];
		uint64_t used = atomic_load_explicit(&central->used_slots, memory_order_relaxed);
		uint64_t ready = atomic_load_explicit(&central->ready_slots, memory_order_relaxed);

		stats->used_slots += used;
		stats->used_bytes += used * size_classes[c].bytes;
		stats->ready_bytes += ready * size_classes[c].bytes;
	}
}

void central_lock_all(void)
{
	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		lock_take(&centrals[c].lock);
}

void central_unlock_all(void)
{
	for (unsigned c = SIZE_CLASSES; c >= 1; c--)
		lock_drop(&centrals[c].lock);
}

const char *central_check_locked(unsigned size_class, uint64_t used, uint64_t ready)
{
	const struct central *central = &centrals[size_class];

	if (atomic_load_explicit(&central->used_slots, memory_order_relaxed) != used ||
		atomic_load_explicit(&central->ready_slots, memory_order_relaxed) != ready)
		return "a class's slot counters differ from its slabs'";
	if (central->empty != NULL && central->empty->used != 0)
		return "the empty slab of a class is not empty";
	return NULL;
}
