#include "shim/heap/cache.h"

#include "shim/heap/cache_owner.h"
#include "shim/heap/central.h"
#include "shim/heap/heap.h"
#include "shim/heap/lock.h"
#include "shim/heap/meta.h"
#include "shim/heap/os.h"

#include <string.h>

#define SPINS 100
#define WAIT_NS 50000U
#define FIRST_LIMIT_BYTES 4096U

__thread struct cache *cache_self;

static struct {
	struct lock lock;
	struct cache *_Atomic all;
	struct cache *unowned;
	void (*_Atomic hook)(void);
} registry;

void cache_enter_slow(struct cache *cache)
{
	for (unsigned i = 0;; i++) {
		if (atomic_load_explicit(&cache->owner_word, memory_order_relaxed) == 0 &&
			atomic_exchange_explicit(&cache->owner_word, 1, memory_order_acquire) == 0)
			return;
		if (i < SPINS)
			lock_pause();
		else
			os_wait((const uint32_t *)&cache->owner_word, 1, WAIT_NS);
	}
}

/* Making --------------------------------------------------------------- */

static uint16_t class_room(unsigned size_class)
{
	size_t slots = CACHE_CLASS_BYTES / size_classes[size_class].bytes;

	if (slots > CACHE_CLASS_SLOTS)
		slots = CACHE_CLASS_SLOTS;
	return (uint16_t)(slots < 4 ? 4 : slots);
}

static struct cache *cache_make(void)
{
	size_t slots = 0;
	struct cache *cache;
	void **at;

	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		slots += class_room(c);
	cache = meta_take(sizeof *cache + slots * sizeof(void *));
	if (cache == NULL)
		return NULL;
	memset(cache, 0, sizeof *cache);
	cache->victim = SIZE_CLASSES;
	at = (void **)(cache + 1);
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		cache->bins[c].room = class_room(c);
		cache->bins[c].slots = at;
		at += cache->bins[c].room;
	}
	return cache;
}

void heap_set_cache_hook(void (*hook)(void))
{
	atomic_store_explicit(&registry.hook, hook, memory_order_release);
}

/* The calling thread's cache, made if there is none; NULL where there can be none. */
static struct cache *cache_get(void)
{
	void (*hook)(void);
	struct cache *cache = cache_self;

	if (cache != NULL)
		return cache_is_usable(cache) ? cache : NULL;
	lock_take(&registry.lock);
	cache = registry.unowned;
	if (cache != NULL)
		registry.unowned = cache->next_free;
	lock_drop(&registry.lock);
	if (cache == NULL) {
		cache = cache_make();
		if (cache == NULL)
			return NULL;
		lock_take(&registry.lock);
		cache->next = atomic_load_explicit(&registry.all, memory_order_relaxed);
		atomic_store_explicit(&registry.all, cache, memory_order_release);
		lock_drop(&registry.lock);
	}
	cache_self = cache;
	hook = atomic_load_explicit(&registry.hook, memory_order_acquire);
	if (hook != NULL)
		hook();
	return cache_is_usable(cache_self) ? cache_self : NULL;
}

/* Limits --------------------------------------------------------------- */

/* Up to CENTRAL_BATCH of a bin's slots, the coldest, move to `slots`.  Inside. */
static unsigned bin_shed(struct bin *bin, unsigned most, void **slots)
{
	uint32_t count = bin_count(bin);
	unsigned shed = most < count ? most : count;

	if (shed > CENTRAL_BATCH)
		shed = CENTRAL_BATCH;
	memcpy(slots, bin->slots, shed * sizeof *slots);
	memmove(bin->slots, bin->slots + shed, (count - shed) * sizeof *slots);
	bin_set_count(bin, count - shed);
	return shed;
}

/* Another class gives up half of its limit.  Outside. */
static void cache_shrink_another(struct cache *cache, unsigned size_class)
{
	void *slots[CENTRAL_BATCH];

	for (unsigned i = 0; i < SIZE_CLASSES; i++) {
		unsigned c = cache->victim;
		struct bin *bin = &cache->bins[c];
		uint16_t limit;

		cache->victim = c > 1 ? c - 1 : SIZE_CLASSES;
		if (c == size_class || bin->limit == 0)
			continue;
		cache_enter(cache);
		limit = bin->limit / 2;
		cache->limit_bytes -= (bin->limit - limit) * (size_t)size_classes[c].bytes;
		bin->limit = limit;
		while (bin_count(bin) > limit) {
			unsigned shed = bin_shed(bin, bin_count(bin) - limit, slots);

			cache_leave(cache);
			central_put(c, slots, shed);
			cache_enter(cache);
		}
		cache_leave(cache);
		return;
	}
}

/* A class ran dry or over: it may keep more from now on.  Outside. */
static void cache_grow_limit(struct cache *cache, unsigned size_class)
{
	struct bin *bin = &cache->bins[size_class];
	size_t bytes = size_classes[size_class].bytes;
	size_t limit = bin->limit * (size_t)2;

	if (bin->limit == bin->room)
		return;
	if (limit == 0)
		limit = bytes < FIRST_LIMIT_BYTES / 2 ? FIRST_LIMIT_BYTES / bytes : 2;
	if (limit > bin->room)
		limit = bin->room;
	if (cache->limit_bytes + (limit - bin->limit) * bytes > CACHE_BYTES_MAX) {
		cache_shrink_another(cache, size_class);
		if (cache->limit_bytes + (limit - bin->limit) * bytes > CACHE_BYTES_MAX)
			return;
	}
	cache_enter(cache);
	cache->limit_bytes += (limit - bin->limit) * bytes;
	bin->limit = (uint16_t)limit;
	cache_leave(cache);
}

