#ifndef SHIM_HEAP_CACHES_CACHE_H
#define SHIM_HEAP_CACHES_CACHE_H

#include "shim/heap/base/lock.h"
#include "shim/heap/base/run_bin.h"
#include "shim/heap/base/size_class.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Thread caches: for each size class a bounded array of free slots, popped and
 * pushed by the owning thread without a lock, an atomic instruction or a fence.
 *
 * Every cache can be entered by other threads as well, whether its owner runs
 * or is parked: `full` empties them all.  Who may touch the bins is decided by
 * cache_owner.h alone: the owner between cache_enter and cache_leave, anybody
 * else between cache_seize and cache_release.  The owner makes no call between
 * the two, so a parked owner is never inside.  Whatever needs a lock or the gate
 * happens outside, on slots copied out.
 *
 * A drain asks first and then empties: it leaves a wish at every cache that is due, has
 * all threads fence once, and empties those caches whose owner is not inside and did not
 * empty its cache itself meanwhile.  What is left are caches whose owner was preempted
 * inside; these owners fulfil the wish with their next call.  A drain never sleeps for an
 * owner, and its cost does not depend on whether owners run.
 *
 * A class may keep up to `limit` slots.  Limits start at nothing and double
 * when a class runs dry or over, up to CACHE_CLASS_BYTES and the array's
 * length; the sum of limits times slot size stays under CACHE_BYTES_MAX, and
 * once it is reached one class grows only as another one shrinks.  Large slots have
 * to be missed more often for that, in proportion to their size, since what it
 * saves is the same for all: within a quarter of a second, after which their limits halve.
 *
 * A program that goes on to other sizes would leave its slots in the bins of the last ones,
 * scattered over their slabs, of which none could be used for the new sizes.  So the owner looks at
 * one class every few slow calls.  A class that was not missed since the last look at it, and that
 * has as many slots as then, is idle: its bin goes back whole.  A class with hits only may be taken
 * for idle as well, and is fetched again with one miss.
 *
 * The bounds are wide, because a thread that finds its own slots again is spared
 * more than the lock of a class: the lines of a slot that another processor wrote
 * last are fetched from there, at up to two hundred ns each where they share no cache.
 * But a cache that always finds its own slots again keeps those it came by when the heap
 * was large, and the high slabs that they are in; and what it does not need.  So no slot
 * stays for long.  A cache in which nothing happened for a while is emptied by the next
 * scavenger that comes by.  In one that is used he puts all bins on trial, by a mark on
 * top (cold).  The owner who gets down to a mark finds the bin empty, as it seems, and
 * changes the slots under it for the lowest of the class, half of them on trial again; that
 * mark he just lifts.  What is under a mark when the scavenger's patience is over goes back, so
 * that a bin comes down to what is taken from it at a time.  The fast paths know nothing
 * of this.
 *
 * Large blocks of up to 1 MiB have bins as well, by their length (run_bin.h), so that
 * neither they nor their records take a lock in the steady state.  Their limits follow the
 * same rules, with bounds of their own, RUN_BYTES_MAX in a cache and RUN_BYTES_ALL in all caches
 * together: 256 threads must not hoard what one may keep.  What one frees and another allocates
 * goes through stacks (transfer.h).  What a kept MiB costs is more than what most programs save by
 * it, so a limit falls every FALL_NS unless the bin was hit often enough (cache_runs.c).  A cache
 * that a scavenger empties loses its part of RUN_BYTES_ALL, and begins anew when its owner is back.
 *
 * Caches are never unmapped: a thread that ends empties its cache and leaves
 * it for the next thread, and the list of all caches only grows, so it can be
 * walked without a lock.  What does go back to the kernel are the arrays of a
 * cache that is drained, of a parked thread or of none: zero, as they come
 * back, is what an empty bin looks like.
 */
#define CACHE_BYTES_MAX ((size_t)4 << 20)
#define CACHE_CLASS_BYTES ((size_t)512 << 10)
#define CACHE_CLASS_SLOTS 256U
#define RUN_BYTES_MAX ((size_t)4 << 20)
#define RUN_BYTES_ALL ((size_t)64 << 20)

/* Bins: those of the size classes, behind them those of large blocks. */
#define CACHE_BINS (SIZE_CLASSES + RUN_BINS)

static inline size_t cache_bin_bytes(unsigned bin)
{
	return bin <= SIZE_CLASSES ? size_classes[bin].bytes
				   : run_bin_pages(bin - SIZE_CLASSES) * PAGE_BYTES;
}

/* The slots of a class: base[1] .. *top; base[0] is NULL for ever, so that *top tells when none is
 * left.  Where there is a mark, base[cold] is NULL as well, and the slot that belongs there is in
 * cold_slot. */
struct bin {
	void **_Atomic top; /* written inside only, read anywhere */
	void **end;         /* base + limit; the owner's */
};

