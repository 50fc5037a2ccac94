#ifndef SHIM_HEAP_BASE_LOCK_H
#define SHIM_HEAP_BASE_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * A mutex on one word.  All zero is free, so a static lock needs no start.
 *
 * Every lock of the heap is in the table of locks.c, which says in which order they are taken
 * where more than one is held, and which fork walks.  Outside of fork and heap_check a thread
 * holds one lock at most, with these exceptions: a class that counts holes takes the page heap's
 * for a moment, a thief that empties a cache those of classes, and a transfer stack that gets its
 * array that of metadata.
 * None that an allocating thread waits for is held over madvise or the gate.
 *
 * The word names its holder, for a fork in a signal handler that interrupted the
 * heap: what this very thread holds can't be waited for.  It is left as it is,
 * and the interrupted call drops it in parent and child alike.
 */
struct lock {
	_Atomic uint32_t word; /* 0 free, else the holder's thread id, and LOCK_WAITED */
	bool kept;             /* over a fork: the forking thread held it before */
};

#define LOCK_WAITED 0x80000000U

/* The calling thread's id, 0 before it was needed. */
extern __thread uint32_t lock_self;
/* Locks that the calling thread has taken.  Tests hold the heap to bounds on it, which no clock
 * decides. */
extern __thread uint64_t lock_takes;
uint32_t lock_self_find(void);

/* Waits that there were, of all threads and locks; a lock that is free at once is none. */
struct lock_stats {
	uint64_t waits;
	uint64_t wait_ns;
	uint64_t wait_max_ns;
};

void lock_stats(struct lock_stats *stats);

void lock_wait(struct lock *lock, uint32_t self);
void lock_wake(struct lock *lock);

static inline void lock_take(struct lock *lock)
{
	uint32_t self = lock_self != 0 ? lock_self : lock_self_find();
	uint32_t expected = 0;

	lock_takes++;
	if (!atomic_compare_exchange_strong_explicit(
		    &lock->word, &expected, self, memory_order_acquire, memory_order_relaxed))
		lock_wait(lock, self);
}

/* False: it is taken. */
static inline bool lock_try(struct lock *lock)
{
	uint32_t self = lock_self != 0 ? lock_self : lock_self_find();
	uint32_t expected = 0;

	lock_takes++;
	return atomic_compare_exchange_strong_explicit(
		&lock->word, &expected, self, memory_order_acquire, memory_order_relaxed);
}

static inline void lock_drop(struct lock *lock)
{
	if ((atomic_exchange_explicit(&lock->word, 0, memory_order_release) & LOCK_WAITED) != 0)
		lock_wake(lock);
}

/*
 * For one that is about to take the lock again and again: whoever slept for it has
 * it first, who would otherwise find it taken each time he comes.
 */
void lock_drop_kindly(struct lock *lock);

bool lock_is_mine(const struct lock *lock);

/* Takes a lock that this thread does not hold already, and undoes that in the parent, or in the
 * child, where nobody waits for it. */
void lock_take_for_fork(struct lock *lock);
void lock_drop_in_parent(struct lock *lock);
void lock_drop_in_child(struct lock *lock);
/* Between the two: the calling thread held some lock already. */
bool lock_is_any_kept(void);
/* First in a child, whose thread has another id. */
void lock_fork_child(void);

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
