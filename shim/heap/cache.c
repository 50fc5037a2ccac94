#include "shim/heap/cache.h"

#include "shim/heap/cache_owner.h"
#include "shim/heap/central.h"
#include "shim/heap/heap.h"
#include "shim/heap/meta.h"
#include "shim/heap/os.h"

#include <string.h>

#define FIRST_LIMIT_BYTES 4096U
#define LOOK_NS 200000000U
/* No more than about these are fetched at once. */
#define TAKE_BYTES 32768U
/* The limit of a class of large slots grows with one miss, of a put or a take, for so many bytes of
 * a slot.  64 KiB kept for FALL_NS cost 15 us at the default price of idle pages: some 128
 * trips to the class, of a hundred ns or two each.
 */
#define MISS_BYTES 512U
#define LARGE_BYTES 2048U
#define FALL_NS 250000000U
#define ROOM_MIN 4U
#define ROOM_MIN_OVER_32K 2U

struct cache cache_none = {.taken = 1};
__thread struct cache *cache_self = &cache_none;

/* The calling thread has been through heap_thread_exit. */
static __thread bool self_is_gone;

static struct {
	struct lock lock;
	struct cache *_Atomic all;
	struct cache *unowned;
	_Atomic uint64_t looked_ns;
	void (*_Atomic hook)(void);
	_Atomic bool without; /* no thread gets a cache */
} registry;

/* Making --------------------------------------------------------------- */

static uint16_t class_room(unsigned size_class)
{
	size_t bytes = size_classes[size_class].bytes;
	size_t slots = CACHE_CLASS_BYTES / bytes;
	size_t least = bytes > ((size_t)32 << 10) ? ROOM_MIN_OVER_32K : ROOM_MIN;

	if (slots > CACHE_CLASS_SLOTS)
		slots = CACHE_CLASS_SLOTS;
	return (uint16_t)(slots < least ? least : slots);
}

static size_t cache_bytes(void)
{
	size_t slots = 0;

	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		slots += class_room(c) + 1;
	return sizeof(struct cache) + slots * sizeof(void *);
}

/* The arrays are left as they come, which is zero: what is not used stays untouched. */
static struct cache *cache_make(void)
{
	struct cache *cache = meta_take(cache_bytes());
	void **at;

	if (cache == NULL)
		return NULL;
	cache->victim = SIZE_CLASSES;
	at = (void **)(cache + 1);
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		cache->rooms[c] = (struct bin_room){.base = at, .room = class_room(c)};
		cache->bins[c].end = at;
		bin_set_top(&cache->bins[c], at);
		at += cache->rooms[c].room + 1;
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

	if (cache != &cache_none)
		return cache;
	if (self_is_gone || atomic_load_explicit(&registry.without, memory_order_relaxed))
		return NULL;
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
	return cache_self != &cache_none ? cache_self : NULL;
}

/* Marks ----------------------------------------------------------------- */

/* Inside, as all of these; the bin has no mark, and at least so many slots. */
static void bin_mark(struct bin_room *room, unsigned count, bool changed)
{
	room->cold_slot = room->base[count];
	room->base[count] = NULL;
	room->cold = (uint16_t)count;
	room->changed = changed;
}

static void bin_unmark(struct bin_room *room)
{
	if (room->cold != 0)
		room->base[room->cold] = room->cold_slot;
	room->cold = 0;
}

/* Limits --------------------------------------------------------------- */

/* Up to CENTRAL_BATCH of a class's slots, the coldest, move to `slots`.  Inside. */
static unsigned cache_shed(struct cache *cache, unsigned size_class, unsigned most, void **slots)
{
	void **first = cache->rooms[size_class].base + 1;
	unsigned count = cache_count(cache, size_class);
	unsigned shed = most < count ? most : count;

	if (shed > CENTRAL_BATCH)
		shed = CENTRAL_BATCH;
	bin_unmark(&cache->rooms[size_class]);
	memcpy(slots, first, shed * sizeof *slots);
	memmove(first, first + shed, (count - shed) * sizeof *slots);
	bin_set_top(&cache->bins[size_class], first - 1 + (count - shed));
	return shed;
}

/* One batch of a class, if more than `keep` are there, goes back to it; false: they are not. */
static bool cache_shed_over(struct cache *cache, unsigned size_class, unsigned keep)
{
	void *slots[CENTRAL_BATCH];
	unsigned shed = 0;

	if (cache_count(cache, size_class) <= keep || !cache_enter(cache))
		return false;
	if (cache_count(cache, size_class) > keep)
		shed = cache_shed(cache, size_class, cache_count(cache, size_class) - keep, slots);
	cache_leave(cache);
	if (shed != 0)
		central_put(size_class, slots, shed);
	return shed != 0;
}

