#ifndef SHIM_HEAP_CACHES_TRANSFER_H
#define SHIM_HEAP_CACHES_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The transfer layer: free slots and large blocks between thread caches and where they come from,
 * slabs and the page heap: a stack for each bin of a cache.
 *
 * A cache that overflows puts a batch here, and one that runs dry takes one.  That copies
 * pointers, of up to CENTRAL_BATCH slots at a time, where the slabs would have to find and change
 * the record of each slot's slab.  It is for threads that free what others allocate, and for a
 * thread that frees and allocates more blocks of one bin in turn than its cache holds.  Large
 * blocks go one at a time: a lock on either side, where the page heap, a record and the map cost
 * seven.
 *
 * A stack may keep up to `limit` slots.  Limits start at nothing.  A limit doubles when a cache
 * finds the stack empty after a batch did not fit into it: only then would a higher limit have
 * saved work.  So a program that frees all of its blocks at once leaves no more than a few
 * batches here.  A stack of slots keeps TRANSFER_CLASS_BYTES at most, all of them
 * TRANSFER_FIRST_BYTES, TRANSFER_CACHE_BYTES more for each thread that has a cache, and
 * TRANSFER_BYTES_MAX; those of large blocks have bounds of their own.  Once that is reached, a
 * limit grows only as another one of the kind is halved.  Large ones have to be missed as often as
 * in caches, and stay as long as they are used as often (cache.h).
 *
 * The first thread's part is the largest, since blocks of one size that are freed and allocated by
 * the thousand need it however many threads there are.
 *
 * What is here counts as cached: slabs have their slots as used, the map has large blocks as kept.
 * A class that caches find idle is emptied, as their bins of it are (cache.h).  The calm scavenger
 * notes the lowest depth that each stack had between two looks.  So many slots were not needed;
 * they go back to their slabs, and the limit falls by as many.  `eager` and `full` empty all stacks
 * at once and give the memory of their arrays back.
 *
 * What a cache changes for lower slots (cache.h) goes past these stacks in both directions.
 *
 * Each stack has a lock, which is held for the copying of a batch and never together with another
 * lock but those of a fork.  A look without it tells that a stack has nothing to give, so
 * that a thread alone with its cache never takes it.
 */
#define TRANSFER_CLASS_BYTES ((size_t)1 << 20)
#define TRANSFER_CLASS_SLOTS 4096U
#define TRANSFER_FIRST_BYTES ((size_t)1536 << 10)
#define TRANSFER_CACHE_BYTES ((size_t)512 << 10)
#define TRANSFER_BYTES_MAX ((size_t)16 << 20)
/* From this size on. */
#define TRANSFER_LARGE_MIN ((size_t)32 << 10)
#define TRANSFER_LARGE_CLASS_BYTES ((size_t)4 << 20)
#define TRANSFER_LARGE_CACHE_BYTES ((size_t)2 << 20)
#define TRANSFER_LARGE_BYTES_MAX ((size_t)16 << 20)

/* A thread has a cache from now on, or gave it up: with the last one all stacks are emptied. */
void transfer_cache_taken(void);
void transfer_cache_left(void);

/* Up to `want` slots, CENTRAL_BATCH at most, those put last; 0: there are none. */
unsigned transfer_take(unsigned bin, void **slots, unsigned want);

/* All of them, CENTRAL_BATCH at most; false: none, there is no room. */
bool transfer_put(unsigned bin, void *const *slots, unsigned count);

/* Sends to their slabs what no cache needed since before idle_before_ns (UINT64_MAX: all). */
void transfer_drain(uint64_t idle_before_ns);

/* A cache had no use for this class for a while.  The second time, with no cache coming by in
 * between, all of its slots here go to their slabs, and the answer is true. */
bool transfer_idle(unsigned size_class);

/* Adds the slots here, or the large blocks, and their bytes. */
void transfer_stats(uint64_t *slots, uint64_t *bytes);
void transfer_run_stats(uint64_t *blocks, uint64_t *bytes);
uint64_t transfer_check_locked(unsigned bin);

/* For locks.h: bins upward. */
struct lock;
void transfer_locks(void (*visit)(struct lock *lock));

#endif
