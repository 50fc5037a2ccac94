/* Blocks of whole pages. */
#include "shim/heap/front/large.h"

#include "shim/heap/base/freed.h"
#include "shim/heap/base/meta.h"
#include "shim/heap/base/os.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/pages/mapped.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/pages/page_map.h"
#include "shim/heap/pages/run.h"

#include <string.h>

/* Zeroing goes by pieces of this size; smaller blocks are simply written. */
#define ZERO_PIECE_BYTES ((size_t)2 << 20)

static size_t pages_of(const struct span *span)
{
	return atomic_load_explicit(&span->pages, memory_order_relaxed);
}

static size_t pages_for(size_t size)
{
	return (size + PAGE_BYTES - 1) >> PAGE_SHIFT;
}

/* A new block, and how many pages of another one go as it becomes resident. */
static struct span *take(size_t size, size_t alignment, size_t leaving, bool *zero)
{
	size_t pages = size != 0 ? run_bin_round(pages_for(size)) : 1;
	struct span *span = meta_take(sizeof *span);
	struct page_taken taken;

	if (span == NULL)
		return NULL;
	memset(span, 0, sizeof *span);
	*zero = true;
	if (size >= MAPPED_BYTES_MIN) {
		if (mapped_take(span, size, alignment, leaving) != NULL)
			return span;
		meta_put(span, sizeof *span);
		return NULL;
	}
	taken = leaving != 0 ? page_heap_take_for(pages, leaving)
			     : page_heap_take(pages, alignment);
	if (taken.start == NULL) {
		meta_put(span, sizeof *span);
		return NULL;
	}
	span->start = (uintptr_t)taken.start;
	span->born_clean = taken.cold;
	atomic_store_explicit(&span->pages, pages, memory_order_relaxed);
	page_map_set(span->start, 1, span, 0);
	*zero = taken.zero;
	return span;
}

void *large_take(size_t size, size_t alignment, bool *zero)
{
	size_t pages = pages_for(size);
	struct span *span;

	if (run_bin_of(pages) != 0 && alignment <= PAGE_BYTES) {
		void *block = cache_run_take(run_bin_round(pages));

		*zero = false;
		if (block != NULL)
			return block;
	}
	span = take(size, alignment, 0, zero);
	if (span == NULL)
		return NULL;
	run_count(1, (int64_t)pages_of(span));
	return (void *)span->start;
}

/*
 * A resident page that goes costs advice and a fault, about 2 us, if it is used
 * at all; one that is written without need costs a fault as well, and the memory.
 */
static bool zero_by_advice(void *start, size_t bytes)
{
	struct os_range range = {.start = start, .bytes = bytes};

	return (uintptr_t)start % os_page_bytes() == 0 &&
	       os_resident_bytes(start, bytes) < bytes / 2 &&
	       os_advise(&range, 1, OS_DONTNEED) == 0;
}

void large_zero(void *block, size_t bytes)
{
	unsigned char *at = block;

	for (; bytes >= ZERO_PIECE_BYTES; at += ZERO_PIECE_BYTES, bytes -= ZERO_PIECE_BYTES)
		if (!zero_by_advice(at, ZERO_PIECE_BYTES))
			memset(at, 0, ZERO_PIECE_BYTES);
	memset(at, 0, bytes);
}

size_t large_usable_bytes(const struct span *span)
{
	return pages_of(span) * PAGE_BYTES;
}

/* A part of a block, of which nothing is resident or else much. */
static void put_part(unsigned char *start, size_t bytes, bool absent)
{
	struct os_range range = {.start = start, .bytes = bytes};

	if (bytes == 0)
		return;
	if (absent && os_advise(&range, 1, OS_DONTNEED) == 0)
		page_heap_put_clean(start, bytes / PAGE_BYTES, true);
	else
		page_heap_put(start, bytes / PAGE_BYTES, 0);
}

/* Pages of a block come back, of which so many were not resident when they were taken. */
static void put_pages(unsigned char *start, size_t pages, size_t cold)
{
	unsigned char *end = start + pages * PAGE_BYTES;
	unsigned char *at = start;
	bool was_absent = false;

	if (cold < LARGE_SIFT_PAGES || pages < LARGE_SIFT_PAGES || os_page_bytes() != PAGE_BYTES) {
		page_heap_put(start, pages, 0);
		return;
	}
	for (size_t bytes; at < end; at += bytes) {
		bool absent;

		/* Up to the next chunk, whose page table tells at once that there is nothing. */
		bytes = CHUNK_BYTES - (uintptr_t)at % CHUNK_BYTES;
		if (bytes > (size_t)(end - at))
			bytes = (size_t)(end - at);
		absent = os_resident_bytes(at, bytes) == 0;
		if (absent != was_absent) {
			put_part(start, (size_t)(at - start), was_absent);
			start = at;
		}
		was_absent = absent;
	}
	put_part(start, (size_t)(end - start), was_absent);
}

/* The block's entry is gone from the page map; so are its first `gone` pages, by advice. */
static void put_span(struct span *span, size_t gone)
{
	unsigned char *start = (void *)span->start;
	size_t pages = pages_of(span);
	size_t cold = span->born_clean;

	if (span->mapped) {
		mapped_put(span);
		return;
	}
	meta_put(span, sizeof *span);
	if (gone != 0)
		page_heap_put_clean(start, gone, false);
	if (gone != pages)
		put_pages(start + gone * PAGE_BYTES, pages - gone, gone == 0 ? cold : 0);
}

