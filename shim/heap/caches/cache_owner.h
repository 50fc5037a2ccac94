#ifndef SHIM_HEAP_CACHES_CACHE_OWNER_H
#define SHIM_HEAP_CACHES_CACHE_OWNER_H

#include "shim/heap/caches/cache.h"

/*
 * Who may touch the bins of a cache: its owner, millions of times a second,
 * or now and then a thief.  All of the cost is the thief's, and nobody waits: a
 * thief does not wait for an owner, nor an owner for a thief.
 *
 * The word `taken` says who is kept out:
 *
 *	0			nobody but thieves: the owner comes and goes
 *	CACHE_TAKEN		the owner: a thief is inside
 *	a wish (any other)	both: a thief asked for the cache to be emptied
 *				or marked (cache.h); whoever comes by first does it
 *
 *	owner, cache_enter			thief, cache_ask and cache_seize
 *
 *	E1  busy = 1				S1  taken = its wish, of each cache
 *	    (the compiler keeps the order)	S2  membarrier: all threads fence
 *	E2  taken? then busy = 0, keep out	S3  take the thieves' lock
 *	    ... the bins ...			S4  taken: its wish -> CACHE_TAKEN,
 *	E3  busy = 0				    else leave the cache alone
 *						S5  busy? then taken = its wish again,
 *	owner kept out, cache_fulfil		    and leave the cache alone
 *						    ... the bins ...
 *	W1  taken: a wish -> 0, else keep out	S6  taken = 0
 *	    and empty the bins as the owner	S7  drop the lock
 *
 * One membarrier serves all caches: S1 of each comes before it and S3 to S7 of
 * each after it.  A cache whose owner was preempted between E2 and E3 is left
 * with its wish (S5), however long the owner stays there.  Its next call finds
 * taken, keeps out, and fulfils the wish in its slow path (W1).  So does every owner
 * that comes by before the thief: a thief that is preempted after S2 keeps
 * owners out of one cache at most, the one it is in.
 *
 * E1, E2 and S1, S5 are the two halves of Dekker's exclusion: each side raises
 * its flag, then looks at the other's.  It is sound only if a flag is visible
 * before the look, which takes a full fence on both sides.  The owner has
 * none.  membarrier(PRIVATE_EXPEDITED) makes up for it: between its start and
 * its end, every thread of the process that runs executes a full fence, at
 * some point F of its program; one that does not run has passed one when it
 * was switched out, and passes another before it runs again.
 *
 * What S4 proves: no two drains have the same wish, and only W1, S6 and another
 * drain's S1 take a wish away for good.  So when S4 finds the thief's own wish, taken
 * was not 0 at any time since S1, which was before F.
 *
 * Every interleaving of a thief that passed S4, by where F falls in the owner's program:
 *
 *   1. before E1.  E2 comes after F, F comes after S1: E2 sees taken, as it was
 *      not 0 since, and until S6.  The owner keeps out until the thief is through.
 *   2. between E1 and E2.  As 1 for E2.  E1 is before F and F before S5, so S5
 *      sees busy, or the owner's own busy = 0, which it writes without having
 *      touched a bin.
 *   3. between E2 and E3.  E2 may have missed taken.  E1 is before F, hence
 *      before S5: the thief sees busy, or E3.
 *   4. after E3.  The bins were left before the fence, or E3 is what S5 sees;
 *      the next entry is case 1.
 *
 * x86-64 reorders a store with a later load only: E1 may pass E2, and F
 * undoes it as above.  aarch64 may reorder more, so what must not move carries
 * its own order, which costs nothing on x86-64:
 *
 *   - the bins are used after E2 (load-acquire) and before E3 (store-release);
 *   - the thief's stores to the bins come before S6 (store-release), and an
 *     owner that sees taken == 0 in E2 (acquire) sees them; one that reads a later wish
 *     in W1 (acquire) does so too, since S1 is an atomic change of what S6 stored, and S5
 *     stores its wish again after a fence that came after S6;
 *   - the thief's use of the bins comes after S5 (load-acquire), which pairs
 *     with E3: it sees all that the owner did.
 *
 * Reordering of E1 with loads or stores other than E2 is harmless: nothing but
 * a thief reads busy, and only after F.
 *
 * Where there is no membarrier, or a filter that might kill for it, a thief stops after
 * S1: owners fulfil the wishes, of parked threads when these run again.
 *
 * A fork keeps owners out of all caches while memory is copied: it takes the thieves'
 * locks, sets each taken to CACHE_TAKEN, fences once, and notes each busy.  It does
 * not wait for owners that are inside either, since `busy` says what they are at, and
 * after F they can only finish that.  In the child the bins are trusted but for the part
 * that such an owner may have been changing: on a fast path (CACHE_FAST) the
 * topmost slot of each class's bin; else the one bin whose class busy names.  That much is
 * lost to the child, and to the child alone.  Without a fence all of the bins are.
 * Afterwards each taken is again what it was.
 *
 * tests/heap/test_takeover_model.c walks through all of this.
 */

#define CACHE_TAKEN 1U

/* Values of busy.  In a slow path: that of the class whose bin is changed. */
#define CACHE_FAST 1U
#define CACHE_BUSY_IN(size_class) (1U + (size_class))

static inline bool cache_enter_as(struct cache *cache, uint32_t busy)
{
	atomic_store_explicit(&cache->busy, busy, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(atomic_load_explicit(&cache->taken, memory_order_acquire) == 0, 1))
		return true;
	atomic_store_explicit(&cache->busy, 0, memory_order_release);
	return false;
}

/* False: keep out.  The owner calls nothing before cache_leave.  On a fast path one slot is
 * popped or pushed, no more. */
static inline bool cache_enter(struct cache *cache)
{
	return cache_enter_as(cache, CACHE_FAST);
}

/* The same for anything that is done to one bin. */
static inline bool cache_enter_bin(struct cache *cache, unsigned size_class)
{
	return cache_enter_as(cache, CACHE_BUSY_IN(size_class));
}

static inline void cache_leave(struct cache *cache)
{
	atomic_store_explicit(&cache->busy, 0, memory_order_release);
}

/* What a drain wishes of caches; CACHE_NO_WISH: nothing. */
enum cache_wish { CACHE_NO_WISH, CACHE_EMPTY, CACHE_MARK };

/* One drain's wish, as no other drain has it. */
uint32_t cache_wish_new(enum cache_wish wish);
/* S1.  False: nothing was asked; a thief is inside, or more is wished than that already. */
bool cache_ask(struct cache *cache, uint32_t wish);
/* S3 to S5, after cache_ask and a fence.  False: the cache is left to its owner, or another thief,
 * and so is the wish. */
bool cache_seize(struct cache *cache, uint32_t wish);
/* S6, S7. */
void cache_release(struct cache *cache);

/* The owner, outside, W1.  What it is to do to its cache. */
enum cache_wish cache_fulfil(struct cache *cache);

/* Around a fork: the thieves' lock of each cache of the list is held.  Says of each in
 * `fork_busy` what its owner was at. */
#define CACHE_BUSY_UNKNOWN UINT32_MAX
void cache_keep_owners_out(struct cache *first);
void cache_let_owners_in(struct cache *first);

/* The owner, outside: no thief is in the cache, and none comes until cache_release. */
void cache_keep_thieves_out(struct cache *cache);

#endif