/* A bin that its owner emptied down to a mark gives up what is under it; *cold: how many these
 * were.  Where that was done already the mark goes, and a slot from under it is returned. */
static void *cache_turn_over(struct cache *cache, unsigned size_class, unsigned *cold)
{
	struct bin_room *room = &cache->rooms[size_class];
	void *slot = NULL;

	*cold = 0;
	if (!cache_enter(cache))
		return NULL;
	if (!room->changed) {
		*cold = room->cold;
	} else if (room->cold != 0 && room->cold == cache_count(cache, size_class)) {
		bin_unmark(room);
		slot = *bin_top(&cache->bins[size_class]);
		bin_set_top(&cache->bins[size_class], bin_top(&cache->bins[size_class]) - 1);
	}
	cache_leave(cache);
	while (*cold != 0 && cache_shed_over(cache, size_class, 0))
		;
	return slot;
}

static void cache_set_limit(struct cache *cache, unsigned size_class, unsigned limit)
{
	size_t bytes = size_classes[size_class].bytes;

	cache->limit_bytes += limit * bytes;
	cache->limit_bytes -= cache_limit(cache, size_class) * bytes;
	cache->bins[size_class].end = cache->rooms[size_class].base + limit;
	cache->rooms[size_class].misses = 0;
}

/* Another class gives up half of its limit.  Outside. */
static void cache_shrink_another(struct cache *cache, unsigned size_class)
{
	for (unsigned i = 0; i < SIZE_CLASSES; i++) {
		unsigned c = cache->victim;
		unsigned limit = cache_limit(cache, c);

		cache->victim = c > 1 ? c - 1 : SIZE_CLASSES;
		if (c == size_class || limit == 0)
			continue;
		cache_set_limit(cache, c, limit / 2);
		while (cache_shed_over(cache, c, limit / 2))
			;
		return;
	}
}

/* A class ran dry or over: it may keep more from now on.  Outside. */
static void cache_grow_limit(struct cache *cache, unsigned size_class)
{
	unsigned bytes = size_classes[size_class].bytes;
	unsigned room = cache->rooms[size_class].room;
	unsigned before = cache_limit(cache, size_class);
	unsigned limit = before * 2;

	if (before == room ||
		(bytes > LARGE_BYTES && ++cache->rooms[size_class].misses < bytes / MISS_BYTES))
		return;
	if (limit == 0)
		limit = bytes < FIRST_LIMIT_BYTES ? FIRST_LIMIT_BYTES / bytes : 1;
	if (limit > room)
		limit = room;
	if (cache->limit_bytes + (limit - before) * (size_t)bytes > CACHE_BYTES_MAX) {
		cache_shrink_another(cache, size_class);
		if (cache->limit_bytes + (limit - before) * (size_t)bytes > CACHE_BYTES_MAX)
			return;
	}
	cache_set_limit(cache, size_class, limit);
}

/* Large slots are to be missed again.  Outside. */
static void cache_limits_fall(struct cache *cache)
{
	for (unsigned c = SIZE_CLASSES; size_classes[c].bytes > LARGE_BYTES; c--) {
		unsigned limit = cache_limit(cache, c) / 2;

		cache_set_limit(cache, c, limit);
		while (cache_shed_over(cache, c, limit))
			;
	}
}

/* Slow paths ------------------------------------------------------------ */

/* What every slow call does first: what a thief could not do, and a sign of life. */
static void cache_attend(struct cache *cache)
{
	uint32_t calls = atomic_load_explicit(&cache->slow_calls, memory_order_relaxed);
	uint64_t now_ns = os_now_coarse_ns();
	bool kept_out = false;

	if (now_ns - cache->fallen_ns >= FALL_NS) {
		cache->fallen_ns = now_ns;
		cache_limits_fall(cache);
	}
	atomic_store_explicit(&cache->slow_calls, calls + 1, memory_order_relaxed);
	if (!atomic_load_explicit(&cache->drain_wanted, memory_order_relaxed))
		return;
	atomic_store_explicit(&cache->drain_wanted, false, memory_order_relaxed);
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		while (cache_shed_over(cache, c, 0))
			;
		kept_out |= cache_count(cache, c) != 0;
	}
	if (kept_out)
		atomic_store_explicit(&cache->drain_wanted, true, memory_order_relaxed);
}

