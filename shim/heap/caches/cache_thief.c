/*
 * Thread caches, the thief's part: drains, and what a fork does to caches.  The owner's is cache.c,
 * who may touch what is decided by cache_owner.h.
 */
#include "shim/heap/caches/cache.h"

#include "shim/heap/base/os.h"
#include "shim/heap/base/page.h"
#include "shim/heap/caches/cache_owner.h"
#include "shim/heap/caches/cache_state.h"
#include "shim/heap/caches/transfer.h"
#include "shim/heap/slabs/central.h"

#define LOOK_NS 200000000U

static struct cache *first_cache(void)
{
	return atomic_load_explicit(&cache_registry.all, memory_order_acquire);
}

/* Draining -------------------------------------------------------------- */

/*
 * Thieves' lock held, owner outside.  Gives back the whole pages of the arrays of an empty
 * cache.  The call is short, and only an ending thread and a fork wait for the lock.
 */
static void cache_bare(struct cache *cache)
{
	uintptr_t first = round_up((uintptr_t)(cache + 1), os_page_bytes());
	uintptr_t end = ((uintptr_t)cache + cache_bytes()) & ~(os_page_bytes() - 1);
	struct os_range range = {.start = (void *)first, .bytes = end - first};

	/* Refused (locked memory), it is not tried again before it was used again. */
	if (first < end)
		(void)os_advise(&range, 1, OS_DONTNEED);
	atomic_store_explicit(&cache->bare_calls,
		atomic_load_explicit(&cache->slow_calls, memory_order_relaxed),
		memory_order_relaxed);
}

static bool cache_is_bare(const struct cache *cache)
{
	return atomic_load_explicit(&cache->bare_calls, memory_order_relaxed) ==
	       atomic_load_explicit(&cache->slow_calls, memory_order_relaxed);
}

static bool cache_has_slots(const struct cache *cache)
{
	for (unsigned c = 1; c <= CACHE_BINS; c++)
		if (cache_count(cache, c) != 0)
			return true;
	return false;
}

/* What a cache looks like from outside: changes, in all likelihood, with its use. */
static uint64_t cache_look(const struct cache *cache)
{
	uint64_t look = atomic_load_explicit(&cache->slow_calls, memory_order_relaxed);

	for (unsigned c = 1; c <= CACHE_BINS; c++)
		look = look * 31 + cache_count(cache, c);
	return look;
}

/* What is to be done with a cache about slots that were idle since before idle_before_ns, as far as
 * passes have looked. */
static enum cache_wish cache_due(struct cache *cache, uint64_t idle_before_ns)
{
	uint64_t look = cache_look(cache);
	uint64_t now_ns = os_now_ns();
	enum cache_wish due = CACHE_NO_WISH;

	if (!cache_has_slots(cache) && cache_is_bare(cache))
		return CACHE_NO_WISH;
	if (idle_before_ns == UINT64_MAX)
		return CACHE_EMPTY;
	if (!lock_try(&cache->thief))
		return CACHE_NO_WISH;
	if (cache->seen != look || cache->seen_since_ns == 0) {
		cache->seen = look;
		cache->seen_since_ns = now_ns;
	}
	if (cache->seen_since_ns <= idle_before_ns) {
		due = CACHE_EMPTY;
	} else if (cache->marked_ns <= idle_before_ns) {
		due = CACHE_MARK;
		cache->marked_ns = now_ns;
	}
	lock_drop(&cache->thief);
	return due;
}

/* Thieves' lock held, owner outside. */
static void cache_sweep(struct cache *cache, enum cache_wish wish)
{
	if (wish == CACHE_EMPTY) {
		cache_empty(cache);
		cache_runs_charge(cache, 0);
		cache_bare(cache);
		return;
	}
	for (unsigned c = 1; c <= CACHE_BINS; c++)
		cache_age(cache, c);
	cache->seen = cache_look(cache);
}

/* Looking at what is idle is not for every pass. */
static bool idle_look_is_due(void)
{
	uint64_t now_ns = os_now_coarse_ns();
	uint64_t before_ns = atomic_load_explicit(&cache_registry.looked_ns, memory_order_relaxed);

	return now_ns - before_ns >= LOOK_NS &&
	       atomic_compare_exchange_strong(&cache_registry.looked_ns, &before_ns, now_ns);
}

/* The calling thread's own, which it is outside of. */
static void cache_sweep_self(enum cache_wish wish)
{
	struct cache *cache = cache_self;

	if (wish == CACHE_NO_WISH || !lock_try(&cache->thief))
		return;
	if (cache_fulfil(cache) == CACHE_EMPTY)
		wish = CACHE_EMPTY;
	cache_sweep(cache, wish);
	lock_drop(&cache->thief);
}

