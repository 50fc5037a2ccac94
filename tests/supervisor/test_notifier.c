#include "supervisor/link/notifier.h"

#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/patience.h"

static void ring(_Atomic uint32_t *word)
{
	atomic_fetch_add(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static bool is_notified(const struct notifier *notifier, int wait_ms)
{
	struct pollfd ready = {.fd = notifier_fd(notifier), .events = POLLIN};
	return poll(&ready, 1, wait_ms) == 1;
}

static bool will_ring(const struct notifier *notifier)
{
	return WAIT_UNTIL(10, is_notified(notifier, 10));
}

static void test_every_ring_is_heard_and_silence_is_silent(void **state)
{
	_Atomic uint32_t word = 41;
	struct notifier *notifier;
	(void)state;
	assert_int_equal(notifier_open(&word, &notifier), 0);
	assert_false(is_notified(notifier, 0));
	for (unsigned i = 0; i < 50; i++) {
		ring(&word);
		assert_true(will_ring(notifier));
		notifier_drain(notifier);
	}
	notifier_drain(notifier);
	notifier_close(notifier);
}

static void test_many_notifications_may_be_one(void **state)
{
	_Atomic uint32_t word = UINT32_MAX - 5;
	struct notifier *notifier;
	(void)state;
	assert_int_equal(notifier_open(&word, &notifier), 0);
	for (unsigned i = 0; i < 1000; i++)
		ring(&word);
	assert_true(will_ring(notifier));
	notifier_close(notifier);
}

static void test_closing_ends_the_thread_at_any_moment(void **state)
{
	_Atomic uint32_t word = 0;
	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		struct notifier *notifier;
		assert_int_equal(notifier_open(&word, &notifier), 0);
		if (i % 2 == 0)
			ring(&word);
		notifier_close(notifier);
	}
	notifier_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_ring_is_heard_and_silence_is_silent),
		cmocka_unit_test(test_many_notifications_may_be_one),
		cmocka_unit_test(test_closing_ends_the_thread_at_any_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