struct bin_room {
	void **base;
	uint16_t room;   /* slots behind base[0], the most that limit can be */
	uint16_t cold;   /* slots under the mark, 0: none; at most as many as there are */
	uint16_t misses; /* since the limit last changed; the owner's */
	uint16_t seen;   /* slots that the owner's last look found, or BIN_MISSED since then */
	bool changed;    /* the mark is one in changed slots */
	void *cold_slot;
};

struct cache {
	/* cache_owner.h: */
	_Atomic uint32_t busy;
	_Atomic uint32_t taken;
	struct bin bins[CACHE_BINS + 1];
	struct lock thief;
	uint32_t fork_taken; /* what both were when owners were kept out for a fork */
	uint32_t fork_busy;
	/* The owner's: */
	struct bin_room rooms[CACHE_BINS + 1]; /* marks are written inside only */
	uint32_t run_hits[RUN_BINS + 1];       /* since limits last fell */
	uint32_t victim;                       /* the class that shrinks next */
	uint32_t looked;                       /* the class that was looked at last */
	_Atomic uint32_t slow_calls;           /* written by the owner */
	size_t limit_bytes;                    /* sum over bins of classes */
	size_t run_limit_bytes;                /* and over the others */
	_Atomic size_t run_charged;            /* of RUN_BYTES_ALL; a thief takes it away */
	uint64_t fallen_ns;                    /* when limits of large slots last fell */
	bool empties;                          /* a wish that a thief kept it from fulfilling */
	/* A thief's: */
	uint64_t seen;               /* what the cache looked like */
	uint64_t seen_since_ns;      /* and since when */
	uint64_t marked_ns;          /* when its bins were marked; 0: never */
	_Atomic uint32_t bare_calls; /* slow_calls as the arrays were given back */
	struct cache *next;          /* all caches */
	struct cache *next_free;
};

/*
 * The calling thread's cache.  Before the first use, and after cache_thread_exit,
 * it is cache_none, which is taken for ever: who has no cache is kept out of it
 * as of one that a thief is at, so that the fast paths need not ask.
 */
extern __thread struct cache *cache_self;
extern struct cache cache_none;

static inline void **bin_top(const struct bin *bin)
{
	return atomic_load_explicit(&bin->top, memory_order_relaxed);
}

static inline void bin_set_top(struct bin *bin, void **top)
{
	atomic_store_explicit(&bin->top, top, memory_order_relaxed);
}

static inline unsigned cache_count(const struct cache *cache, unsigned size_class)
{
	return (unsigned)(bin_top(&cache->bins[size_class]) - cache->rooms[size_class].base);
}

static inline unsigned cache_limit(const struct cache *cache, unsigned size_class)
{
	return (unsigned)(cache->bins[size_class].end - cache->rooms[size_class].base);
}

/* What the fast paths do not handle: no cache yet, an empty or a full bin. */
void *cache_take_slow(unsigned size_class);
void cache_put_slow(unsigned size_class, void *slot);

/*
 * Called without locks right after a thread got its cache, which is within its
 * first malloc or free: the place to see to it that cache_thread_exit runs when
 * the thread ends.  The hook may use the heap.
 */
void cache_set_hook(void (*hook)(void));

/* Gives the calling thread's cache back; called as a thread ends.  The thread
 * may still use the heap, more slowly. */
void cache_thread_exit(void);

/* True: the calling thread, and every one that has no cache yet, does without one, so that
 * the fast paths leave all to the slow ones.  For the time before threads. */
void cache_go_without(bool without);

/*
 * A large block of so many pages, a bin's length, that was freed, or NULL.  It is as its last user
 * left it.
 */
void *cache_run_take(size_t pages);
/* A block that page_map_keep was called for, of a bin's length; false: it is to go to the page
 * heap. */
bool cache_run_put(void *block, size_t pages);
/* Large blocks in all caches, and their bytes. */
void cache_run_stats(uint64_t *blocks, uint64_t *bytes);

/* Empties every cache, of running and of parked threads, that is as it was since before
 * idle_before_ns (UINT64_MAX: any), and gives its arrays back; takes from the others what was
 * not needed since then, as far as marks tell.  What owners are left to do is done with their
 * next malloc or free. */
void cache_drain_all(uint64_t idle_before_ns);

/* Slots in all caches, and their bytes. */
void cache_stats(uint64_t *slots, uint64_t *bytes);
uint64_t cache_check_locked(unsigned size_class);

/* For locks.h. */
void cache_registry_locks(void (*visit)(struct lock *lock));
void cache_thief_locks(void (*visit)(struct lock *lock));
/* Around a fork, all locks held: no owner is inside a cache, but as cache_owner.h tells. */
void cache_fork_prepare(void);
void cache_fork_done(void);
/* The same in the child: leaves out of caches what their owners were changing. */
void cache_fork_child(void);

/* In the child of a fork, unlocked: empties the caches of threads that are gone; where the fork
 * interrupted this thread with a lock held, that is left to scavengers. */
void cache_after_fork(bool inside);

#endif
