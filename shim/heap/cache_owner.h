#ifndef SHIM_HEAP_CACHE_OWNER_H
#define SHIM_HEAP_CACHE_OWNER_H

#include "shim/heap/cache.h"

/*
 * Who is inside a cache.  The word is 1 while somebody is; the owner's way in
 * and out is uncontended but for thieves, and nobody stays longer than it takes
 * to copy a few dozen pointers.
 */

void cache_enter_slow(struct cache *cache);

static inline void cache_enter(struct cache *cache)
{
	if (__builtin_expect(
		    atomic_exchange_explicit(&cache->owner_word, 1, memory_order_acquire) != 0, 0))
		cache_enter_slow(cache);
}

static inline void cache_leave(struct cache *cache)
{
	atomic_store_explicit(&cache->owner_word, 0, memory_order_release);
}

static inline void cache_seize(struct cache *cache)
{
	cache_enter(cache);
}

static inline void cache_release(struct cache *cache)
{
	cache_leave(cache);
}

#endif
