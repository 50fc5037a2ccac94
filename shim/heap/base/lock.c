/* The heap's lock: spins, sleeps, survives a fork. */
#include "shim/heap/base/lock.h"

#include "shim/heap/base/os.h"

/*
 * Locks are held for a few microseconds.  Who sleeps instead of waiting for that
 * comes back only when it is its turn to run, which is milliseconds on a busy
 * machine.
 */
#define SPIN_NS 30000U
#define SPINS_PER_LOOK 32

/* As long as it takes a sleeper to come back. */
#define KINDNESS_NS 100000U

__thread uint32_t lock_self;
__thread uint64_t lock_takes;
static __thread unsigned kept_count;

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

uint32_t lock_self_find(void)
{
	lock_self = os_thread_id();
	return lock_self;
}

static bool lock_spin(struct lock *lock, uint32_t self, uint64_t start_ns)
{
	do {
		for (int i = 0; i < SPINS_PER_LOOK; i++) {
			uint32_t expected = 0;

			if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
				atomic_compare_exchange_strong_explicit(&lock->word, &expected,
					self, memory_order_acquire, memory_order_relaxed))
				return true;
			lock_pause();
		}
	} while (os_now_ns() - start_ns < SPIN_NS);
	return false;
}

/* Who slept takes the lock as one that is waited for, since there may be more sleepers. */
static void lock_sleep(struct lock *lock, uint32_t self)
{
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	for (;;) {
		uint32_t waited = word | LOCK_WAITED;

		if (word == 0) {
			if (atomic_compare_exchange_weak_explicit(&lock->word, &word,
				    self | LOCK_WAITED, memory_order_acquire, memory_order_relaxed))
				return;
		} else if (word == waited ||
			   atomic_compare_exchange_weak_explicit(&lock->word, &word, waited,
				   memory_order_relaxed, memory_order_relaxed)) {
			os_wait((const uint32_t *)&lock->word, waited, UINT64_MAX);
			word = atomic_load_explicit(&lock->word, memory_order_relaxed);
		}
	}
}

void lock_wait(struct lock *lock, uint32_t self)
{
	uint64_t start_ns = os_now_ns();

	if (!lock_spin(lock, self, start_ns))
		lock_sleep(lock, self);
	account_wait(os_now_ns() - start_ns);
}

void lock_drop_kindly(struct lock *lock)
{
	uint64_t start_ns;

	if ((atomic_exchange_explicit(&lock->word, 0, memory_order_release) & LOCK_WAITED) == 0)
		return;
	lock_wake(lock);
	start_ns = os_now_ns();
	while (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
		os_now_ns() - start_ns < KINDNESS_NS)
		lock_pause();
}

bool lock_is_mine(const struct lock *lock)
{
	uint32_t word = atomic_load_explicit(&lock->word, memory_order_relaxed);

	return word != 0 && (word & ~LOCK_WAITED) == lock_self;
}

void lock_take_for_fork(struct lock *lock)
{
	if (!lock_is_mine(lock)) {
		lock_take(lock);
		return;
	}
	lock->kept = true;
	kept_count++;
}

/* True: it was held before the fork. */
static bool lock_let_go_of_kept(struct lock *lock)
{
	if (!lock->kept)
		return false;
	lock->kept = false;
	kept_count--;
	return true;
}

void lock_drop_in_parent(struct lock *lock)
{
	if (!lock_let_go_of_kept(lock))
		lock_drop(lock);
}

void lock_drop_in_child(struct lock *lock)
{
	uint32_t word = 0;

	if (lock_let_go_of_kept(lock))
		word = lock_self != 0 ? lock_self : lock_self_find();
	atomic_store_explicit(&lock->word, word, memory_order_relaxed);
}

bool lock_is_any_kept(void)
{
	return kept_count != 0;
}

void lock_fork_child(void)
{
	lock_self = 0;
}

void lock_wake(struct lock *lock)
{
	os_wake((const uint32_t *)&lock->word, 1);
}
