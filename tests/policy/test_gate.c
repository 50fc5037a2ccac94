#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor/policy/gate.h"

#define MIB ((uint64_t)1 << 20)

static void test_who_waits_is_asked_for_eagerly_then_fully_then_soon_no_longer(void **state)
{
	(void)state;
	static const struct {
		uint64_t now_ms;
		struct gate_view view;
		enum level expected;
	} rows[] = {
		{1000, {10 * MIB, 20 * MIB, true}, LEVEL_CALM},
		{1001, {10 * MIB, 5 * MIB, true}, LEVEL_EAGER},
		{1002, {10 * MIB, 5 * MIB, false}, LEVEL_EAGER},
		{1003, {10 * MIB, 5 * MIB, true}, LEVEL_FULL},
		{1004, {0, 5 * MIB, true}, LEVEL_FULL},
		{1252, {0, 5 * MIB, true}, LEVEL_FULL},
		{1253, {0, 5 * MIB, true}, LEVEL_CALM},
		{1300, {1 * MIB, 0, false}, LEVEL_EAGER},
		{1319, {1 * MIB, 0, false}, LEVEL_EAGER},
		{1320, {1 * MIB, 0, false}, LEVEL_FULL},
		{1400, {0, 0, false}, LEVEL_FULL},
		{1410, {1 * MIB, 0, false}, LEVEL_FULL},
	};
	struct gate gate = {.level = LEVEL_CALM};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(gate_step(&gate, &rows[i].view, rows[i].now_ms), rows[i].expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_who_waits_is_asked_for_eagerly_then_fully_then_soon_no_longer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
