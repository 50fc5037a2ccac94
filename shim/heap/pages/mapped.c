/* Blocks that are mappings of their own, and moves by page tables. */
#include "shim/heap/pages/mapped.h"

#include "shim/heap/base/gate.h"
#include "shim/heap/base/meta.h"
#include "shim/heap/base/os.h"
#include "shim/heap/pages/grown.h"
#include "shim/heap/pages/huge.h"
#include "shim/heap/pages/page_heap_state.h"
#include "shim/heap/pages/page_map.h"

#include <string.h>

/* Large blocks with mappings of their own: taking, freeing, growing, moving.  Copying is large.c's.
 */

/* Under the page heap's lock. */
static struct {
	struct span *first; /* linked by candidate_next and candidate_previous */
	size_t count;
} mapped;

static size_t pages_of(const struct span *span)
{
	return atomic_load_explicit(&span->pages, memory_order_relaxed);
}

/* 0: more than there can be. */
static size_t pages_for(size_t size)
{
	return size > PTRDIFF_MAX ? 0 : round_up(size, os_page_bytes()) / PAGE_BYTES;
}

static void count_locked(size_t change)
{
	page_heap.stats.mapped += change;
	page_heap_peak_locked();
}

/* Lock held. */
static void list_add(struct span *span)
{
	span->candidate_previous = NULL;
	span->candidate_next = mapped.first;
	if (mapped.first != NULL)
		mapped.first->candidate_previous = span;
	mapped.first = span;
	mapped.count++;
	count_locked(pages_of(span));
}

/* Lock held. */
static void list_remove(struct span *span)
{
	if (span->candidate_previous != NULL)
		span->candidate_previous->candidate_next = span->candidate_next;
	else
		mapped.first = span->candidate_next;
	if (span->candidate_next != NULL)
		span->candidate_next->candidate_previous = span->candidate_previous;
	mapped.count--;
	count_locked(-pages_of(span));
}

/* Whether a block that begins there can be looked up. */
static bool cover(const void *start)
{
	bool done;

	lock_take(&page_heap.lock);
	done = page_map_cover((uintptr_t)start, PAGE_BYTES);
	lock_drop(&page_heap.lock);
	return done;
}

static bool is_room_for_more(void)
{
	bool is_room;

	lock_take(&page_heap.lock);
	is_room = mapped.count < MAPPED_BLOCKS_MAX;
	lock_drop(&page_heap.lock);
	return is_room;
}

/* The block is where the span says from now on. */
static void publish(struct span *span, void *start, size_t pages)
{
	lock_take(&page_heap.lock);
	span->start = (uintptr_t)start;
	atomic_store_explicit(&span->pages, pages, memory_order_relaxed);
	span->mapped = true;
	page_map_set(span->start, 1, span, 0);
	list_add(span);
	lock_drop(&page_heap.lock);
}

static void withdraw(struct span *span)
{
	lock_take(&page_heap.lock);
	list_remove(span);
	lock_drop(&page_heap.lock);
}

static void claim(struct span *span, uint64_t entry)
{
	if (!page_map_claim(span->start, entry))
		os_panic("realloc(): invalid pointer", (void *)span->start);
}

static void *address(void *start, size_t pages)
{
	return (unsigned char *)start + pages * PAGE_BYTES;
}

/* These pages of a block are new, and not resident yet. */
static void pay(void *start, size_t pages)
{
	if (gate_ask(pages * PAGE_BYTES))
		gate_populate(start, pages * PAGE_BYTES);
	grown_note(pages);
}

/* munmap may have to split a mapping, which the kernel refuses when there are too many. */
static void unmap(void *start, size_t pages)
{
	struct os_range range = {.start = start, .bytes = pages * PAGE_BYTES};

	if (pages != 0 && os_unmap(start, range.bytes) != 0)
		(void)os_advise(&range, 1, OS_DONTNEED);
}

void *mapped_take(struct span *span, size_t size, size_t alignment, size_t leaving)
{
	size_t pages = pages_for(size);
	struct os_range range = {.bytes = pages * PAGE_BYTES};

	if (pages == 0)
		return NULL;
	range.start = os_map(range.bytes, alignment > CHUNK_BYTES ? alignment : CHUNK_BYTES);
	if (range.start == NULL)
		return NULL;
	if (!cover(range.start)) {
		unmap(range.start, pages);
		return NULL;
	}
	if (huge_is_on())
		(void)os_advise(&range, 1, OS_HUGE);
	publish(span, range.start, pages);
	if (leaving < pages)
		pay(address(range.start, leaving), pages - leaving);
	return range.start;
}

