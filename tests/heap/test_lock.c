#include "shim/heap/base/lock.h"
#include "shim/heap/base/transit.h"
#include "tests/support/fake_os.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define THREADS 4
#define ROUNDS 50000

static struct lock lock;
static uint64_t guarded;

static void *run_locked(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		lock_take(&lock);
		guarded++;
		lock_drop(&lock);
	}
	return arg;
}

static void *run_waiting(void *arg)
{
	lock_take(&lock);
	lock_drop(&lock);
	return arg;
}

static void test_waits_are_counted(void **state)
{
	struct lock_stats before;
	struct lock_stats after;
	pthread_t thread;

	(void)state;
	lock_stats(&before);
	lock_take(&lock);
	lock_drop(&lock);
	lock_stats(&after);
	assert_int_equal(after.waits, before.waits);
	lock_take(&lock);
	pthread_create(&thread, NULL, run_waiting, NULL);
	while ((atomic_load(&lock.word) & LOCK_WAITED) == 0)
		sched_yield();
	lock_drop(&lock);
	pthread_join(thread, NULL);
	lock_stats(&after);
	assert_int_equal(after.waits, before.waits + 1);
	assert_true(after.wait_ns > before.wait_ns);
	assert_true(after.wait_max_ns > 0 && after.wait_max_ns <= after.wait_ns);
}

static void test_a_lock_that_the_forking_thread_holds_stays_held(void **state)
{
	static struct lock other;

	(void)state;
	lock_take(&lock);
	lock_take_for_fork(&lock);
	lock_take_for_fork(&other);
	assert_true(lock_is_any_kept());
	lock_drop_in_parent(&other);
	lock_drop_in_parent(&lock);
	assert_false(lock_is_any_kept());
	assert_int_equal(atomic_load(&other.word), 0);
	assert_int_not_equal(atomic_load(&lock.word), 0);
	/* As in a child, whose thread has another id. */
	lock_take_for_fork(&lock);
	atomic_store(&lock.word, atomic_load(&lock.word) + 1);
	lock_fork_child();
	lock_drop_in_child(&lock);
	assert_true(lock_is_mine(&lock));
	lock_take_for_fork(&lock);
	assert_true(lock_is_any_kept());
	lock_drop_in_child(&lock);
	lock_drop(&lock);
	assert_int_equal(atomic_load(&lock.word), 0);
}

/* Sleepers are the parent's.  The clock stands, so that a wait for one of them would not end. */
static void test_a_lock_that_is_dropped_in_a_child_waits_for_no_sleeper(void **state)
{
	(void)state;
	atomic_store(&fake_os.now_stands_ns, 1);
	lock_take(&lock);
	atomic_fetch_or(&lock.word, LOCK_WAITED);
	lock_drop_in_child(&lock);
	atomic_store(&fake_os.now_stands_ns, 0);
	assert_int_equal(atomic_load(&lock.word), 0);
	assert_true(lock_try(&lock));
	assert_false(lock_try(&lock));
	lock_drop(&lock);
}

static void run_all(void *(*run)(void *))
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void test_one_thread_at_a_time_is_inside(void **state)
{
	(void)state;
	run_all(run_locked);
	assert_int_equal(guarded, (uint64_t)THREADS * ROUNDS);
	assert_int_equal(atomic_load(&lock.word), 0);
}

static _Atomic uint32_t inside;
static _Atomic uint32_t seen_inside;
static _Atomic uint32_t begun;

static void *run_transits(void *arg)
{
	for (int i = 0; i < ROUNDS / 10; i++) {
		if (i % 50 == 0) {
			transit_stop(false);
			atomic_fetch_add(&seen_inside, atomic_load(&inside));
			transit_resume();
		} else if (transit_begin()) {
			atomic_fetch_add(&inside, 1);
			atomic_fetch_add(&begun, 1);
			atomic_fetch_sub(&inside, 1);
			transit_end();
		}
	}
	return arg;
}

static void test_no_transit_runs_during_a_stop(void **state)
{
	(void)state;
	run_all(run_transits);
	assert_int_equal(atomic_load(&seen_inside), 0);
	assert_true(atomic_load(&begun) > 0);
	assert_false(transit_wait());
}

static void test_a_stop_refuses_until_it_is_resumed(void **state)
{
	(void)state;
	transit_stop(false);
	assert_false(transit_begin());
	transit_resume();
	assert_true(transit_begin());
	transit_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_are_counted),
		cmocka_unit_test(test_a_lock_that_the_forking_thread_holds_stays_held),
		cmocka_unit_test(test_a_lock_that_is_dropped_in_a_child_waits_for_no_sleeper),
		cmocka_unit_test(test_one_thread_at_a_time_is_inside),
		cmocka_unit_test(test_no_transit_runs_during_a_stop),
		cmocka_unit_test(test_a_stop_refuses_until_it_is_resumed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
