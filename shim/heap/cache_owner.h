#ifndef SHIM_HEAP_CACHE_OWNER_H
#define SHIM_HEAP_CACHE_OWNER_H

#include "shim/heap/cache.h"

/*
 * Who may touch the bins of a cache: its owner, millions of times a second,
 * or now and then a thief.  All of the cost is the thief's.
 *
 *	owner, cache_enter			thief, cache_seize
 *
 *	E1  busy = 1				S0  take the thieves' lock
 *	    (the compiler keeps the order)	S1  taken = 1
 *	E2  taken? then busy = 0, keep out	S2  membarrier: all threads fence
 *	    ... the bins ...			S3  wait until busy == 0
 *	E3  busy = 0				    ... the bins ...
 *						S4  taken = 0; drop the lock
 *
 * E1, E2 and S1, S3 are the two halves of Dekker's exclusion: each side raises
 * its flag, then looks at the other's.  It is sound only if a flag is visible
 * before the look, which takes a full fence on both sides.  The owner has
 * none.  membarrier(PRIVATE_EXPEDITED) makes up for it: between its start and
 * its end, every thread of the process that runs executes a full fence, at
 * some point F of its program; one that does not run has passed one when it
 * was switched out, and passes another before it runs again.
 *
 * Every interleaving, by where F falls in the owner's program:
 *
 *   1. before E1.  E2 comes after F, F comes after S1: E2 sees taken, unless S4
 *      came by then.  The owner keeps out until the thief is through.
 *   2. between E1 and E2.  As 1 for E2.  E1 is before F and F before S3, so S3
 *      sees busy and waits for the owner's own busy = 0, which it writes
 *      without having touched a bin.
 *   3. between E2 and E3.  E2 may have missed taken.  E1 is before F, hence
 *      before S3: the thief sees busy and waits for E3.
 *   4. after E3.  The bins were left before the fence, or E3 is what S3 waits
 *      for; the next entry is case 1.
 *
 * x86-64 reorders a store with a later load only: E1 may pass E2, and F
 * undoes it as above.  aarch64 may reorder more, so what must not move carries
 * its own order, which costs nothing on x86-64:
 *
 *   - the bins are used after E2 (load-acquire) and before E3 (store-release);
 *   - the thief's stores to the bins come before S4 (store-release), and an
 *     owner that sees taken == 0 in E2 (acquire) sees them;
 *   - the thief's use of the bins comes after S3 (load-acquire), which pairs
 *     with E3: it sees all that the owner did.
 *
 * Reordering of E1 with loads or stores other than E2 is harmless: nothing but
 * the thief reads busy, and only after F.
 *
 * A thief does not wait for ever.  An owner that was stopped in between (a
 * debugger, a signal handler that takes its time) is left alone after
 * a while.  Where there is no membarrier, or a filter that might kill for it, nobody is
 * seized: the thief leaves a request, and the owner empties its cache itself
 * when it next comes by its slow path.
 *
 * The owner never waits for a thief: it does without its cache meanwhile.
 */

/* False: a thief is at it.  The owner calls nothing before cache_leave. */
static inline bool cache_enter(struct cache *cache)
{
	atomic_store_explicit(&cache->busy, 1, memory_order_relaxed);
	atomic_signal_fence(memory_order_seq_cst);
	if (__builtin_expect(atomic_load_explicit(&cache->taken, memory_order_acquire) == 0, 1))
		return true;
	atomic_store_explicit(&cache->busy, 0, memory_order_release);
	return false;
}

static inline void cache_leave(struct cache *cache)
{
	atomic_store_explicit(&cache->busy, 0, memory_order_release);
}

/* Any thread but the owner while it is inside.  False: out of reach for now. */
bool cache_seize(struct cache *cache);
void cache_release(struct cache *cache);

/* All caches of a list at the price of one fence; says of each in `seized` whether it was. */
void cache_seize_all(struct cache *first);
void cache_release_all(struct cache *first);

/* The owner, outside: no thief is in the cache, and none comes until cache_release. */
void cache_keep_thieves_out(struct cache *cache);

#endif
