/* Thread caches, bins of large blocks: the owner's part. */
#include "shim/heap/caches/cache.h"

#include "shim/heap/caches/cache_owner.h"
#include "shim/heap/caches/cache_state.h"
#include "shim/heap/caches/transfer.h"
#include "shim/heap/pages/page_map.h"
#include "shim/heap/pages/run.h"
#include "shim/heap/slabs/central.h"

static _Atomic size_t charged_bytes; /* of RUN_BYTES_ALL, by all caches */

/* The end of blocks ------------------------------------------------------------ */

static void run_return(void *block)
{
	struct span *span = page_map_span(page_map_get(block));

	page_map_set((uintptr_t)block, 1, NULL, 0);
	run_put(span);
}

void bin_return(unsigned bin, void *const *slots, unsigned count)
{
	if (bin <= SIZE_CLASSES) {
		central_put(bin, slots, count);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		run_return(slots[i]);
}

/* Limits ------------------------------------------------------------------------ */

void cache_runs_charge(struct cache *cache, size_t bytes)
{
	size_t before = atomic_exchange_explicit(&cache->run_charged, bytes, memory_order_relaxed);

	atomic_fetch_add_explicit(&charged_bytes, bytes - before, memory_order_relaxed);
}

/* A bin may keep fewer from now on. */
static void lower(struct cache *cache, unsigned bin, unsigned limit)
{
	cache_set_limit(cache, bin, limit);
	while (cache_shed_over(cache, bin, limit))
		;
}

/* A scavenger emptied the cache since limits grew. */
static bool was_emptied(const struct cache *cache)
{
	return cache->run_limit_bytes != 0 &&
	       atomic_load_explicit(&cache->run_charged, memory_order_relaxed) == 0;
}

void cache_runs_fall(struct cache *cache, uint64_t since_ns)
{
	bool emptied = was_emptied(cache);

	if (cache->run_limit_bytes == 0)
		return;
	for (unsigned bin = CACHE_BINS; bin > SIZE_CLASSES; bin--) {
		uint32_t *hits = &cache->run_hits[bin - SIZE_CLASSES];
		uint64_t worth = cache_bin_bytes(bin) / RUN_MISS_BYTES;
		unsigned limit = cache_limit(cache, bin);

		worth *= since_ns / RUN_FALL_NS;
		if (limit != 0 && (emptied || *hits < worth))
			lower(cache, bin, emptied ? 0 : limit / 2);
		*hits = 0;
	}
	cache_runs_charge(cache, cache->run_limit_bytes);
}

/* Another bin gives up half of its limit. */
static void shrink_another(struct cache *cache, unsigned bin)
{
	unsigned most = 0;
	unsigned victim = 0;

	for (unsigned b = SIZE_CLASSES + 1; b <= CACHE_BINS; b++) {
		unsigned bytes = cache_limit(cache, b) * (unsigned)cache_bin_bytes(b);

		if (b != bin && bytes > most) {
			most = bytes;
			victim = b;
		}
	}
	if (victim != 0)
		lower(cache, victim, cache_limit(cache, victim) / 2);
}

/* A bin ran dry or over. */
static void grow(struct cache *cache, unsigned bin)
{
	struct bin_room *room = &cache->rooms[bin];
	size_t bytes = cache_bin_bytes(bin);
	unsigned before = cache_limit(cache, bin);
	unsigned limit = before != 0 ? before * 2 : 1;
	size_t more;

	if (before == room->room || ++room->misses < bytes / RUN_MISS_BYTES)
		return;
	room->misses = 0;
	if (limit > room->room)
		limit = room->room;
	more = (limit - before) * bytes;
	if (cache->run_limit_bytes + more > RUN_BYTES_MAX)
		shrink_another(cache, bin);
	if (cache->run_limit_bytes + more <= RUN_BYTES_MAX &&
		atomic_load_explicit(&charged_bytes, memory_order_relaxed) + more <= RUN_BYTES_ALL)
		cache_set_limit(cache, bin, limit);
	cache_runs_charge(cache, cache->run_limit_bytes);
}

/* Taking and putting ---------------------------------------------------------------- */

static void *pop(struct cache *cache, unsigned bin)
{
	void **top;
	void *block;

	if (!cache_enter_bin(cache, bin))
		return NULL;
	top = bin_top(&cache->bins[bin]);
	block = *top;
	if (block != NULL)
		bin_set_top(&cache->bins[bin], top - 1);
	cache_leave(cache);
	return block;
}

static bool push(struct cache *cache, unsigned bin, void *block)
{
	void **top;
	bool fits;

	if (!cache_enter_bin(cache, bin))
		return false;
	top = bin_top(&cache->bins[bin]);
	fits = top < cache->bins[bin].end;
	if (fits) {
		top[1] = block;
		bin_set_top(&cache->bins[bin], top + 1);
	}
	cache_leave(cache);
	return fits;
}

/* What another thread put into the bin's stack, or NULL. */
static void *take_missed(unsigned bin)
{
	struct cache *cache = cache_get();
	void *block = NULL;
	unsigned cold;

	if (cache == NULL)
		return NULL;
	cache_attend(cache);
	(void)cache_turn_over(cache, bin, &cold);
	if (cold != 0)
		return NULL;
	grow(cache, bin);
	(void)transfer_take(bin, &block, 1);
	return block;
}

void *cache_run_take(size_t pages)
{
	unsigned bin = SIZE_CLASSES + run_bin_of(pages);
	void *block = pop(cache_self, bin);

	if (block != NULL)
		cache_self->run_hits[bin - SIZE_CLASSES]++;
	else
		block = take_missed(bin);
	if (block != NULL)
		page_map_unkeep((uintptr_t)block);
	return block;
}

bool cache_run_put(void *block, size_t pages)
{
	unsigned bin = SIZE_CLASSES + run_bin_of(pages);
	struct cache *cache;

	if (push(cache_self, bin, block))
		return true;
	cache = cache_get();
	if (cache == NULL)
		return false;
	cache_attend(cache);
	if (bin_top(&cache->bins[bin]) >= cache->bins[bin].end)
		grow(cache, bin);
	return push(cache, bin, block) || transfer_put(bin, &block, 1);
}

void cache_run_stats(uint64_t *blocks, uint64_t *bytes)
{
	const struct cache *cache = atomic_load_explicit(&cache_registry.all, memory_order_acquire);

	*blocks = 0;
	*bytes = 0;
	for (; cache != NULL; cache = cache->next) {
		for (unsigned bin = SIZE_CLASSES + 1; bin <= CACHE_BINS; bin++) {
			uint64_t count = cache_count(cache, bin);

			*blocks += count;
			*bytes += count * cache_bin_bytes(bin);
		}
	}
	transfer_run_stats(blocks, bytes);
}
