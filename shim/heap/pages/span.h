#ifndef SHIM_HEAP_PAGES_SPAN_H
#define SHIM_HEAP_PAGES_SPAN_H

#include "shim/heap/base/size_class.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A span is a run of pages in use: one large block (class 0), or a slab cut
 * into equal slots.  This file is about the slots of one slab; whoever calls
 * holds the lock of its class.
 *
 * A slot is in one of three states:
 *
 *	used	out of the slab: a live block, or kept in some thread's cache
 *	ready	its bit in ready[] is set
 *	holed	free, and at least one page under it is a hole
 *
 * A hole is a page of the slab that was given back to the kernel while the rest
 * lived on.  Always true:
 *
 *	- used + ready_slots + holed slots = all slots;
 *	- no used slot lies over a hole, not even in part;
 *	- a holed slot's bit in ready[] is clear, so that it is not handed out
 *	  before span_fill has taken the hole away;
 *	- advising is a part of hole: those pages are being advised right now
 *	  without a lock, and no page of this slab may be filled meanwhile, nor
 *	  may the slab go back to the page heap;
 *	- slots from `touched` on were never handed out.
 *
 * The bits live here, in metadata, and never in the slots.  A freed slot is
 * just bytes, and a page of freed slots may vanish.
 */
struct span {
	uintptr_t start;
	_Atomic size_t pages;
	uint16_t size_class;
	uint16_t used;
	uint16_t ready_slots;
	uint16_t touched;
	bool listed;       /* in a set of its class */
	bool candidate;    /* on its class's list of slabs to look for holes in */
	bool mapped;       /* a large block with a mapping of its own (mapped.h) */
	uint32_t trial_ms; /* since when pages are on trial; it wraps around */
	uint64_t used_ns;  /* when slots last went out, or the last came in; by the coarse clock */
	struct span
		*candidate_next; /* in one cache line with that; in the chain of those that leave */
	struct span *candidate_previous;
	uint64_t hole;
	uint64_t advising;
	/* Pages that were not resident when the slab began; of a large span, how many. */
	uint64_t born_clean;
	uint64_t trial; /* pages that were idle at trial_ms, and of which nothing went out since */
	uint64_t ready[];
};

_Static_assert(sizeof(struct span) <= 128, "a large span is one metadata record");

/* Metadata bytes of a span of this class. */
size_t span_record_bytes(unsigned size_class);

/* A slab with all slots ready.  clean_mask: pages not resident yet. */
void span_init(struct span *span, void *start, unsigned size_class, uint64_t clean_mask);

/*
 * Up to `want` ready slots, the lowest of them, written downwards from `end`, so that the lowest is
 * last: the order in which a bin wants them.  Returns how many.  More than half of that, it ends
 * with a group (size_class.h) rather than begin one that it cannot have whole: what two threads
 * take is then not in one page, which either alone would keep.
 */
unsigned span_take(struct span *span, void **end, unsigned want);

/* Whether a hole is under the slot. */
bool span_is_holed(const struct span *span, size_t slot);

enum span_answer { SPAN_OK, SPAN_NOT_A_SLOT, SPAN_ALREADY_FREE };

/*
 * Takes slots back up to the first that does not lie in this slab (SPAN_OK), or that is no used
 * slot of it (*answer says what it is).  How many.  At each size_class_starts was true.
 */
unsigned span_put(struct span *span, void *const *slots, unsigned count, enum span_answer *answer);

/* Pages with no used slot that are not holes yet. */
uint64_t span_idle_pages(const struct span *span);

/* Of these pages those that were never touched since the slab began. */
uint64_t span_untouched(const struct span *span, uint64_t pages);

/* These idle pages become holes. */
void span_make_holes(struct span *span, uint64_t pages);

/* The holes that go away when the lowest holed slot is made ready. */
uint64_t span_fill_plan(const struct span *span);
void span_fill(struct span *span, uint64_t pages);

const char *span_check(const struct span *span);

#endif