void mapped_put(struct span *span)
{
	void *start = (void *)span->start;
	size_t pages = pages_of(span);

	withdraw(span);
	meta_put(span, sizeof *span);
	unmap(start, pages);
}

/* What os_move_pages took out of a region grows without the kernel's judgement. */
static bool is_to_be_had(size_t pages)
{
	void *probe;

	if (pages < MAPPED_BYTES_MIN / PAGE_BYTES)
		return true;
	probe = os_map(pages * PAGE_BYTES, PAGE_BYTES);
	if (probe == NULL)
		return false;
	unmap(probe, pages);
	return true;
}

/* Address space for a block that moves; NULL: there is none. */
static void *destination(size_t pages)
{
	void *to = os_reserve(pages * PAGE_BYTES, CHUNK_BYTES);

	if (to == NULL || cover(to))
		return to;
	os_unreserve(to, pages * PAGE_BYTES);
	return NULL;
}

static bool resize_in_place(struct span *span, size_t want)
{
	size_t had = pages_of(span);

	if (os_map_resize((void *)span->start, had * PAGE_BYTES, want * PAGE_BYTES) != 0)
		return false;
	lock_take(&page_heap.lock);
	atomic_store_explicit(&span->pages, want, memory_order_relaxed);
	count_locked(want - had);
	lock_drop(&page_heap.lock);
	return true;
}

static bool move(struct span *span, uint64_t entry, size_t want)
{
	void *start = (void *)span->start;
	size_t had = pages_of(span);
	void *to = destination(want);

	if (to == NULL)
		return false;
	claim(span, entry);
	withdraw(span);
	if (os_map_move(start, had * PAGE_BYTES, to, want * PAGE_BYTES) != 0) {
		publish(span, start, had);
		os_unreserve(to, want * PAGE_BYTES);
		return false;
	}
	publish(span, to, want);
	return true;
}

void *mapped_resize(struct span *span, uint64_t entry, size_t size)
{
	size_t had = pages_of(span);
	size_t want = pages_for(size);

	if (want == 0 || (want > had && !is_to_be_had(want - had)))
		return NULL;
	if (want != had && !resize_in_place(span, want) && (want < had || !move(span, entry, want)))
		return NULL;
	if (want > had)
		pay(address((void *)span->start, had), want - had);
	return (void *)span->start;
}

/* The mapping of `had` pages at the start of a reservation becomes all of it. */
static void *fill_reservation(void *start, size_t had, size_t want)
{
	void *to;

	/* Another thread may map something there meanwhile. */
	if (os_unmap(address(start, had), (want - had) * PAGE_BYTES) == 0 &&
		os_map_resize(start, had * PAGE_BYTES, want * PAGE_BYTES) == 0)
		return start;
	to = destination(want);
	if (to == NULL)
		return NULL;
	if (os_map_move(start, had * PAGE_BYTES, to, want * PAGE_BYTES) == 0)
		return to;
	os_unreserve(to, want * PAGE_BYTES);
	return NULL;
}

void *mapped_adopt(struct span *span, uint64_t entry, size_t size)
{
	void *from = (void *)span->start;
	size_t had = pages_of(span);
	size_t want = pages_for(size);
	void *first;
	void *to;

	if (want <= had || os_page_bytes() != PAGE_BYTES || !is_room_for_more() ||
		!is_to_be_had(want - had))
		return NULL;
	first = destination(want);
	if (first == NULL)
		return NULL;
	if (os_move_pages(from, had * PAGE_BYTES, first) != 0) {
		os_unreserve(first, want * PAGE_BYTES);
		return NULL;
	}
	to = fill_reservation(first, had, want);
	if (to == NULL) {
		memcpy(from, first, had * PAGE_BYTES);
		unmap(first, had);
		return NULL;
	}
	claim(span, entry);
	publish(span, to, want);
	pay(address(to, had), want - had);
	return to;
}

const char *mapped_check_locked(void)
{
	size_t pages = 0;
	size_t count = 0;

	for (const struct span *span = mapped.first; span != NULL; span = span->candidate_next) {
		uint64_t entry = page_map_get((void *)span->start);

		if (!span->mapped || span->size_class != 0)
			return "a span among the mapped ones is none";
		/* Without an entry it is being freed, and who does that waits for the lock. */
		if (entry != 0 && (page_map_span(entry) != span || page_map_class(entry) != 0))
			return "the page map is wrong about a mapped block";
		pages += pages_of(span);
		count++;
	}
	if (pages != page_heap.stats.mapped || count != mapped.count)
		return "the counter of mapped pages is wrong";
	return NULL;
}
