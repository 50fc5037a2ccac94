#include "supervisor/link/doorbell.h"

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

static bool rings(const struct doorbell *doorbell, int wait_ms)
{
	struct pollfd ready = {.fd = doorbell_fd(doorbell), .events = POLLIN};
	return poll(&ready, 1, wait_ms) == 1;
}

static bool will_ring(const struct doorbell *doorbell)
{
	return WAIT_UNTIL(10, rings(doorbell, 10));
}

static void test_every_ring_is_heard_and_silence_is_silent(void **state)
{
	_Atomic uint32_t word = 41;
	struct doorbell *doorbell;
	(void)state;
	assert_int_equal(doorbell_open(&word, &doorbell), 0);
	assert_false(rings(doorbell, 0));
	for (unsigned i = 0; i < 50; i++) {
		ring(&word);
		assert_true(will_ring(doorbell));
		doorbell_drain(doorbell);
	}
	doorbell_drain(doorbell);
	doorbell_close(doorbell);
}

static void test_many_rings_may_be_one(void **state)
{
	_Atomic uint32_t word = UINT32_MAX - 5;
	struct doorbell *doorbell;
	(void)state;
	assert_int_equal(doorbell_open(&word, &doorbell), 0);
	for (unsigned i = 0; i < 1000; i++)
		ring(&word);
	assert_true(will_ring(doorbell));
	doorbell_close(doorbell);
}

static void test_closing_ends_the_thread_at_any_moment(void **state)
{
	_Atomic uint32_t word = 0;
	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		struct doorbell *doorbell;
		assert_int_equal(doorbell_open(&word, &doorbell), 0);
		if (i % 2 == 0)
			ring(&word);
		doorbell_close(doorbell);
	}
	doorbell_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_ring_is_heard_and_silence_is_silent),
		cmocka_unit_test(test_many_rings_may_be_one),
		cmocka_unit_test(test_closing_ends_the_thread_at_any_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