void *cache_take_slow(unsigned size_class)
{
	struct cache *cache = cache_get();
	void *slots[CENTRAL_BATCH];
	void *slot;
	unsigned cold;
	unsigned want;
	unsigned got;
	unsigned kept = 1;

	if (cache == NULL)
		return central_take(size_class, slots, 1) == 1 ? slots[0] : NULL;
	cache_attend(cache);
	slot = cache_turn_over(cache, size_class, &cold);
	if (slot != NULL)
		return slot;
	/* Where that is more than a fetch, the bin comes down faster. */
	want = cold * size_classes[size_class].bytes > TAKE_BYTES ? cold / 2 : cold;
	if (want == 0) {
		cache_grow_limit(cache, size_class);
		want = cache_limit(cache, size_class) / 2 + 1;
		if (want > TAKE_BYTES / size_classes[size_class].bytes)
			want = TAKE_BYTES / size_classes[size_class].bytes + 1;
	}
	if (want > CENTRAL_BATCH)
		want = CENTRAL_BATCH;
	got = central_take(size_class, slots, want);
	if (got <= 1)
		return got == 1 ? slots[0] : NULL;
	if (cache_enter(cache)) {
		struct bin *bin = &cache->bins[size_class];
		void **top = bin_top(bin);

		/* The lowest address is to be popped first. */
		for (; kept < got && top < bin->end; kept++)
			*++top = slots[got - kept];
		bin_set_top(bin, top);
		if (cold != 0 && kept > 2 && cache->rooms[size_class].cold == 0)
			bin_mark(&cache->rooms[size_class], kept / 2, true);
		cache_leave(cache);
	}
	if (kept < got)
		central_put(size_class, slots + 1, got - kept);
	return slots[0];
}

void cache_put_slow(unsigned size_class, void *slot)
{
	struct cache *cache = cache_get();
	void *slots[CENTRAL_BATCH];
	unsigned shed = 0;
	bool twice = false;

	if (cache == NULL) {
		central_put(size_class, &slot, 1);
		return;
	}
	cache_attend(cache);
	cache_grow_limit(cache, size_class);
	if (cache_enter(cache)) {
		struct bin *bin = &cache->bins[size_class];
		unsigned most = cache_limit(cache, size_class) / 2 + 1;

		/* A bin may stay over its limit; then this slot goes along. */
		if (most > CENTRAL_BATCH - 1)
			most = CENTRAL_BATCH - 1;
		twice = *bin_top(bin) == slot;
		if (bin_top(bin) >= bin->end && cache_limit(cache, size_class) != 0)
			shed = cache_shed(cache, size_class, most, slots);
		if (bin_top(bin) < bin->end) {
			bin_top(bin)[1] = slot;
			bin_set_top(bin, bin_top(bin) + 1);
		} else {
			slots[shed++] = slot;
		}
		cache_leave(cache);
	} else {
		slots[shed++] = slot;
	}
	if (twice)
		os_panic("free(): double free", slot);
	if (shed != 0)
		central_put(size_class, slots, shed);
}

/* Taking over ----------------------------------------------------------- */

/* Seized, or nobody's, or the caller's own with thieves kept out. */
static void cache_empty(struct cache *cache)
{
	void *slots[CENTRAL_BATCH];

	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		while (cache_count(cache, c) != 0) {
			unsigned shed = cache_shed(cache, c, CENTRAL_BATCH, slots);

			central_put(c, slots, shed);
		}
	}
}

/*
 * Seized.  Gives back the whole pages of the arrays of an empty cache.  The thieves'
 * lock is held over the call, which is short and which only other thieves, an
 * ending thread and a fork wait for; the owner never does.
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
	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		if (cache_count(cache, c) != 0)
			return true;
	return false;
}

/* What a cache looks like from outside: changes, in all likelihood, with its use. */
static uint64_t cache_look(const struct cache *cache)
{
	uint64_t look = atomic_load_explicit(&cache->slow_calls, memory_order_relaxed);

	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		look = look * 31 + cache_count(cache, c);
	return look;
}

enum due { DUE_NOTHING, DUE_MARKS, DUE_ALL };

/* What is to be done with a cache about slots that were idle since before idle_before_ns, as far as
 * passes have looked. */
static enum due cache_due(struct cache *cache, uint64_t idle_before_ns)
{
	uint64_t look = cache_look(cache);
	enum due due = DUE_NOTHING;

	if (idle_before_ns == UINT64_MAX)
		return DUE_ALL;
	lock_take(&cache->thief);
	if (cache->seen != look || cache->seen_since_ns == 0) {
		cache->seen = look;
		cache->seen_since_ns = os_now_ns();
	}
	if (cache->seen_since_ns <= idle_before_ns)
		due = DUE_ALL;
	else if (cache->marked_ns <= idle_before_ns)
		due = DUE_MARKS;
	lock_drop(&cache->thief);
	return due;
}

