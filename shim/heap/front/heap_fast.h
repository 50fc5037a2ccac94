#ifndef SHIM_HEAP_FRONT_HEAP_FAST_H
#define SHIM_HEAP_FRONT_HEAP_FAST_H

#include "shim/heap/caches/cache_owner.h"
#include "shim/heap/pages/page_map.h"

/*
 * malloc and free where they are short: a slot is popped from, or pushed to, the
 * calling thread's own cache.  No lock, no atomic instruction, no fence and no
 * call; what does not fit this page is left to heap_malloc and heap_free.
 *
 * For small blocks malloc reads the class of the size, the thread's cache, its
 * `taken` flag, the bin's top, the slot.  free reads two words of the page map
 * first, which name the class of any address, and one of the class, which tells
 * by a multiplication whether a slot begins there.  What is no slab has class 0,
 * of which no slot begins anywhere, so that no instruction asks for it.
 */

/* A free slot of this class, or NULL. */
static inline void *heap_fast_take(size_t size_class)
{
	struct cache *cache = cache_self;
	struct bin *bin = &cache->bins[size_class];
	void **top;
	void *slot;

	if (__builtin_expect(!cache_enter(cache), 0))
		return NULL;
	top = bin_top(bin);
	slot = *top;
	if (__builtin_expect(slot != NULL, 1)) {
		bin_set_top(bin, top - 1);
		__builtin_prefetch(top[-1], 1);
	}
	cache_leave(cache);
	return slot;
}

/* False: nothing was done.  A second free of the last freed slot is left to heap_free, which tells.
 */
static inline bool heap_fast_put(size_t size_class, void *slot)
{
	struct cache *cache = cache_self;
	struct bin *bin = &cache->bins[size_class];
	void **top;

	if (__builtin_expect(!cache_enter(cache), 0))
		return false;
	top = bin_top(bin);
	if (__builtin_expect(top >= bin->end || *top == slot, 0)) {
		cache_leave(cache);
		return false;
	}
	top[1] = slot;
	bin_set_top(bin, top + 1);
	cache_leave(cache);
	return true;
}

/* NULL: heap_malloc is to be asked. */
static inline void *heap_malloc_fast(size_t size)
{
	if (__builtin_expect(size > SIZE_CLASS_TABLE_BYTES, 0))
		return NULL;
	return heap_fast_take(size_class_of(size));
}

/* False: heap_free is to be asked; nothing was done. */
static inline bool heap_free_fast(void *ptr)
{
	uint64_t entry = page_map_get(ptr);
	size_t size_class = page_map_class(entry);

	/* In a register of its own: the compiler would copy the entry to have it there. */
	__asm__("" : "+r"(size_class));
	if (__builtin_expect(!size_class_starts(size_class, page_map_offset(entry, ptr)), 0))
		return false;
	return heap_fast_put(size_class, ptr);
}

#endif
