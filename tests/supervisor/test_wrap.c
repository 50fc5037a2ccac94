/* The stop budget of a wrapped command, and what dumb-init's session means. */
#include "supervisor/fleet/wrap.h"

#include <signal.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void test_the_budget_is_one_for_the_whole_stop(void **state)
{
	static const struct {
		bool given;
		uint32_t wait_ms;
		uint64_t told_ms;
		uint64_t ended_ms;
		uint64_t command_ms; /* when the command is killed */
		uint64_t rest_ms;    /* when what is left is */
	} rows[] = {
		/* The default: what is left has it; the command has no limit. */
		{false, 10000, 0, 5000, UINT64_MAX, 15000},
		{false, 10000, 1000, 5000, UINT64_MAX, 11000},
		{false, 10000, 1000, 10500, UINT64_MAX, 12500},
		{false, 10000, 1000, 60000, UINT64_MAX, 62000},
		/* What was asked for is kept to. */
		{true, 3000, 0, 5000, UINT64_MAX, 8000},
		{true, 3000, 1000, 2000, 4000, 4000},
		{true, 3000, 1000, 4000, 4000, 4000},
		{true, 0, 1000, 1000, 1000, 1000},
		{true, WRAP_STOP_UNLIMITED, 1000, 5000, UINT64_MAX, UINT64_MAX},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct wrap wrap;
		wrap_init(&wrap);
		wrap.has_stop_wait = rows[i].given;
		wrap.stop_wait_ms = rows[i].wait_ms;
		assert_int_equal(wrap_deadline_ms(&wrap, rows[i].told_ms, rows[i].ended_ms),
			rows[i].rest_ms);
		assert_int_equal(
			wrap_command_deadline_ms(&wrap, rows[i].told_ms), rows[i].command_ms);
	}
}

static void test_a_session_is_stopped_by_stop_unless_told_otherwise(void **state)
{
	struct wrap wrap;
	(void)state;
	wrap_init(&wrap);
	wrap.sent[SIGTTIN] = SIGTERM;
	wrap.sent[SIGTTOU] = 0;
	wrap_set_session(&wrap);
	assert_int_equal(wrap.sent[SIGTSTP], SIGSTOP);
	assert_int_equal(wrap.sent[SIGTTIN], SIGTERM);
	assert_int_equal(wrap.sent[SIGTTOU], 0);
	assert_int_equal(wrap.sent[SIGTERM], SIGTERM);
	assert_int_equal(wrap.sent[SIGRTMAX], SIGRTMAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_budget_is_one_for_the_whole_stop),
		cmocka_unit_test(test_a_session_is_stopped_by_stop_unless_told_otherwise),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
