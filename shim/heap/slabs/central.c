/* The slabs of each class: slots out and back in batches. */
#include "shim/heap/slabs/central.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/base/freed.h"
#include "shim/heap/base/gate.h"
#include "shim/heap/base/meta.h"
#include "shim/heap/base/os.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/pages/page_map.h"
#include "shim/heap/slabs/central_class.h"

#include <string.h>

struct central centrals[SIZE_CLASSES + 1];

void central_count(_Atomic uint64_t *count, int64_t change)
{
	uint64_t now = atomic_load_explicit(count, memory_order_relaxed);

	atomic_store_explicit(count, now + (uint64_t)change, memory_order_relaxed);
}

/* Places --------------------------------------------------------------- */

void central_candidate_add(struct central *central, struct span *span)
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

void central_candidate_remove(struct central *central, struct span *span)
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

void central_candidates_rotate(struct central *central, struct span *span)
{
	struct span *next;

	if (span == NULL || span->candidate_next == NULL)
		return;
	next = span->candidate_next;
	span->candidate_next = NULL;
	next->candidate_previous = NULL;
	central->candidates_last->candidate_next = central->candidates;
	central->candidates->candidate_previous = central->candidates_last;
	central->candidates = next;
	central->candidates_last = span;
}

static enum slab_kind kind_of(bool has_ready)
{
	return has_ready ? SLAB_READY : SLAB_HOLED;
}

static void list(struct span *span, bool has_ready)
{
	slab_set_add(kind_of(has_ready), span);
	span->listed = true;
}

static void unlist(struct span *span, bool had_ready)
{
	if (span->listed)
		slab_set_remove(kind_of(had_ready), span);
	span->listed = false;
}

static struct span *central_lowest(const struct central *central, enum slab_kind kind)
{
	return slab_set_lowest(kind, (unsigned)(central - centrals));
}

void central_place(struct span *span, bool had_ready)
{
	bool has_ready = span->ready_slots != 0;

	if (span->listed && had_ready == has_ready && (has_ready || span->hole != 0))
		return;
	unlist(span, had_ready);
	if (has_ready || span->hole != 0)
		list(span, has_ready);
}

void central_leave(struct central *central, struct span *span, struct leaving *leaving)
{
	unlist(span, span->ready_slots != 0);
	central_candidate_remove(central, span);
	central_count(&central->ready_slots, -(int64_t)span->ready_slots);
	if (span->hole != 0)
		page_heap_hole_filled(bits_count(span->hole), 0);
	page_map_set(span->start, size_classes[span->size_class].pages, NULL, 0);
	span->candidate_next = leaving->first;
	leaving->first = span;
}

void leaving_finish(struct leaving *leaving)
{
	struct span *span = leaving->first;

	while (span != NULL) {
		struct span *next = span->candidate_next;
		size_t pages = size_classes[span->size_class].pages;
		uint64_t clean = span->hole | span_untouched(span, bits_mask(0, pages));

		page_heap_put((void *)span->start, pages, clean);
		meta_put(span, span_record_bytes(span->size_class));
		span = next;
	}
}

void central_became_empty(struct central *central, struct span *span, struct leaving *leaving)
{
	struct span *other = central->empty;

	if (span->advising != 0 || span == other)
		return;
	if (other != NULL && (span->start > other->start || other->advising != 0)) {
		central_leave(central, span, leaving);
		return;
	}
	central->empty = span;
	if (other != NULL)
		central_leave(central, other, leaving);
}

void central_not_empty(struct central *central, const struct span *span)
{
	if (central->empty == span)
		central->empty = NULL;
}

/* Taking --------------------------------------------------------------- */

/* Written downwards from `end`, the lowest slab's first. */
static unsigned take_ready(struct central *central, void **end, unsigned want)
{
	uint64_t now_ns = os_now_coarse_ns();
	unsigned got = 0;

	while (got < want) {
		struct span *span = central_lowest(central, SLAB_READY);

		if (span == NULL)
			break;
		if (span->used == 0)
			central_not_empty(central, span);
		span->used_ns = now_ns;
		got += span_take(span, end - got, want - got);
		central_place(span, true);
		if (span->ready_slots != 0)
			break;
	}
	central_count(&central->used_slots, got);
	central_count(&central->ready_slots, -(int64_t)got);
	return got;
}

/* A slab whose holes may be filled now, or NULL. */
static struct span *holed_slab(const struct central *central)
{
	struct span *span = central_lowest(central, SLAB_HOLED);

	return span != NULL && span->advising == 0 ? span : NULL;
}

void central_fill(struct central *central, struct span *span, uint64_t pages, size_t refaulted)
{
	unsigned ready = span->ready_slots;

	if (span->used == 0)
		central_not_empty(central, span);
	span_fill(span, pages);
	page_heap_hole_filled(bits_count(pages), refaulted);
	central_count(&central->ready_slots, (int64_t)span->ready_slots - (int64_t)ready);
	central_place(span, ready != 0);
	central_candidate_add(central, span);
}

