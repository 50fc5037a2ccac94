/* The owner's part of thread caches. */
#include "shim/heap/caches/cache.h"

#include "shim/heap/base/meta.h"
#include "shim/heap/base/os.h"
#include "shim/heap/caches/cache_owner.h"
#include "shim/heap/caches/cache_state.h"
#include "shim/heap/caches/transfer.h"
#include "shim/heap/slabs/central.h"

#include <string.h>

#define FIRST_LIMIT_BYTES 4096U
/* No more than about these are fetched at once. */
#define TAKE_BYTES 65536U
/* The limit of a class of large slots grows with one miss, of a put or a take, for so many bytes of
 * a slot.  64 KiB kept for FALL_NS cost 15 us at the default price of idle pages: some 128
 * trips to the class, of a hundred ns or two each.
 */
#define MISS_BYTES 512U
#define LARGE_BYTES 2048U
#define FALL_NS 250000000U
/* Slow calls from one look at a class to that at the next.  A class is found idle after 400 calls
 * or so, in which up to 128 slots each changed hands: the slots that it gives back are few beside
 * that. */
#define LOOK_CALLS 4U
#define BIN_MISSED UINT16_MAX
#define ROOM_MIN 4U
#define ROOM_MIN_OVER_32K 2U

struct cache cache_none = {.taken = 1};
__thread struct cache *cache_self = &cache_none;

/* The calling thread has been through cache_thread_exit. */
static __thread bool self_is_gone;

struct cache_registry cache_registry;

/* Making --------------------------------------------------------------- */

static uint16_t bin_room(unsigned bin)
{
	size_t bytes = cache_bin_bytes(bin);
	size_t slots = CACHE_CLASS_BYTES / bytes;
	size_t least = bytes > ((size_t)32 << 10) ? ROOM_MIN_OVER_32K : ROOM_MIN;

	if (slots > CACHE_CLASS_SLOTS)
		slots = CACHE_CLASS_SLOTS;
	return (uint16_t)(slots < least ? least : slots);
}

size_t cache_bytes(void)
{
	size_t slots = 0;

	for (unsigned c = 1; c <= CACHE_BINS; c++)
		slots += bin_room(c) + 1;
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
	for (unsigned c = 1; c <= CACHE_BINS; c++) {
		cache->rooms[c] = (struct bin_room){.base = at, .room = bin_room(c)};
		cache->bins[c].end = at;
		bin_set_top(&cache->bins[c], at);
		at += cache->rooms[c].room + 1;
	}
	return cache;
}

void cache_set_hook(void (*hook)(void))
{
	atomic_store_explicit(&cache_registry.hook, hook, memory_order_release);
}

struct cache *cache_get(void)
{
	void (*hook)(void);
	struct cache *cache = cache_self;

	if (cache != &cache_none)
		return cache;
	if (self_is_gone || atomic_load_explicit(&cache_registry.without, memory_order_relaxed))
		return NULL;
	lock_take(&cache_registry.lock);
	cache = cache_registry.unowned;
	if (cache != NULL)
		cache_registry.unowned = cache->next_free;
	lock_drop(&cache_registry.lock);
	if (cache == NULL) {
		cache = cache_make();
		if (cache == NULL)
			return NULL;
		lock_take(&cache_registry.lock);
		cache->next = atomic_load_explicit(&cache_registry.all, memory_order_relaxed);
		atomic_store_explicit(&cache_registry.all, cache, memory_order_release);
		lock_drop(&cache_registry.lock);
	}
	cache_self = cache;
	transfer_cache_taken();
	hook = atomic_load_explicit(&cache_registry.hook, memory_order_acquire);
	if (hook != NULL)
		hook();
	return cache_self != &cache_none ? cache_self : NULL;
}

/* Marks ----------------------------------------------------------------- */

void bin_mark(struct bin_room *room, unsigned count, bool changed)
{
	room->cold_slot = room->base[count];
	room->base[count] = NULL;
	room->cold = (uint16_t)count;
	room->changed = changed;
}

void bin_unmark(struct bin_room *room)
{
	if (room->cold != 0)
		room->base[room->cold] = room->cold_slot;
	room->cold = 0;
}

/* Limits --------------------------------------------------------------- */

