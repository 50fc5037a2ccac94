#include "shim/heap/cache_owner.h"

#include "shim/heap/os.h"

/* Inside, an owner copies a few dozen pointers: one that takes longer is not running. */
#define SPINS 1000
#define WAIT_NS 20000U
#define WAITS 500

/* S3.  The kernel is asked to sleep: nobody wakes us, the owner's way out is a plain store. */
static bool owner_is_out(const struct cache *cache)
{
	for (unsigned i = 0; i < SPINS + WAITS; i++) {
		if (atomic_load_explicit(&cache->busy, memory_order_acquire) == 0)
			return true;
		if (i < SPINS)
			lock_pause();
		else
			os_wait((const uint32_t *)&cache->busy, 1, WAIT_NS);
	}
	return false;
}

static void give_up(struct cache *cache)
{
	atomic_store_explicit(&cache->drain_wanted, true, memory_order_relaxed);
	cache_release(cache);
}

bool cache_seize(struct cache *cache)
{
	lock_take(&cache->thief);
	if (cache == cache_self)
		return true;
	atomic_store_explicit(&cache->taken, 1, memory_order_relaxed);
	if (os_fence_threads() == 0 && owner_is_out(cache))
		return true;
	give_up(cache);
	return false;
}

void cache_release(struct cache *cache)
{
	atomic_store_explicit(&cache->taken, 0, memory_order_release);
	lock_drop(&cache->thief);
}

void cache_seize_all(struct cache *first)
{
	bool fenced = true;
	bool alone = true;

	for (struct cache *cache = first; cache != NULL; cache = cache->next) {
		lock_take_for_fork(&cache->thief);
		if (cache == cache_self || cache->thief.kept)
			continue;
		atomic_store_explicit(&cache->taken, 1, memory_order_relaxed);
		alone = false;
	}
	if (!alone)
		fenced = os_fence_threads() == 0;
	for (struct cache *cache = first; cache != NULL; cache = cache->next)
		cache->seized =
			cache == cache_self || cache->thief.kept || (fenced && owner_is_out(cache));
}

void cache_release_all(struct cache *first)
{
	for (struct cache *cache = first; cache != NULL; cache = cache->next) {
		if (!cache->thief.kept)
			atomic_store_explicit(&cache->taken, 0, memory_order_release);
		lock_drop_after_fork(&cache->thief);
	}
}

void cache_keep_thieves_out(struct cache *cache)
{
	lock_take(&cache->thief);
}
