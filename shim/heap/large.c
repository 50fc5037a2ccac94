#include "shim/heap/large.h"

#include "shim/heap/meta.h"
#include "shim/heap/os.h"
#include "shim/heap/page_heap.h"
#include "shim/heap/page_map.h"

#include <string.h>

/* Zeroing goes by pieces of this size; smaller blocks are simply written. */
#define ZERO_PIECE_BYTES ((size_t)2 << 20)

static _Atomic uint64_t large_blocks;
static _Atomic uint64_t large_pages;

static void count_pages(uint64_t change)
{
	atomic_fetch_add_explicit(&large_pages, change, memory_order_relaxed);
}

static size_t pages_for(size_t size)
{
	return (size + PAGE_BYTES - 1) >> PAGE_SHIFT;
}

void *large_take(size_t size, size_t alignment, bool *zero)
{
	size_t pages = size != 0 ? pages_for(size) : 1;
	struct page_taken taken;
	struct span *span = meta_take(sizeof *span);

	if (span == NULL)
		return NULL;
	taken = page_heap_take(pages, alignment);
	if (taken.start == NULL) {
		meta_put(span, sizeof *span);
		return NULL;
	}
	memset(span, 0, sizeof *span);
	span->start = (uintptr_t)taken.start;
	atomic_store_explicit(&span->pages, pages, memory_order_relaxed);
	page_map_set(span->start, 1, span, 0);
	atomic_fetch_add_explicit(&large_blocks, 1, memory_order_relaxed);
	count_pages(pages);
	*zero = taken.zero;
	return taken.start;
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
	return atomic_load_explicit(&span->pages, memory_order_relaxed) * PAGE_BYTES;
}

void large_put(void *block, uint64_t entry)
{
	struct span *span = page_map_span(entry);
	size_t pages;

	if ((uintptr_t)block % PAGE_BYTES != 0)
		os_panic("free(): invalid pointer", block);
	if (!page_map_claim((uintptr_t)block, entry))
		os_panic("free(): double free", block);
	pages = atomic_load_explicit(&span->pages, memory_order_relaxed);
	meta_put(span, sizeof *span);
	page_heap_put(block, pages, 0);
	atomic_fetch_sub_explicit(&large_blocks, 1, memory_order_relaxed);
	count_pages(-(uint64_t)pages);
}

bool large_resize(void *block, struct span *span, size_t size)
{
	size_t pages = atomic_load_explicit(&span->pages, memory_order_relaxed);
	size_t want = pages_for(size);
	unsigned char *end = (unsigned char *)block + pages * PAGE_BYTES;

	if (want > pages && !page_heap_extend(end, want - pages))
		return false;
	atomic_store_explicit(&span->pages, want, memory_order_relaxed);
	if (want < pages)
		page_heap_put((unsigned char *)block + want * PAGE_BYTES, pages - want, 0);
	count_pages(want - pages);
	return true;
}

void large_stats(uint64_t *blocks, uint64_t *bytes)
{
	*blocks = atomic_load_explicit(&large_blocks, memory_order_relaxed);
	*bytes = atomic_load_explicit(&large_pages, memory_order_relaxed) * PAGE_BYTES;
}
