#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>

#include "shim/agent/processors.h"

static void test_a_quota_is_rounded_up(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint32_t count;
	} rows[] = {
		{"200000 100000\n", 2},
		{"200001 100000\n", 3},
		{"100000 100000", 1},
		{"1000 100000\n", 1},
		{"150000 50000\n", 3},
		{"999999999999999999 1\n", UINT32_MAX},
		{"max 100000\n", UINT32_MAX},
		{"", UINT32_MAX},
		{"0 100000\n", UINT32_MAX},
		{"100000 0\n", UINT32_MAX},
		{"100000\n", UINT32_MAX},
		{"100000 100000x\n", UINT32_MAX},
		{"9999999999999999999 1\n", UINT32_MAX},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (processors_parse(rows[i].text) != rows[i].count)
			fail_msg("%s: %u", rows[i].text, processors_parse(rows[i].text));
}

static void test_no_more_than_the_mask_has(void **state)
{
	(void)state;
	cpu_set_t cpus;
	cpu_set_t one;
	assert_int_equal(sched_getaffinity(0, sizeof cpus, &cpus), 0);
	assert_in_range(processors_count(), 1, CPU_COUNT(&cpus));
	CPU_ZERO(&one);
	for (size_t i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &cpus)) {
			CPU_SET(i, &one);
			break;
		}
	assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
	assert_int_equal(processors_count(), 1);
	assert_int_equal(sched_setaffinity(0, sizeof cpus, &cpus), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_quota_is_rounded_up),
		cmocka_unit_test(test_no_more_than_the_mask_has),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