unsigned cache_shed(struct cache *cache, unsigned size_class, unsigned most, void **slots)
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

bool cache_shed_over(struct cache *cache, unsigned size_class, unsigned keep)
{
	void *slots[CENTRAL_BATCH];
	unsigned shed = 0;

	if (cache_count(cache, size_class) <= keep || !cache_enter_bin(cache, size_class))
		return false;
	if (cache_count(cache, size_class) > keep)
		shed = cache_shed(cache, size_class, cache_count(cache, size_class) - keep, slots);
	cache_leave(cache);
	if (shed != 0)
		bin_return(size_class, slots, shed);
	return shed != 0;
}

void *cache_turn_over(struct cache *cache, unsigned size_class, unsigned *cold)
{
	struct bin_room *room = &cache->rooms[size_class];
	void *slot = NULL;

	*cold = 0;
	if (!cache_enter_bin(cache, size_class))
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

void cache_set_limit(struct cache *cache, unsigned size_class, unsigned limit)
{
	size_t bytes = cache_bin_bytes(size_class);
	size_t *sum = size_class <= SIZE_CLASSES ? &cache->limit_bytes : &cache->run_limit_bytes;

	*sum += limit * bytes;
	*sum -= cache_limit(cache, size_class) * bytes;
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

/* Outside.  A look at one class, of the next at each call: one that was idle since the last look
 * gives all back. */
static void cache_look_at_next(struct cache *cache)
{
	unsigned c = cache->looked % SIZE_CLASSES + 1;
	struct bin_room *room = &cache->rooms[c];
	bool idle = room->seen == cache_count(cache, c);
	bool gives = idle && cache_limit(cache, c) != 0;

	if (gives) {
		cache_set_limit(cache, c, 0);
		while (cache_shed_over(cache, c, 0))
			;
	}
	if (idle && transfer_idle(c))
		gives = true;
	if (gives)
		central_dissolve_class(c, UINT64_MAX);
	cache->looked = c;
	room->seen = (uint16_t)cache_count(cache, c);
}

/* Slow paths ------------------------------------------------------------ */

/* All bins but what a thief comes between. */
static void cache_empty_self(struct cache *cache)
{
	bool kept_out = false;

	for (unsigned c = 1; c <= CACHE_BINS; c++) {
		while (cache_shed_over(cache, c, 0))
			;
		kept_out |= cache_count(cache, c) != 0;
	}
	cache->empties = kept_out;
}

/* Inside.  Of *left slots under a bin's mark a batch moves to `slots`; once none is left, what
 * else there is gets a mark. */
static unsigned bin_age(struct cache *cache, unsigned size_class, unsigned *left, void **slots)
{
	unsigned shed = *left != 0 ? cache_shed(cache, size_class, *left, slots) : 0;
	unsigned count = cache_count(cache, size_class);

	*left = shed != 0 ? *left - shed : 0;
	if (*left == 0 && count != 0)
		bin_mark(&cache->rooms[size_class], count, false);
	return shed;
}

void cache_age(struct cache *cache, unsigned size_class)
{
	void *slots[CENTRAL_BATCH];
	unsigned left = cache->rooms[size_class].cold;

	do {
		unsigned shed = bin_age(cache, size_class, &left, slots);

		if (shed != 0)
			bin_return(size_class, slots, shed);
	} while (left != 0);
}

/* The same by the owner, as far as no thief comes between. */
static void cache_age_self(struct cache *cache, unsigned size_class)
{
	void *slots[CENTRAL_BATCH];
	unsigned left = 0;
	bool begun = false;

	do {
		unsigned shed;

		if (!cache_enter_bin(cache, size_class))
			return;
		if (!begun)
			left = cache->rooms[size_class].cold;
		begun = true;
		shed = bin_age(cache, size_class, &left, slots);
		cache_leave(cache);
		if (shed != 0)
			bin_return(size_class, slots, shed);
	} while (left != 0);
}

/* What a drain wishes of the calling thread's cache, or wished before. */
static void cache_fulfil_wish(struct cache *cache)
{
	enum cache_wish wish = cache_fulfil(cache);

	if (wish == CACHE_EMPTY || cache->empties)
		cache_empty_self(cache);
	else if (wish == CACHE_MARK)
		for (unsigned c = 1; c <= CACHE_BINS; c++)
			cache_age_self(cache, c);
}

void cache_attend(struct cache *cache)
{
	uint32_t calls = atomic_load_explicit(&cache->slow_calls, memory_order_relaxed);
	uint64_t now_ns = os_now_coarse_ns();

	cache_fulfil_wish(cache);
	if (now_ns - cache->fallen_ns >= FALL_NS) {
		cache_runs_fall(cache, now_ns - cache->fallen_ns);
		cache->fallen_ns = now_ns;
		cache_limits_fall(cache);
	}
	if (calls % LOOK_CALLS == 0)
		cache_look_at_next(cache);
	atomic_store_explicit(&cache->slow_calls, calls + 1, memory_order_relaxed);
}

void *cache_take_slow(unsigned size_class)
{
	struct cache *cache = cache_get();
	void *slots[CENTRAL_BATCH];
	void *slot;
	unsigned cold;
	unsigned want;
	unsigned got;
	unsigned kept = 0;

	if (cache == NULL)
		return central_take(size_class, slots, 1) == 1 ? slots[0] : NULL;
	cache->rooms[size_class].seen = BIN_MISSED;
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
	/* Cold slots are changed for the lowest of the class. */
	got = cold == 0 ? transfer_take(size_class, slots, want) : 0;
	if (got == 0)
		got = central_take(size_class, slots, want);
	if (got == 0)
		return NULL;
	/* The last is the caller's. */
	slot = slots[--got];
	if (got != 0 && cache_enter_bin(cache, size_class)) {
		struct bin *bin = &cache->bins[size_class];
		void **top = bin_top(bin);
		size_t room = top < bin->end ? (size_t)(bin->end - top) : 0;

		kept = room < got ? (unsigned)room : got;
		memcpy(top + 1, slots + got - kept, kept * sizeof *slots);
		bin_set_top(bin, top + kept);
		if (cold != 0 && kept > 1 && cache->rooms[size_class].cold == 0)
			bin_mark(&cache->rooms[size_class], (kept + 1) / 2, true);
		cache_leave(cache);
	}
	if (kept < got)
		central_put(size_class, slots, got - kept);
	return slot;
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
	cache->rooms[size_class].seen = BIN_MISSED;
	cache_attend(cache);
	/* Else it comes here since a thief kept it out. */
	if (bin_top(&cache->bins[size_class]) >= cache->bins[size_class].end)
		cache_grow_limit(cache, size_class);
	if (cache_enter_bin(cache, size_class)) {
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
	if (shed != 0 && !transfer_put(size_class, slots, shed))
		central_put(size_class, slots, shed);
}

/* Ending ---------------------------------------------------------------- */

void cache_empty(struct cache *cache)
{
	void *slots[CENTRAL_BATCH];

	for (unsigned c = 1; c <= CACHE_BINS; c++) {
		while (cache_count(cache, c) != 0) {
			unsigned shed = cache_shed(cache, c, CENTRAL_BATCH, slots);

			bin_return(c, slots, shed);
		}
	}
}

void cache_clear(struct cache *cache)
{
	cache_empty(cache);
	for (unsigned c = 1; c <= CACHE_BINS; c++)
		cache_set_limit(cache, c, 0);
	cache_runs_charge(cache, 0);
}

void cache_pass_on(struct cache *cache)
{
	lock_take(&cache_registry.lock);
	cache->next_free = cache_registry.unowned;
	cache_registry.unowned = cache;
	lock_drop(&cache_registry.lock);
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
	transfer_cache_left();
}

void cache_thread_exit(void)
{
	self_is_gone = true;
	cache_give_up();
}

void cache_go_without(bool without)
{
	atomic_store_explicit(&cache_registry.without, without, memory_order_relaxed);
	if (without)
		cache_give_up();
}

void cache_stats(uint64_t *slots, uint64_t *bytes)
{
	const struct cache *cache = atomic_load_explicit(&cache_registry.all, memory_order_acquire);

	*slots = 0;
	*bytes = 0;
	for (; cache != NULL; cache = cache->next) {
		for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
			uint64_t count = cache_count(cache, c);

			*slots += count;
			*bytes += count * size_classes[c].bytes;
		}
	}
	transfer_stats(slots, bytes);
}
