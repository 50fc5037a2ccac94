#ifndef SHIM_HEAP_CACHES_CACHE_STATE_H
#define SHIM_HEAP_CACHES_CACHE_STATE_H

#include "shim/heap/caches/cache.h"

/* Thread caches as cache.c, the owner's part, and cache_thief.c see them. */

struct cache_registry {
	struct lock lock;
	struct cache *_Atomic all; /* only grows */
	struct cache *unowned;
	_Atomic uint64_t looked_ns;
	void (*_Atomic hook)(void);
	_Atomic bool without; /* no thread gets a cache */
};

extern struct cache_registry cache_registry;

/* The calling thread's cache, made if there is none; NULL where there can be none. */
struct cache *cache_get(void);
/* What every slow call of the owner does first: what a thief left to do, and a sign of life. */
void cache_attend(struct cache *cache);
/* The owner.  A bin that it emptied down to a mark gives up what is under it; *cold: how many these
 * were.  Where that was done already the mark goes, and a slot from under it is returned. */
void *cache_turn_over(struct cache *cache, unsigned size_class, unsigned *cold);
/* The owner, outside.  One batch of a bin, if more than `keep` are there, goes back; false: they
 * are not. */
bool cache_shed_over(struct cache *cache, unsigned size_class, unsigned keep);

/* A limit of large blocks grows with one miss for so many bytes of a block, and stays with as many
 * hits: a page kept for a quarter of a second costs about 1 us at the default price, a trip to the
 * page heap and back half of that. */
#define RUN_MISS_BYTES 2048U
#define RUN_FALL_NS 250000000U

/* What was in a bin goes back where it came from. */
void bin_return(unsigned bin, void *const *slots, unsigned count);

/* The owner, outside, now and then: limits of large blocks fall that were not worth it. */
void cache_runs_fall(struct cache *cache, uint64_t since_ns);
/* The owner, or a thief when the cache is empty: what counts against RUN_BYTES_ALL. */
void cache_runs_charge(struct cache *cache, size_t bytes);

/* Of a cache with its arrays, which begin behind it. */
size_t cache_bytes(void);

/* Inside.  The bin has no mark, and at least so many slots; changed: from below a mark before. */
void bin_mark(struct bin_room *room, unsigned count, bool changed);
void bin_unmark(struct bin_room *room);
/* Inside.  Up to `most` and CENTRAL_BATCH of a class's slots, the coldest, move to `slots`; how
 * many. */
unsigned cache_shed(struct cache *cache, unsigned size_class, unsigned most, void **slots);

/* Thieves' lock held, owner outside: what is under the bin's mark goes back, the rest is marked. */
void cache_age(struct cache *cache, unsigned size_class);

/* The owner, or of a cache that is nobody's. */
void cache_set_limit(struct cache *cache, unsigned size_class, unsigned limit);

/* Seized, or nobody's, or the caller's own with thieves kept out. */
void cache_empty(struct cache *cache);
/* Of a thread that ends or is no more; no thief is in it. */
void cache_clear(struct cache *cache);
/* To the next thread. */
void cache_pass_on(struct cache *cache);

#endif