/* Slow paths ------------------------------------------------------------ */

void *cache_take_slow(unsigned size_class)
{
	struct cache *cache = cache_get();
	void *slots[CENTRAL_BATCH];
	unsigned want = 1;
	unsigned got;
	unsigned kept;

	if (cache != NULL) {
		cache_grow_limit(cache, size_class);
		want = cache->bins[size_class].limit / 2 + 1U;
		if (want > CENTRAL_BATCH)
			want = CENTRAL_BATCH;
	}
	got = central_take(size_class, slots, want);
	if (got <= 1)
		return got == 1 ? slots[0] : NULL;
	cache_enter(cache);
	for (kept = 1; kept < got; kept++) {
		struct bin *bin = &cache->bins[size_class];
		uint32_t count = bin_count(bin);

		if (count >= bin->limit)
			break;
		/* The lowest address is to be popped first. */
		bin->slots[count] = slots[got - kept];
		bin_set_count(bin, count + 1);
	}
	cache_leave(cache);
	if (kept < got)
		central_put(size_class, slots + 1, got - kept);
	return slots[0];
}

void cache_put_slow(unsigned size_class, void *slot)
{
	struct cache *cache = cache_get();
	void *slots[CENTRAL_BATCH];
	struct bin *bin;
	unsigned shed = 0;

	if (cache == NULL) {
		central_put(size_class, &slot, 1);
		return;
	}
	cache_grow_limit(cache, size_class);
	bin = &cache->bins[size_class];
	cache_enter(cache);
	if (bin_count(bin) >= bin->limit && bin->limit != 0)
		shed = bin_shed(bin, bin->limit / 2 + 1U, slots);
	if (bin_count(bin) < bin->limit) {
		bin->slots[bin_count(bin)] = slot;
		bin_set_count(bin, bin_count(bin) + 1);
	} else {
		slots[shed++] = slot;
	}
	cache_leave(cache);
	if (shed != 0)
		central_put(size_class, slots, shed);
}

/* Taking over ----------------------------------------------------------- */

/* The owner may run and refill: what it puts back after a bin was emptied once stays. */
static void cache_drain(struct cache *cache)
{
	void *slots[CENTRAL_BATCH];

	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		for (unsigned i = 0; i <= CACHE_CLASS_SLOTS / CENTRAL_BATCH; i++) {
			unsigned shed;

			if (bin_count(&cache->bins[c]) == 0)
				break;
			cache_seize(cache);
			shed = bin_shed(&cache->bins[c], CENTRAL_BATCH, slots);
			cache_release(cache);
			if (shed != 0)
				central_put(c, slots, shed);
		}
	}
}

void cache_drain_all(void)
{
	struct cache *cache = atomic_load_explicit(&registry.all, memory_order_acquire);

	for (; cache != NULL; cache = cache->next)
		cache_drain(cache);
}

static void cache_abandon(struct cache *cache)
{
	cache_drain(cache);
	cache_seize(cache);
	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		cache->bins[c].limit = 0;
	cache->limit_bytes = 0;
	cache_release(cache);
	lock_take(&registry.lock);
	cache->next_free = registry.unowned;
	registry.unowned = cache;
	lock_drop(&registry.lock);
}

void heap_thread_exit(void)
{
	struct cache *cache = cache_self;

	cache_self = CACHE_GONE;
	if (cache_is_usable(cache))
		cache_abandon(cache);
}

void cache_stats(uint64_t *slots, uint64_t *bytes)
{
	const struct cache *cache = atomic_load_explicit(&registry.all, memory_order_acquire);

	*slots = 0;
	*bytes = 0;
	for (; cache != NULL; cache = cache->next) {
		for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
			uint64_t count = bin_count(&cache->bins[c]);

			*slots += count;
			*bytes += count * size_classes[c].bytes;
		}
	}
}

uint64_t cache_check_locked(unsigned size_class)
{
	const struct cache *cache = atomic_load_explicit(&registry.all, memory_order_acquire);
	uint64_t slots = 0;

	for (; cache != NULL; cache = cache->next)
		slots += bin_count(&cache->bins[size_class]);
	return slots;
}

void cache_lock_all(void)
{
	struct cache *cache;

	lock_take(&registry.lock);
	cache = atomic_load_explicit(&registry.all, memory_order_acquire);
	for (; cache != NULL; cache = cache->next)
		cache_seize(cache);
}

void cache_unlock_all(void)
{
	struct cache *cache = atomic_load_explicit(&registry.all, memory_order_acquire);

	for (; cache != NULL; cache = cache->next)
		cache_release(cache);
	lock_drop(&registry.lock);
}

static bool cache_is_unowned(const struct cache *cache)
{
	const struct cache *one = registry.unowned;

	while (one != NULL && one != cache)
		one = one->next_free;
	return one != NULL;
}

void cache_after_fork(void)
{
	struct cache *cache = atomic_load_explicit(&registry.all, memory_order_acquire);

	for (; cache != NULL; cache = cache->next)
		if (cache != cache_self && !cache_is_unowned(cache))
			cache_abandon(cache);
}
