#ifndef SHIM_HEAP_PAGES_PAGE_MAP_H
#define SHIM_HEAP_PAGES_PAGE_MAP_H

#include "shim/heap/base/os.h"
#include "shim/heap/base/page.h"

#include <stdatomic.h>
#include <stdbool.h>

struct span;

/*
 * Address -> span.
 *
 * Two levels: a root entry per GiB of address space, a leaf entry per page.
 * A leaf entry is 0 where no span lives, else three things in one word, so
 * that free() learns the class from two loads and without touching the span:
 *
 *	bits 0..7	size class, 0 for a large span
 *	bits 8..48	address of the struct span, which is 128-aligned, times 2
 *	bits 49..63	of a class whose slots may lie over two pages: where in
 *			its slot the page begins, in units of 8 bytes; of a large
 *			span 1 while the block is free and kept by a thread cache;
 *			else 0
 *
 * Every page of a slab has an entry; of a large span only the first page has
 * one, since nothing but its start is ever looked up.  Any address may be
 * looked up, ours or not.  Leaves are made as the page heap grows and stay;
 * behind each lies the index of the slabs in the same GiB (slab_index.h).
 */
#define PAGE_MAP_CLASS_BITS 8
#define PAGE_MAP_PHASE_SHIFT 49
#define PAGE_MAP_PHASE_BYTES 8U
#define PAGE_MAP_KEPT ((uint64_t)1 << PAGE_MAP_PHASE_SHIFT)
#define PAGE_MAP_LEAF_SHIFT 30
#define PAGE_MAP_LEAF_PAGES ((size_t)1 << (PAGE_MAP_LEAF_SHIFT - PAGE_SHIFT))
#define PAGE_MAP_ROOTS ((size_t)1 << (USER_ADDRESS_BITS - PAGE_MAP_LEAF_SHIFT))

extern _Atomic(_Atomic uint64_t *) page_map_root[PAGE_MAP_ROOTS];

/* Makes the leaves for a range; false when memory is out.  One thread at a time. */
bool page_map_cover(uintptr_t start, size_t bytes);

/* What lies behind the leaf of an address that is covered: room for PAGE_MAP_BEHIND_BYTES, zero but
 * for the first word, which is the first address of the leaf. */
#define PAGE_MAP_BEHIND_BYTES ((size_t)16 << 10)

/* What is behind it may have so many bytes more for each chunk, where slabs are. */
#define PAGE_MAP_CHUNK_BYTES ((size_t)1600)
void *page_map_behind_leaf(const void *address);

/* Makes the entries of pages resident that have none and that are the caller's, so that
 * page_map_set has no first fault under a lock. */
void page_map_touch(uintptr_t start, size_t pages);

/* `span` NULL clears. */
void page_map_set(uintptr_t start, size_t pages, struct span *span, unsigned size_class);

/*
 * The entries of a chunk, a page of their own.  While nothing lives in the chunk
 * they are 0, as they are after MADV_DONTNEED.
 */
struct os_range page_map_of_chunk(uintptr_t start);

/* Clears the one entry at start if it still is `entry`; false when another was quicker. */
bool page_map_claim(uintptr_t start, uint64_t entry);

/* The same for a large block that a cache is to keep: PAGE_MAP_KEPT is set, where the entry does
 * not have it.  And the way back, for whoever has the block alone. */
bool page_map_keep(uintptr_t start, uint64_t entry);
void page_map_unkeep(uintptr_t start);

/* Whether the entry is that of a large block which was freed and is kept. */
static inline bool page_map_is_kept(uint64_t entry)
{
	return (entry & (PAGE_MAP_KEPT | ((1U << PAGE_MAP_CLASS_BITS) - 1))) == PAGE_MAP_KEPT;
}

static inline uint64_t page_map_get(const void *address)
{
	uintptr_t at = (uintptr_t)address;
	size_t root = at >> PAGE_MAP_LEAF_SHIFT;
	_Atomic uint64_t *leaf;

	if (__builtin_expect(root >= PAGE_MAP_ROOTS, 0))
		return 0;
	leaf = atomic_load_explicit(&page_map_root[root], memory_order_acquire);
	if (__builtin_expect(leaf == NULL, 0))
		return 0;
	return atomic_load_explicit(
		&leaf[at >> PAGE_SHIFT & (PAGE_MAP_LEAF_PAGES - 1)], memory_order_acquire);
}

static inline unsigned page_map_class(uint64_t entry)
{
	return (unsigned)entry & ((1U << PAGE_MAP_CLASS_BITS) - 1);
}

static inline struct span *page_map_span(uint64_t entry)
{
	uint64_t twice = entry & (((uint64_t)1 << PAGE_MAP_PHASE_SHIFT) - 1) &
			 ~(uint64_t)((1U << PAGE_MAP_CLASS_BITS) - 1);

	return (struct span *)(uintptr_t)(twice / 2);
}

/* What size_class_starts wants to know: a multiple of the slot's bytes where a slot begins.
 * Counted from the page's start, or from that of the slot which the page begins in. */
static inline size_t page_map_offset(uint64_t entry, const void *address)
{
	uint64_t phase = entry >> PAGE_MAP_PHASE_SHIFT;

	/* So that the compiler adds eight times the phase rather than shift twice, then add. */
	__asm__("" : "+r"(phase));
	return phase * PAGE_MAP_PHASE_BYTES + ((uintptr_t)address & (PAGE_BYTES - 1));
}

#endif
