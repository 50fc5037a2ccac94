/* Slots of one slab: free bits, untouched ones, holes. */
#include "shim/heap/pages/span.h"

#include "shim/heap/base/page.h"

#include <string.h>

static const struct size_class *class_of(const struct span *span)
{
	return &size_classes[span->size_class];
}

static size_t words_of(unsigned size_class)
{
	return (size_classes[size_class].slots + 63U) / 64;
}

size_t span_record_bytes(unsigned size_class)
{
	return sizeof(struct span) + words_of(size_class) * sizeof(uint64_t);
}

void span_init(struct span *span, void *start, unsigned size_class, uint64_t clean_mask)
{
	unsigned slots = size_classes[size_class].slots;

	memset(span, 0, span_record_bytes(size_class));
	span->start = (uintptr_t)start;
	atomic_init(&span->pages, size_classes[size_class].pages);
	span->size_class = size_class;
	span->ready_slots = (uint16_t)slots;
	span->born_clean = clean_mask;
	for (size_t i = 0; i < words_of(size_class); i++)
		span->ready[i] = bits_mask(0, slots - i * 64 > 64 ? 64 : slots - i * 64);
}

/* The pages under a slot. */
static uint64_t pages_of(const struct span *span, size_t slot)
{
	size_t offset = size_class_offset(span->size_class, slot);

	return bits_mask(
		offset >> PAGE_SHIFT, ((offset + class_of(span)->bytes - 1) >> PAGE_SHIFT) + 1);
}

/* Writes the slots of a word's bits downwards from *end, as far as `stop`, the lowest first; the
 * first bit is slot `base`.  Returns the bits that are left. */
static uint64_t take_bits(
	const struct span *span, uint64_t bits, size_t base, void ***end, void **stop)
{
	const struct size_class *class = class_of(span);
	const uintptr_t start = span->start;
	void **at = *end;

	while (bits != 0 && at != stop) {
		*--at = (void *)(start + size_class_offset_in(class, base + bits_lowest(bits)));
		bits &= bits - 1;
	}
	*end = at;
	return bits;
}

static size_t slot_at(const struct span *span, const void *slot)
{
	return size_class_nearest(class_of(span), (uintptr_t)slot - span->start);
}

/* How many of the slots from `at` to `end`, which lie in descending order, had better stay: those
 * of a group that the rest leads up to. */
static unsigned begun_in_vain(
	const struct span *span, void *const *at, void *const *end, unsigned want)
{
	const struct size_class *class = class_of(span);
	size_t last = slot_at(span, *at);
	size_t group = last * class->slots_inverse >> SIZE_CLASS_SLOTS_SHIFT;
	size_t first = group * class->group_slots;
	unsigned begun = (unsigned)(last - first + 1);
	unsigned got = (unsigned)(end - at);

	/* One that is whole, or of which slots were used, is no new one. */
	if (begun == class->group_slots || begun >= got || slot_at(span, at[begun]) != first - 1)
		return 0;
	got -= begun;
	return got > want / 2 && want - got < class->group_slots ? begun : 0;
}

/* So many slots went out, of which these are the first and the last. */
static void span_taken(struct span *span, unsigned got, size_t first, size_t last)
{
	span->used = (uint16_t)(span->used + got);
	span->ready_slots = (uint16_t)(span->ready_slots - got);
	if (last >= span->touched)
		span->touched = (uint16_t)(last + 1);
	if (span->trial != 0)
		span->trial &= ~bits_mask(bits_lowest(pages_of(span, first)),
			bits_highest(pages_of(span, last)) + 1U);
}

unsigned span_take(struct span *span, void **end, unsigned want)
{
	void **const stop = end - (want < span->ready_slots ? want : span->ready_slots);
	void **at = end;

	for (size_t i = 0; at != stop; i++)
		if (span->ready[i] != 0)
			span->ready[i] = take_bits(span, span->ready[i], i * 64, &at, stop);
	if (at == end)
		return 0;
	for (unsigned begun = begun_in_vain(span, at, end, want); begun != 0; begun--) {
		size_t slot = slot_at(span, *at++);

		span->ready[slot / 64] |= (uint64_t)1 << slot % 64;
	}
	span_taken(span, (unsigned)(end - at), slot_at(span, end[-1]), slot_at(span, *at));
	return (unsigned)(end - at);
}