/* Empties or marks those that were asked and that nobody saw to since. */
static void cache_sweep_asked(uint32_t wish, enum cache_wish kind)
{
	for (struct cache *cache = first_cache(); cache != NULL; cache = cache->next) {
		if (!cache_seize(cache, wish))
			continue;
		cache_sweep(cache, kind);
		cache_release(cache);
	}
}

void cache_drain_all(uint64_t idle_before_ns)
{
	uint32_t wishes[] = {
		[CACHE_EMPTY] = cache_wish_new(CACHE_EMPTY),
		[CACHE_MARK] = cache_wish_new(CACHE_MARK),
	};
	bool asked[] = {[CACHE_EMPTY] = false, [CACHE_MARK] = false};
	enum cache_wish own = CACHE_NO_WISH;

	if (idle_before_ns != UINT64_MAX && !idle_look_is_due())
		return;
	for (struct cache *cache = first_cache(); cache != NULL; cache = cache->next) {
		enum cache_wish due = cache_due(cache, idle_before_ns);

		if (cache == cache_self)
			own = due;
		else if (due != CACHE_NO_WISH && cache_ask(cache, wishes[due]))
			asked[due] = true;
	}
	cache_sweep_self(own);
	transfer_drain(idle_before_ns);
	if ((!asked[CACHE_EMPTY] && !asked[CACHE_MARK]) || os_fence_threads() != 0)
		return;
	/* Twice: who was inside at first may be parked by now. */
	for (int round = 0; round < 2; round++)
		for (enum cache_wish kind = CACHE_EMPTY; kind <= CACHE_MARK; kind++)
			if (asked[kind])
				cache_sweep_asked(wishes[kind], kind);
}

/* Around a fork --------------------------------------------------------- */

uint64_t cache_check_locked(unsigned size_class)
{
	const struct cache *cache = atomic_load_explicit(&cache_registry.all, memory_order_acquire);
	uint64_t slots = 0;

	for (; cache != NULL; cache = cache->next)
		slots += cache_count(cache, size_class);
	return slots + transfer_check_locked(size_class);
}

void cache_registry_locks(void (*visit)(struct lock *lock))
{
	visit(&cache_registry.lock);
}

void cache_thief_locks(void (*visit)(struct lock *lock))
{
	for (struct cache *cache = first_cache(); cache != NULL; cache = cache->next)
		visit(&cache->thief);
}

void cache_fork_prepare(void)
{
	cache_keep_owners_out(first_cache());
}

void cache_fork_done(void)
{
	cache_let_owners_in(first_cache());
}

static bool cache_is_unowned(const struct cache *cache)
{
	const struct cache *one = cache_registry.unowned;

	while (one != NULL && one != cache)
		one = one->next_free;
	return one != NULL;
}

static void bin_forget(struct cache *cache, unsigned size_class)
{
	bin_set_top(&cache->bins[size_class], cache->rooms[size_class].base);
	cache->rooms[size_class].cold = 0;
}

static void bin_forget_topmost(struct cache *cache, unsigned size_class)
{
	struct bin *bin = &cache->bins[size_class];

	bin_unmark(&cache->rooms[size_class]);
	if (cache_count(cache, size_class) != 0)
		bin_set_top(bin, bin_top(bin) - 1);
}

/* In the child: leaves out of a cache what its owner was changing while memory was copied. */
static void cache_repair(struct cache *cache)
{
	uint32_t busy = cache->fork_busy;

	for (unsigned c = 1; c <= CACHE_BINS; c++) {
		if (busy == CACHE_BUSY_UNKNOWN || busy == CACHE_BUSY_IN(c))
			bin_forget(cache, c);
		else if (busy == CACHE_FAST && c <= SIZE_CLASSES)
			bin_forget_topmost(cache, c);
	}
	cache->empties = false;
	atomic_store_explicit(&cache->busy, 0, memory_order_relaxed);
}

void cache_fork_child(void)
{
	for (struct cache *cache = first_cache(); cache != NULL; cache = cache->next)
		/* One that this thread is sweeping stays as it is until it goes on with that. */
		if (cache != cache_self && !cache->thief.kept)
			cache_repair(cache);
	cache_fork_done();
}

void cache_after_fork(bool inside)
{
	for (struct cache *cache = first_cache(); cache != NULL; cache = cache->next) {
		if (inside || cache == cache_self || cache_is_unowned(cache))
			continue;
		cache_clear(cache);
		/* Its owner may have been adding to it. */
		cache->limit_bytes = 0;
		cache->run_limit_bytes = 0;
		cache_pass_on(cache);
		transfer_cache_left();
	}
}
