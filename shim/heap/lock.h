#ifndef SHIM_HEAP_LOCK_H
#define SHIM_HEAP_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

/*
 * A mutex on one word.  All zero is free, so a static lock needs no start.
 *
 * Order, where more than one is held: cache registry, caches, classes upward,
 * page heap, metadata.  That is so around fork and in heap_check; a class that
 * counts holes takes the page heap's for a moment, and a thief that empties a
 * cache those of classes.  Everywhere else a thread holds one lock at most.
 * None that an allocating thread waits for is held over madvise or the gate.
 */
struct lock {
	_Atomic uint32_t word; /* 0 free, 1 held, 2 held and waited for */
};

/* Waits that there were, of all threads and locks; a lock that is free at once is none. */
struct lock_stats {
	uint64_t waits;
	uint64_t wait_ns;
	uint64_t wait_max_ns;
};

void lock_stats(struct lock_stats *stats);

void lock_wait(struct lock *lock);
void lock_wake(struct lock *lock);

static inline void lock_take(struct lock *lock)
{
	uint32_t expected = 0;

	if (!atomic_compare_exchange_strong_explicit(
		    &lock->word, &expected, 1, memory_order_acquire, memory_order_relaxed))
		lock_wait(lock);
}

static inline void lock_drop(struct lock *lock)
{
	if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2)
		lock_wake(lock);
}

/* One turn of a short wait. */
static inline void lock_pause(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

#endif
