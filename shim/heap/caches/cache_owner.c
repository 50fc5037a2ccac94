/* Who may touch a cache: the owner, or one thief. */
#include "shim/heap/caches/cache_owner.h"

#include "shim/heap/base/os.h"

/* A wish is its drain's number, and in the lowest bit its kind; the first is over CACHE_TAKEN. */
#define WISH_MARK 1U
#define WISH_STEP 2U

uint32_t cache_wish_new(enum cache_wish wish)
{
	static _Atomic uint32_t last;
	uint32_t number;

	do
		number = atomic_fetch_add_explicit(&last, WISH_STEP, memory_order_relaxed) +
			 WISH_STEP;
	while (number == 0);
	return number + (wish == CACHE_MARK ? WISH_MARK : 0);
}

static enum cache_wish wish_kind(uint32_t taken)
{
	if (taken <= CACHE_TAKEN)
		return CACHE_NO_WISH;
	return (taken & WISH_MARK) != 0 ? CACHE_MARK : CACHE_EMPTY;
}

bool cache_ask(struct cache *cache, uint32_t wish)
{
	uint32_t taken = atomic_load_explicit(&cache->taken, memory_order_relaxed);

	do {
		if (taken == CACHE_TAKEN ||
			(wish_kind(taken) == CACHE_EMPTY && wish_kind(wish) == CACHE_MARK))
			return false;
	} while (!atomic_compare_exchange_weak_explicit(
		&cache->taken, &taken, wish, memory_order_relaxed, memory_order_relaxed));
	return true;
}

bool cache_seize(struct cache *cache, uint32_t wish)
{
	uint32_t expected = wish;

	if (!lock_try(&cache->thief))
		return false;
	if (atomic_compare_exchange_strong_explicit(&cache->taken, &expected, CACHE_TAKEN,
		    memory_order_relaxed, memory_order_relaxed)) {
		if (atomic_load_explicit(&cache->busy, memory_order_acquire) == 0)
			return true;
		atomic_store_explicit(&cache->taken, wish, memory_order_relaxed);
	}
	lock_drop(&cache->thief);
	return false;
}

void cache_release(struct cache *cache)
{
	atomic_store_explicit(&cache->taken, 0, memory_order_release);
	lock_drop(&cache->thief);
}

enum cache_wish cache_fulfil(struct cache *cache)
{
	uint32_t taken = atomic_load_explicit(&cache->taken, memory_order_relaxed);

	while (taken > CACHE_TAKEN)
		if (atomic_compare_exchange_weak_explicit(
			    &cache->taken, &taken, 0, memory_order_acquire, memory_order_relaxed))
			return wish_kind(taken);
	return CACHE_NO_WISH;
}

void cache_keep_owners_out(struct cache *first)
{
	bool alone = true;
	bool fenced = true;

	for (struct cache *cache = first; cache != NULL; cache = cache->next) {
		if (cache == cache_self)
			continue;
		cache->fork_taken =
			atomic_exchange_explicit(&cache->taken, CACHE_TAKEN, memory_order_relaxed);
		alone = false;
	}
	if (!alone)
		fenced = os_fence_threads() == 0;
	for (struct cache *cache = first; cache != NULL; cache = cache->next) {
		uint32_t busy = atomic_load_explicit(&cache->busy, memory_order_acquire);

		cache->fork_busy = fenced ? busy : CACHE_BUSY_UNKNOWN;
	}
}

void cache_let_owners_in(struct cache *first)
{
	for (struct cache *cache = first; cache != NULL; cache = cache->next)
		if (cache != cache_self)
			atomic_store_explicit(
				&cache->taken, cache->fork_taken, memory_order_release);
}

void cache_keep_thieves_out(struct cache *cache)
{
	lock_take(&cache->thief);
}
