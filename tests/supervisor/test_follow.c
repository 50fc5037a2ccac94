#include "supervisor/tick/follow.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define MIB (UINT64_C(1) << 20)

static void test_nothing_is_followed_that_nobody_said(void **state)
{
	struct follow follow = {0};
	(void)state;
	for (uint64_t ms = 0; ms < 100; ms++)
		assert_int_equal(
			follow_step(&follow, false, ms * MIB, ms * MIB, 1000 + ms), UINT32_MAX);
}

/* The answer to a release notifies as well. */
static void test_a_ring_without_growth_begins_nothing(void **state)
{
	struct follow follow = {0};
	(void)state;
	follow_step(&follow, false, 50 * MIB, 60 * MIB, 1000);
	assert_int_equal(follow_step(&follow, true, 50 * MIB, 60 * MIB, 1001), UINT32_MAX);
	assert_int_equal(follow_step(&follow, true, 30 * MIB, 40 * MIB, 1002), UINT32_MAX);
}

static void test_usage_is_looked_at_until_it_has_caught_up(void **state)
{
	struct follow follow = {0};
	uint64_t ms = 1000;
	uint64_t usage_bytes = 10 * MIB;
	(void)state;
	follow_step(&follow, false, 10 * MIB, usage_bytes, ms);
	assert_int_equal(follow_step(&follow, true, 110 * MIB, usage_bytes, ++ms), FOLLOW_LOOK_MS);
	/* It rises, by less than a look's worth at a time. */
	for (int i = 0; i < 200; i++)
		assert_int_equal(follow_step(&follow, false, 110 * MIB,
					 usage_bytes += FOLLOW_RISE_BYTES / 8, ++ms),
			FOLLOW_LOOK_MS);
	uint64_t last_ms = ms;
	while (follow_step(&follow, false, 110 * MIB, usage_bytes, ++ms) != UINT32_MAX)
		assert_true(ms < last_ms + FOLLOW_MS);
	/* What rises later was not said. */
	assert_int_equal(
		follow_step(&follow, false, 110 * MIB, usage_bytes + MIB, ++ms), UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_followed_that_nobody_said),
		cmocka_unit_test(test_a_ring_without_growth_begins_nothing),
		cmocka_unit_test(test_usage_is_looked_at_until_it_has_caught_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