/* Seized.  What is under a mark still goes; then each bin that has slots is marked. */
static void cache_age(struct cache *cache)
{
	void *slots[CENTRAL_BATCH];

	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		struct bin_room *room = &cache->rooms[c];
		unsigned cold = room->cold;
		unsigned count;

		while (cold != 0) {
			unsigned shed = cache_shed(cache, c, cold, slots);

			central_put(c, slots, shed);
			cold -= shed;
		}
		count = cache_count(cache, c);
		if (count != 0)
			bin_mark(room, count, false);
	}
	cache->marked_ns = os_now_ns();
	cache->seen = cache_look(cache);
}

/* Looking at what is idle is not for every pass. */
static bool idle_look_is_due(void)
{
	uint64_t now_ns = os_now_coarse_ns();
	uint64_t before_ns = atomic_load_explicit(&registry.looked_ns, memory_order_relaxed);

	return now_ns - before_ns >= LOOK_NS &&
	       atomic_compare_exchange_strong(&registry.looked_ns, &before_ns, now_ns);
}

void cache_drain_all(uint64_t idle_before_ns)
{
	struct cache *cache = atomic_load_explicit(&registry.all, memory_order_acquire);

	if (idle_before_ns != UINT64_MAX && !idle_look_is_due())
		return;

	for (; cache != NULL; cache = cache->next) {
		enum due due;

		if (!cache_has_slots(cache) && cache_is_bare(cache))
			continue;
		due = cache_due(cache, idle_before_ns);
		if (due == DUE_NOTHING || !cache_seize(cache))
			continue;
		if (due == DUE_ALL) {
			cache_empty(cache);
			cache_bare(cache);
		} else {
			cache_age(cache);
		}
		cache_release(cache);
	}
}

/* Of a thread that ends or is no more; no thief is in it. */
static void cache_clear(struct cache *cache)
{
	cache_empty(cache);
	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		cache_set_limit(cache, c, 0);
}

/* To the next thread. */
static void cache_pass_on(struct cache *cache)
{
	lock_take(&registry.lock);
	cache->next_free = registry.unowned;
	registry.unowned = cache;
	lock_drop(&registry.lock);
}

static void cache_give_up(void)
{
	struct cache *cache = cache_self;

	cache_self = &cache_none;
	if (cache == &cache_none)
		return;
	cache_keep_thieves_out(cache);
	cache_clear(cache);
	cache_release(cache);
	cache_pass_on(cache);
}

void heap_thread_exit(void)
{
	self_is_gone = true;
	cache_give_up();
}

void heap_go_without_caches(bool without)
{
	atomic_store_explicit(&registry.without, without, memory_order_relaxed);
	if (without)
		cache_give_up();
}

void cache_stats(uint64_t *slots, uint64_t *bytes)
{
	const struct cache *cache = atomic_load_explicit(&registry.all, memory_order_acquire);

	*slots = 0;
	*bytes = 0;
	for (; cache != NULL; cache = cache->next) {
		for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
			uint64_t count = cache_count(cache, c);

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
		slots += cache_count(cache, size_class);
	return slots;
}

void cache_lock_all(void)
{
	lock_take_for_fork(&registry.lock);
	cache_seize_all(atomic_load_explicit(&registry.all, memory_order_acquire));
}

void cache_unlock_all(void)
{
	cache_release_all(atomic_load_explicit(&registry.all, memory_order_acquire));
	lock_drop_after_fork(&registry.lock);
}

static bool cache_is_unowned(const struct cache *cache)
{
	const struct cache *one = registry.unowned;

	while (one != NULL && one != cache)
		one = one->next_free;
	return one != NULL;
}

/* Of a cache whose owner could not be kept out while memory was copied nothing is certain. */
static void cache_forget(struct cache *cache)
{
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		bin_set_top(&cache->bins[c], cache->rooms[c].base);
		cache->rooms[c].cold = 0;
	}
}

void cache_after_fork(bool inside)
{
	struct cache *cache = atomic_load_explicit(&registry.all, memory_order_acquire);

	for (; cache != NULL; cache = cache->next) {
		atomic_store_explicit(&cache->drain_wanted, false, memory_order_relaxed);
		if (cache == cache_self || cache_is_unowned(cache))
			continue;
		atomic_store_explicit(&cache->busy, 0, memory_order_relaxed);
		if (!cache->seized)
			cache_forget(cache);
		if (inside)
			continue;
		cache_clear(cache);
		cache_pass_on(cache);
	}
}