/* span_put but for the counts.  Two of it, because few slabs have holes. */
static inline __attribute__((always_inline)) unsigned put_bits(struct span *span,
	void *const *slots, unsigned count, enum span_answer *answer, bool has_holes)
{
	const struct size_class *class = class_of(span);
	const size_t span_bytes = class->pages * PAGE_BYTES;
	const uintptr_t start = span->start;
	void *const *end = slots + count;
	void *const *at = slots;

	for (; at != end && (uintptr_t)*at - start < span_bytes; at++) {
		size_t slot = size_class_started(class, (uintptr_t)*at - start);
		uint64_t word;

		if (slot == SIZE_MAX) {
			*answer = SPAN_NOT_A_SLOT;
			break;
		}
		word = span->ready[slot / 64];
		if ((word >> slot % 64 & 1) != 0 || (has_holes && span_is_holed(span, slot))) {
			*answer = SPAN_ALREADY_FREE;
			break;
		}
		span->ready[slot / 64] = word | (uint64_t)1 << slot % 64;
	}
	return (unsigned)(at - slots);
}

unsigned span_put(struct span *span, void *const *slots, unsigned count, enum span_answer *answer)
{
	unsigned done;

	*answer = SPAN_OK;
	done = span->hole == 0 ? put_bits(span, slots, count, answer, false)
			       : put_bits(span, slots, count, answer, true);
	span->ready_slots = (uint16_t)(span->ready_slots + done);
	span->used = (uint16_t)(span->used - done);
	return done;
}

/* The slots over a page: first .. last. */
static size_t first_slot(const struct span *span, size_t page)
{
	return size_class_slot_over(span->size_class, page, false);
}

static size_t last_slot(const struct span *span, size_t page)
{
	return size_class_slot_over(span->size_class, page, true);
}

static bool is_ready(const struct span *span, size_t slot)
{
	return (span->ready[slot / 64] >> slot % 64 & 1) != 0;
}

bool span_is_holed(const struct span *span, size_t slot)
{
	return (pages_of(span, slot) & span->hole) != 0;
}

/* Whether no slot over a page is used. */
static bool page_is_idle(const struct span *span, size_t page)
{
	size_t end = last_slot(span, page) + 1;
	size_t slot = bits_next(span->ready, first_slot(span, page), end, false);

	while (slot < end && span_is_holed(span, slot))
		slot = bits_next(span->ready, slot + 1, end, false);
	return slot >= end;
}

uint64_t span_idle_pages(const struct span *span)
{
	uint64_t idle = bits_mask(0, class_of(span)->pages) & ~span->hole;

	for (uint64_t rest = idle; rest != 0; rest &= rest - 1)
		if (!page_is_idle(span, bits_lowest(rest)))
			idle &= ~(rest & -rest);
	return idle;
}

uint64_t span_untouched(const struct span *span, uint64_t pages)
{
	uint64_t touched = 0;

	if (span->touched != 0)
		touched = bits_mask(0, bits_highest(pages_of(span, span->touched - 1U)) + 1U);
	return pages & span->born_clean & ~touched;
}

void span_make_holes(struct span *span, uint64_t pages)
{
	for (uint64_t rest = pages; rest != 0; rest &= rest - 1) {
		size_t page = bits_lowest(rest);
		size_t cleared =
			bits_clear(span->ready, first_slot(span, page), last_slot(span, page) + 1);

		span->ready_slots = (uint16_t)(span->ready_slots - cleared);
	}
	span->hole |= pages;
}

uint64_t span_fill_plan(const struct span *span)
{
	return pages_of(span, first_slot(span, bits_lowest(span->hole))) & span->hole;
}

void span_fill(struct span *span, uint64_t pages)
{
	uint64_t before = span->hole;

	span->hole &= ~pages;
	for (uint64_t rest = pages; rest != 0; rest &= rest - 1) {
		size_t page = bits_lowest(rest);

		for (size_t slot = first_slot(span, page); slot <= last_slot(span, page); slot++) {
			if (is_ready(span, slot) || (pages_of(span, slot) & before) == 0 ||
				span_is_holed(span, slot))
				continue;
			span->ready[slot / 64] |= (uint64_t)1 << slot % 64;
			span->ready_slots++;
		}
	}
}

const char *span_check(const struct span *span)
{
	const struct size_class *class = class_of(span);
	unsigned ready = 0;
	unsigned holed = 0;

	if (atomic_load_explicit(&span->pages, memory_order_relaxed) != class->pages)
		return "a slab has another length than its class";
	if ((span->advising & ~span->hole) != 0)
		return "a slab's page is advised and no hole";
	if ((span->trial & ~span->hole & ~span_idle_pages(span)) != 0)
		return "a page on trial is in use";
	for (size_t slot = 0; slot < class->slots; slot++) {
		bool over_hole = span_is_holed(span, slot);

		if (over_hole && is_ready(span, slot))
			return "a ready slot lies over a hole";
		ready += is_ready(span, slot);
		holed += over_hole;
	}
	if (ready != span->ready_slots || span->used + ready + holed != class->slots)
		return "a slab's counts differ from its bits";
	return NULL;
}
