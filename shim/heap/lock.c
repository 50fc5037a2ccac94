#include "shim/heap/lock.h"

#include "shim/heap/os.h"

#include <stdbool.h>

/*
 * Locks are held for a few microseconds.  Who sleeps instead of waiting for that
 * comes back only when it is its turn to run, which is milliseconds on a busy
 * machine.
 */
#define SPIN_NS 30000U
#define SPINS_PER_LOOK 32

static struct {
	_Atomic uint64_t waits;
	_Atomic uint64_t wait_ns;
	_Atomic uint64_t wait_max_ns;
} account;

static void account_wait(uint64_t waited_ns)
{
	uint64_t max_ns = atomic_load_explicit(&account.wait_max_ns, memory_order_relaxed);

	atomic_fetch_add_explicit(&account.waits, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&account.wait_ns, waited_ns, memory_order_relaxed);
	while (waited_ns > max_ns &&
		!atomic_compare_exchange_weak_explicit(&account.wait_max_ns, &max_ns, waited_ns,
			memory_order_relaxed, memory_order_relaxed))
		;
}

void lock_stats(struct lock_stats *stats)
{
	stats->waits = atomic_load_explicit(&account.waits, memory_order_relaxed);
	stats->wait_ns = atomic_load_explicit(&account.wait_ns, memory_order_relaxed);
	stats->wait_max_ns = atomic_load_explicit(&account.wait_max_ns, memory_order_relaxed);
}

static bool lock_spin(struct lock *lock, uint64_t start_ns)
{
	do {
		for (int i = 0; i < SPINS_PER_LOOK; i++) {
			uint32_t expected = 0;

			if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
				atomic_compare_exchange_strong_explicit(&lock->word, &expected, 1,
					memory_order_acquire, memory_order_relaxed))
				return true;
			lock_pause();
		}
	} while (os_now_ns() - start_ns < SPIN_NS);
	return false;
}

void lock_wait(struct lock *lock)
{
	uint64_t start_ns = os_now_ns();

	if (!lock_spin(lock, start_ns))
		while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
			os_wait((const uint32_t *)&lock->word, 2, UINT64_MAX);
	account_wait(os_now_ns() - start_ns);
}

void lock_wake(struct lock *lock)
{
	os_wake((const uint32_t *)&lock->word, 1);
}