static bool slab_new(unsigned size_class)
{
	struct central *central = &centrals[size_class];
	size_t pages = size_classes[size_class].pages;
	struct leaving leaving = {NULL};
	struct page_taken taken;
	struct span *span = meta_take(span_record_bytes(size_class));

	if (span == NULL)
		return false;
	taken = page_heap_take(pages, PAGE_BYTES);
	if (taken.start != NULL && !slab_index_cover((uintptr_t)taken.start, size_class)) {
		page_heap_put(taken.start, pages, taken.clean_mask);
		taken.start = NULL;
	}
	if (taken.start == NULL) {
		meta_put(span, span_record_bytes(size_class));
		return false;
	}
	span_init(span, taken.start, size_class, taken.clean_mask);
	page_map_touch(span->start, pages);
	lock_take(&central->lock);
	page_map_set(span->start, pages, span, size_class);
	list(span, true);
	central_candidate_add(central, span);
	central_count(&central->ready_slots, span->ready_slots);
	/* Slots that came back meanwhile may serve the caller instead. */
	central_became_empty(central, span, &leaving);
	lock_drop(&central->lock);
	leaving_finish(&leaving);
	return true;
}

/* Pages that a take filled, or would fill once the gate was asked. */
struct filling {
	uintptr_t start;
	size_t bytes;
};

/* Lock held.  Fills holes of the lowest slab that has no other free slots. */
static unsigned take_holed(
	struct central *central, void **end, unsigned want, bool asked, struct filling *filling)
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
	central_fill(central, span, pages, bits_count(pages));
	return take_ready(central, end, want);
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
		got = take_ready(central, slots + want, want);
		if (got == 0)
			got = take_holed(central, slots + want, want, asked, &filling);
		lock_drop(&central->lock);
		if (got != 0) {
			if (got < want)
				memmove(slots, slots + want - got, got * sizeof *slots);
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

/* What one central_put is about. */
struct putting {
	struct central *central;
	unsigned size_class;
	uint64_t now_ns;
	unsigned uncounted; /* slots that the class's counters do not know yet */
	struct leaving leaving;
};

static void put_count(struct putting *putting)
{
	central_count(&putting->central->used_slots, -(int64_t)putting->uncounted);
	central_count(&putting->central->ready_slots, putting->uncounted);
	putting->uncounted = 0;
}

/* Slots of one slab came back. */
static void put_end(struct putting *putting, struct span *span, bool had_ready)
{
	if (!had_ready)
		central_place(span, false);
	if (!span->candidate)
		central_candidate_add(putting->central, span);
	if (span->used != 0)
		return;
	span->used_ns = putting->now_ns;
	put_count(putting);
	central_became_empty(putting->central, span, &putting->leaving);
}

/* Lock held.  How many came back: all, or those before one that does not belong here, then *wrong
 * says why. */
static unsigned put_all(
	struct putting *putting, void *const *slots, unsigned count, const char **wrong)
{
	unsigned done = 0;

	while (done < count) {
		uint64_t entry = page_map_get(slots[done]);
		struct span *span = page_map_span(entry);
		enum span_answer answer;
		bool had_ready;
		unsigned part;

		if (page_map_class(entry) != putting->size_class) {
			*wrong = "free(): invalid pointer";
			return done;
		}
		had_ready = span->ready_slots != 0;
		part = span_put(span, slots + done, count - done, &answer);
		done += part;
		putting->uncounted += part;
		if (answer != SPAN_OK) {
			*wrong = answer == SPAN_NOT_A_SLOT ? "free(): invalid pointer"
							   : "free(): double free";
			return done;
		}
		put_end(putting, span, had_ready);
	}
	return done;
}

void central_put(unsigned size_class, void *const *slots, unsigned count)
{
	struct putting putting = {
		.central = &centrals[size_class],
		.size_class = size_class,
		.now_ns = os_now_coarse_ns(),
	};
	const char *wrong = NULL;
	unsigned done;

	lock_take(&putting.central->lock);
	done = put_all(&putting, slots, count, &wrong);
	put_count(&putting);
	lock_drop(&putting.central->lock);
	if (wrong != NULL)
		os_panic(wrong, slots[done]);
	leaving_finish(&putting.leaving);
	freed_note((size_t)count * size_classes[size_class].bytes);
}

/* Giving back ----------------------------------------------------------- */

void central_dissolve_class(unsigned size_class, uint64_t idle_before_ns)
{
	struct central *central = &centrals[size_class];
	struct leaving leaving = {NULL};
	struct span *span;

	lock_take(&central->lock);
	span = central->empty;
	if (span != NULL && span->advising == 0 && span->used_ns <= idle_before_ns) {
		central_not_empty(central, span);
		central_leave(central, span, &leaving);
	}
	lock_drop(&central->lock);
	leaving_finish(&leaving);
}

void central_dissolve(uint64_t idle_before_ns)
{
	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		central_dissolve_class(c, idle_before_ns);
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

void central_locks(void (*visit)(struct lock *lock))
{
	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		visit(&centrals[c].lock);
}

const char *central_check_locked(unsigned size_class, uint64_t used, uint64_t ready, unsigned empty)
{
	const struct central *central = &centrals[size_class];

	if (atomic_load_explicit(&central->used_slots, memory_order_relaxed) != used ||
		atomic_load_explicit(&central->ready_slots, memory_order_relaxed) != ready)
		return "a class's slot counters differ from its slabs'";
	if ((central->empty != NULL) != empty)
		return "a class does not know its empty slab";
	if (central->empty != NULL && central->empty->used != 0)
		return "the empty slab of a class is not empty";
	return NULL;
}