/* Whether the calling thread's cache keeps a block, whose entry says so then. */
static bool keep(void *block, const struct span *span, uint64_t entry)
{
	size_t pages = pages_of(span);

	if (span->mapped || run_bin_of(pages) == 0 || run_bin_round(pages) != pages)
		return false;
	if (!page_map_keep((uintptr_t)block, entry))
		os_panic("free(): double free", block);
	if (cache_run_put(block, pages)) {
		freed_note(pages * PAGE_BYTES);
		return true;
	}
	page_map_unkeep((uintptr_t)block);
	return false;
}

void large_put(void *block, uint64_t entry)
{
	struct span *span = page_map_span(entry);
	size_t pages;

	if ((uintptr_t)block % PAGE_BYTES != 0)
		os_panic("free(): invalid pointer", block);
	if (page_map_is_kept(entry))
		os_panic("free(): double free", block);
	if (keep(block, span, entry))
		return;
	if (!page_map_claim((uintptr_t)block, entry))
		os_panic("free(): double free", block);
	pages = pages_of(span);
	put_span(span, 0);
	run_count(-1, -(int64_t)pages);
}

/* Growing and moving ------------------------------------------------------ */

static bool resize_in_place(struct span *span, size_t want)
{
	unsigned char *start = (void *)span->start;
	size_t pages = pages_of(span);
	size_t cold = 0;

	if (want == pages)
		return true;
	if (want > pages &&
		((want - pages) * PAGE_BYTES >= MAPPED_BYTES_MIN ||
			!page_heap_extend(start + pages * PAGE_BYTES, want - pages, &cold)))
		return false;
	atomic_store_explicit(&span->pages, want, memory_order_relaxed);
	span->born_clean += cold;
	if (want < pages) {
		put_pages(start + want * PAGE_BYTES, pages - want, span->born_clean);
		if (span->born_clean > want)
			span->born_clean = want;
	}
	return true;
}

/* Copies a block and gives up the old pages, as many as may go, behind the copy.  How many did. */
static size_t copy_in_pieces(unsigned char *to, unsigned char *from, size_t bytes, size_t may_go)
{
	size_t gone = 0;

	for (size_t at = 0; at < bytes; at += LARGE_PIECE_BYTES) {
		size_t piece = bytes - at < LARGE_PIECE_BYTES ? bytes - at : LARGE_PIECE_BYTES;
		struct os_range range = {.start = from + at, .bytes = piece};

		memcpy(to + at, from + at, piece);
		if (at == gone && gone < may_go && os_advise(&range, 1, OS_DONTNEED) == 0)
			gone += piece;
	}
	return gone / PAGE_BYTES;
}

static void *move_by_copy(void *block, struct span *span, uint64_t entry, size_t size)
{
	size_t had = pages_of(span);
	bool goes = had * PAGE_BYTES >= LARGE_PIECES_MIN && os_page_bytes() == PAGE_BYTES;
	bool zero;
	struct span *moved = take(size, PAGE_BYTES, goes ? had : 0, &zero);
	size_t cold;

	if (moved == NULL)
		return NULL;
	if (!page_map_claim((uintptr_t)block, entry))
		os_panic("realloc(): invalid pointer", block);
	cold = moved->mapped ? had : moved->born_clean;
	put_span(span, copy_in_pieces((void *)moved->start, block, had * PAGE_BYTES,
			       goes ? cold * PAGE_BYTES : 0));
	return (void *)moved->start;
}

/* By page tables where the block is large enough for that. */
static void *move(void *block, struct span *span, uint64_t entry, size_t size)
{
	size_t had = pages_of(span);
	void *to = NULL;

	if (!span->mapped && size >= MAPPED_MOVED_MIN)
		to = mapped_adopt(span, entry, size);
	if (to == NULL)
		return move_by_copy(block, span, entry, size);
	page_heap_put_clean(block, had, false);
	return to;
}

void *large_resize(void *block, uint64_t entry, size_t size)
{
	struct span *span = page_map_span(entry);
	size_t had = pages_of(span);
	void *to = NULL;

	if (!span->mapped && resize_in_place(span, run_bin_round(pages_for(size))))
		to = block;
	else if (span->mapped && size >= MAPPED_MOVED_MIN / 2)
		to = mapped_resize(span, entry, size);
	if (to == NULL && size > had * PAGE_BYTES && size > SIZE_CLASS_MAX_BYTES)
		to = move(block, span, entry, size);
	if (to != NULL)
		run_count(0, (int64_t)pages_of(page_map_span(page_map_get(to))) - (int64_t)had);
	return to;
}

void large_stats(uint64_t *blocks, uint64_t *bytes)
{
	uint64_t kept;
	uint64_t kept_bytes;

	cache_run_stats(&kept, &kept_bytes);
	run_stats(blocks, bytes);
	/* The counts are read one after the other while others change them. */
	*blocks -= kept < *blocks ? kept : *blocks;
	*bytes -= kept_bytes < *bytes ? kept_bytes : *bytes;
}
