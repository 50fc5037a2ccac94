#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor/policy/belief.h"

#define MIB ((uint64_t)1 << 20)

static uint64_t step(
	struct belief *belief, uint64_t wants, uint64_t usage, uint64_t grown, uint64_t now_ms)
{
	struct belief_view view = {.wants_bytes = wants,
		.usage_bytes = usage,
		.grown_bytes = grown,
		.gate_wait_ms = 200};
	return belief_step(belief, &view, now_ms);
}

static void test_who_grows_is_believed(void **state)
{
	(void)state;
	struct belief belief = {.step_ms = 1000};
	uint64_t usage = 10 * MIB;
	for (uint64_t now_ms = 1000; now_ms < 4000; now_ms += 10) {
		assert_int_equal(step(&belief, 4 * MIB, usage, 0, now_ms), 4 * MIB);
		usage += 4 * MIB;
		assert_int_equal(step(&belief, 0, usage, 4 * MIB, now_ms + 5), 0);
	}
}

static void test_who_says_so_and_does_not_grow_is_soon_not_believed(void **state)
{
	(void)state;
	struct belief belief = {.step_ms = 1000};
	uint64_t believed = 0;
	for (uint64_t now_ms = 1000; now_ms < 11000; now_ms += 10) {
		believed += step(&belief, 200 * MIB, 5 * MIB, 0, now_ms);
		step(&belief, 0, 5 * MIB, 0, now_ms + 5);
	}
	/* 256 MiB at first, and 1 KiB a ms. */
	assert_in_range(believed, 256 * MIB, 256 * MIB + 10 * MIB);
}

static void test_a_want_that_stands_is_nobodys(void **state)
{
	(void)state;
	struct belief belief = {.step_ms = 1000};
	assert_int_equal(step(&belief, 200 * MIB, 5 * MIB, 0, 1000), 200 * MIB);
	assert_int_equal(step(&belief, 200 * MIB, 5 * MIB, 0, 1800), 200 * MIB);
	assert_int_equal(step(&belief, 200 * MIB, 5 * MIB, 0, 1801), 0);
	assert_int_equal(step(&belief, 200 * MIB, 5 * MIB, 0, 90000), 0);
}

/* There was credit for it for half of the wait, with a pause: nobody took it. */
static void test_a_want_that_is_granted_and_not_taken_is_nobodys(void **state)
{
	(void)state;
	struct belief belief = {.step_ms = 1000};
	struct belief_view view = {
		.wants_bytes = 20 * MIB, .usage_bytes = 5 * MIB, .gate_wait_ms = 200};
	assert_int_equal(belief_step(&belief, &view, 1000), 20 * MIB);
	view.granted = true;
	assert_int_equal(belief_step(&belief, &view, 1060), 20 * MIB);
	view.granted = false;
	assert_int_equal(belief_step(&belief, &view, 1160), 20 * MIB);
	view.granted = true;
	assert_int_equal(belief_step(&belief, &view, 1200), 20 * MIB);
	assert_int_equal(belief_step(&belief, &view, 1201), 0);
	view.wants_bytes = 10 * MIB;
	assert_int_equal(belief_step(&belief, &view, 1300), 0);
	view.wants_bytes = 30 * MIB;
	view.granted = false;
	assert_int_equal(belief_step(&belief, &view, 1310), 20 * MIB);
}

static void test_who_uses_much_may_want_as_much(void **state)
{
	(void)state;
	struct belief belief = {.step_ms = 1000};
	assert_int_equal(step(&belief, 200 * MIB, 300 * MIB, 0, 1000), 200 * MIB);
	assert_int_equal(step(&belief, UINT64_MAX, 300 * MIB, 0, 1000), 300 * MIB);
	assert_int_equal(step(&belief, 0, 300 * MIB, 0, 1000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_grows_is_believed),
		cmocka_unit_test(test_who_says_so_and_does_not_grow_is_soon_not_believed),
		cmocka_unit_test(test_a_want_that_stands_is_nobodys),
		cmocka_unit_test(test_a_want_that_is_granted_and_not_taken_is_nobodys),
		cmocka_unit_test(test_who_uses_much_may_want_as_much),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
