#include "shim/heap/lock.h"

#include "shim/heap/os.h"

#define SPINS 100

void lock_wait(struct lock *lock)
{
	for (int i = 0; i < SPINS; i++) {
		uint32_t expected = 0;

		if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
			atomic_compare_exchange_strong_explicit(&lock->word, &expected, 1,
				memory_order_acquire, memory_order_relaxed))
			return;
		lock_pause();
	}
	while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
		os_wait((const uint32_t *)&lock->word, 2, UINT64_MAX);
}

void lock_wake(struct lock *lock)
{
	os_wake((const uint32_t *)&lock->word, 1);
}
