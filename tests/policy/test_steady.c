#include "tests/policy/fixture.h"

#include "supervisor/policy/steady.h"

static void test_a_fall_leaves_room_for_a_rise(void **state)
{
	(void)state;
	struct steady steady = {.count = 0};
	assert_int_equal(steady_floor(&steady, LEVEL_FULL, LEVEL_CALM, 1000), LEVEL_CALM);
	steady_note(&steady, 1000);
	steady_note(&steady, 2000);
	assert_int_equal(steady_floor(&steady, LEVEL_FULL, LEVEL_CALM, 2000), LEVEL_CALM);
	steady_note(&steady, 3000);
	/* One to fall and two to rise are left. */
	assert_int_equal(steady_floor(&steady, LEVEL_FULL, LEVEL_CALM, 3000), LEVEL_LAZY);
	steady_note(&steady, 4000);
	assert_int_equal(steady_floor(&steady, LEVEL_FULL, LEVEL_CALM, 4000), LEVEL_EAGER);
	steady_note(&steady, 5000);
	assert_int_equal(steady_floor(&steady, LEVEL_FULL, LEVEL_CALM, 5000), LEVEL_FULL);
	assert_int_equal(steady_floor(&steady, LEVEL_EAGER, LEVEL_CALM, 5000), LEVEL_EAGER);
	/* Each change counts for a minute. */
	assert_int_equal(steady_floor(&steady, LEVEL_FULL, LEVEL_CALM, 60999), LEVEL_FULL);
	assert_int_equal(steady_floor(&steady, LEVEL_FULL, LEVEL_CALM, 61000), LEVEL_EAGER);
	assert_int_equal(steady_floor(&steady, LEVEL_FULL, LEVEL_CALM, 65000), LEVEL_CALM);
}

/* Whatever is asked for when: rises at once, and no more changes in any minute than there may be.
 */
static void test_no_minute_has_more_changes(void **state)
{
	(void)state;
	uint64_t seed = 88172645463325252U;
	uint64_t changes_ms[4096];
	size_t changes = 0;
	struct steady steady = {.count = 0};
	enum level level = LEVEL_CALM;
	uint64_t now_ms = 0;
	for (int step = 0; step < 20000 && changes < 4096; step++) {
		enum level wanted = (enum level)(fixture_random(&seed) % LEVELS);
		enum level before = level;
		now_ms += fixture_random(&seed) % 2000;
		level = wanted > level ? wanted : steady_floor(&steady, level, wanted, now_ms);
		assert_true(level >= wanted);
		if (level == before)
			continue;
		steady_note(&steady, now_ms);
		changes_ms[changes++] = now_ms;
		if (changes > STEADY_CHANGES)
			assert_true(now_ms - changes_ms[changes - 1 - STEADY_CHANGES] >= STEADY_MS);
	}
	assert_true(changes > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_fall_leaves_room_for_a_rise),
		cmocka_unit_test(test_no_minute_has_more_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
