#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor/policy/limit.h"

#define MIB ((uint64_t)1 << 20)

static void test_a_limit_goes_up_at_once(void **state)
{
	(void)state;
	struct limit limit = {.written_bytes = 64 * MIB};
	assert_true(limit_aim(&limit, 128 * MIB));
	assert_int_equal(limit.written_bytes, 128 * MIB);
	assert_int_equal(limit_step(&limit, 10 * MIB, 1010), LIMIT_KEEP);
	assert_false(limit_aim(&limit, 128 * MIB));
	assert_true(limit_aim(&limit, UINT64_MAX));
}

static void test_it_follows_usage_down_and_is_never_below_it(void **state)
{
	(void)state;
	struct limit limit = {.written_bytes = UINT64_MAX};
	uint64_t usage = 200 * MIB;
	unsigned writes = 0;
	assert_false(limit_aim(&limit, 64 * MIB));
	for (uint64_t now_ms = 1000; limit.moving && now_ms < 9000; now_ms += 10) {
		enum limit_change change = limit_step(&limit, usage, now_ms);
		assert_true(limit.written_bytes > usage);
		assert_int_not_equal(change, LIMIT_LATE);
		writes += change == LIMIT_WRITE ? 1 : 0;
		usage -= usage > 40 * MIB ? MIB : 0;
	}
	assert_false(limit.moving);
	assert_int_equal(limit.written_bytes, 64 * MIB);
	assert_in_range(writes, 5, 50);
}

static void test_what_cannot_be_met_is_said_once_and_kills_nobody(void **state)
{
	(void)state;
	struct limit limit = {.written_bytes = 256 * MIB};
	unsigned said = 0;
	limit_aim(&limit, 64 * MIB);
	for (uint64_t now_ms = 1000; now_ms < 30000; now_ms += 50) {
		said += limit_step(&limit, 80 * MIB, now_ms) == LIMIT_LATE ? 1 : 0;
		assert_true(limit.written_bytes > 80 * MIB);
	}
	assert_int_equal(said, 1);
	/* Later it can. */
	assert_int_equal(limit_step(&limit, 20 * MIB, 40000), LIMIT_REACHED);
	assert_int_equal(limit.written_bytes, 64 * MIB);
}

static void test_a_change_of_mind_counts(void **state)
{
	(void)state;
	struct limit limit = {.written_bytes = 256 * MIB};
	limit_aim(&limit, 64 * MIB);
	assert_int_equal(limit_step(&limit, 100 * MIB, 1010), LIMIT_WRITE);
	assert_true(limit_aim(&limit, 200 * MIB));
	assert_false(limit.moving);
	assert_int_equal(limit.written_bytes, 200 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_limit_goes_up_at_once),
		cmocka_unit_test(test_it_follows_usage_down_and_is_never_below_it),
		cmocka_unit_test(test_what_cannot_be_met_is_said_once_and_kills_nobody),
		cmocka_unit_test(test_a_change_of_mind_counts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
