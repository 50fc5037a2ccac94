#include "supervisor/policy/machine.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define MIB (UINT64_C(1) << 20)
#define TEXT(available) \
	"MemTotal:        2048000 kB\nMemFree:          100000 kB\nMemAvailable:" available \
	"\nBuffers:            1000 kB\n"

static bool wall_of(const char *text, const struct wall_sample *ours, struct wall_sample *wall)
{
	return machine_wall(text, strlen(text), ours, wall);
}

static void test_the_wall_is_what_is_ours_and_what_is_available(void **state)
{
	const struct wall_sample ours = {.current_bytes = 300 * MIB,
		.reclaimable_bytes = 100 * MIB,
		.reclaimable_known = true};
	struct wall_sample wall;
	(void)state;
	assert_true(wall_of(TEXT("    409600 kB"), &ours, &wall));
	assert_int_equal(wall.limit_bytes, 600 * MIB);
	assert_int_equal(wall.current_bytes, 300 * MIB);
	assert_int_equal(wall.reclaimable_bytes, 100 * MIB);
	assert_true(wall.reclaimable_known);
}

static void test_what_is_reclaimable_counts_as_available_where_it_is_not_known(void **state)
{
	const struct wall_sample ours = {.current_bytes = 300 * MIB, .reclaimable_bytes = 7};
	struct wall_sample wall;
	(void)state;
	assert_true(wall_of(TEXT(" 0 kB"), &ours, &wall));
	assert_int_equal(wall.limit_bytes, 300 * MIB);
	assert_int_equal(wall.reclaimable_bytes, 0);
}

static void test_a_text_that_does_not_say_is_no_wall(void **state)
{
	static const char *const texts[] = {
		"",
		"MemAvailable:",
		"MemAvailable: kB\n",
		"MemAvailable: 12\n",
		"MemAvailable: 12 MB\n",
		"MemAvailable: -12 kB\n",
		"MemAvailable: 18446744073709551615 kB\n",
		"MemAvailable: 99999999999999999999 kB\n",
		"XMemAvailable: 12 kB\n",
		"MemFree: 12 kB\n",
	};
	const struct wall_sample ours = {.current_bytes = MIB};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct wall_sample wall = {.limit_bytes = 3};
		assert_false(wall_of(texts[i], &ours, &wall));
		assert_int_equal(wall.limit_bytes, 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_wall_is_what_is_ours_and_what_is_available),
		cmocka_unit_test(
			test_what_is_reclaimable_counts_as_available_where_it_is_not_known),
		cmocka_unit_test(test_a_text_that_does_not_say_is_no_wall),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
