#include "tests/policy/fixture.h"

#include "supervisor/policy/restart.h"

#define STOPWAIT_MS 5000U

static enum restart_action tell(struct restart *restart, enum config_autorestart autorestart,
	enum restart_event_kind kind, bool expected, uint64_t now_ms)
{
	struct restart_event event = {.kind = kind, .expected = expected};
	return restart_step(restart, autorestart, STOPWAIT_MS, event, now_ms);
}

static struct restart running(uint64_t now_ms)
{
	struct restart restart = {.state = RESTART_STOPPED};
	assert_int_equal(tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_START, false, now_ms),
		RESTART_DO_START);
	assert_int_equal(restart.state, RESTART_STARTING);
	tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_STARTED, false, now_ms);
	assert_int_equal(restart.state, RESTART_RUNNING);
	return restart;
}

static void test_autorestart_decides_after_an_exit(void **state)
{
	(void)state;
	static const struct {
		enum config_autorestart autorestart;
		int status;
		bool exited;
		bool oom_killed;
		enum restart_state expected;
	} rows[] = {
		{CONFIG_RESTART_NEVER, 0, true, false, RESTART_EXITED},
		{CONFIG_RESTART_NEVER, 9, false, true, RESTART_EXITED},
		{CONFIG_RESTART_UNEXPECTED, 0, true, false, RESTART_EXITED},
		{CONFIG_RESTART_UNEXPECTED, 1, true, false, RESTART_BACKOFF},
		{CONFIG_RESTART_UNEXPECTED, 0, false, false, RESTART_BACKOFF},
		{CONFIG_RESTART_UNEXPECTED, 0, true, true, RESTART_BACKOFF},
		{CONFIG_RESTART_ALWAYS, 0, true, false, RESTART_BACKOFF},
		{CONFIG_RESTART_ALWAYS, 11, false, false, RESTART_BACKOFF},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct restart restart = running(1000);
		bool expected =
			restart_expected(rows[i].exited, rows[i].status, rows[i].oom_killed);
		assert_int_equal(
			tell(&restart, rows[i].autorestart, RESTART_ON_EXITED, expected, 1500),
			RESTART_DO_NOTHING);
		assert_int_equal(restart.state, rows[i].expected);
		assert_true((restart_deadline_ms(&restart) == 1600) ==
			    (rows[i].expected == RESTART_BACKOFF));
	}
}

static void test_delay_doubles_up_to_its_limit_and_never_gives_up(void **state)
{
	(void)state;
	struct restart restart = running(0);
	uint64_t now_ms = 0;
	uint64_t expected_ms = RESTART_DELAY_MIN_MS;
	for (int i = 0; i < 1000; i++) {
		tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_EXITED, false, now_ms);
		assert_int_equal(restart_deadline_ms(&restart), now_ms + expected_ms);
		now_ms += expected_ms;
		assert_int_equal(
			tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_TIME, false, now_ms - 1),
			RESTART_DO_NOTHING);
		assert_int_equal(
			tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_TIME, false, now_ms),
			RESTART_DO_START);
		tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_STARTED, false, now_ms);
		expected_ms = expected_ms * 2 > RESTART_DELAY_MAX_MS ? RESTART_DELAY_MAX_MS
								     : expected_ms * 2;
	}
	assert_int_equal(expected_ms, RESTART_DELAY_MAX_MS);
	assert_int_equal(restart.starts, 1001);
}

static void test_delay_is_short_again_after_steady_running(void **state)
{
	(void)state;
	struct restart restart = running(0);
	restart.delay_ms = 12800;
	tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_EXITED, false, RESTART_STEADY_MS);
	assert_int_equal(restart_deadline_ms(&restart), RESTART_STEADY_MS + RESTART_DELAY_MIN_MS);
	restart = running(0);
	restart.delay_ms = 12800;
	tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_EXITED, false, RESTART_STEADY_MS - 1);
	assert_int_equal(restart_deadline_ms(&restart), RESTART_STEADY_MS - 1 + 25600);
}

static void test_stop_signals_then_kills_until_it_is_gone(void **state)
{
	(void)state;
	struct restart restart = running(0);
	assert_int_equal(tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_STOP, false, 100),
		RESTART_DO_SIGNAL);
	assert_int_equal(restart_deadline_ms(&restart), 100 + STOPWAIT_MS);
	assert_int_equal(tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_TIME, false, 200),
		RESTART_DO_NOTHING);
	assert_int_equal(tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_TIME, false, 5100),
		RESTART_DO_KILL);
	assert_int_equal(tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_TIME, false, 5200),
		RESTART_DO_NOTHING);
	assert_int_equal(tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_TIME, false, 6100),
		RESTART_DO_KILL);
	tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_EXITED, false, 6101);
	assert_int_equal(restart.state, RESTART_STOPPED);
	assert_int_equal(restart_deadline_ms(&restart), RESTART_NEVER_MS);
}

static void test_restart_wish_starts_at_once_when_it_is_down(void **state)
{
	(void)state;
	struct restart restart = running(0);
	assert_int_equal(tell(&restart, CONFIG_RESTART_NEVER, RESTART_ON_RESTART, false, 100),
		RESTART_DO_SIGNAL);
	assert_int_equal(tell(&restart, CONFIG_RESTART_NEVER, RESTART_ON_EXITED, true, 150),
		RESTART_DO_START);
	assert_int_equal(restart.state, RESTART_STARTING);
}

static void test_stop_wish_takes_a_restart_wish_back(void **state)
{
	(void)state;
	struct restart restart = running(0);
	tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_RESTART, false, 100);
	tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_STOP, false, 110);
	tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_EXITED, false, 150);
	assert_int_equal(restart.state, RESTART_STOPPED);
}

static void test_wishes_in_backoff(void **state)
{
	(void)state;
	struct restart restart = running(0);
	tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_EXITED, false, 10);
	struct restart stopped = restart;
	assert_int_equal(tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_START, false, 20),
		RESTART_DO_START);
	assert_int_equal(tell(&stopped, CONFIG_RESTART_ALWAYS, RESTART_ON_STOP, false, 20),
		RESTART_DO_NOTHING);
	assert_int_equal(stopped.state, RESTART_STOPPED);
	assert_int_equal(tell(&stopped, CONFIG_RESTART_ALWAYS, RESTART_ON_TIME, false, 20000),
		RESTART_DO_NOTHING);
}

static void test_what_cannot_start_is_tried_again_unless_never(void **state)
{
	(void)state;
	struct restart restart = {.state = RESTART_STOPPED};
	tell(&restart, CONFIG_RESTART_UNEXPECTED, RESTART_ON_START, false, 0);
	tell(&restart, CONFIG_RESTART_UNEXPECTED, RESTART_ON_REFUSED, false, 0);
	assert_int_equal(restart.state, RESTART_BACKOFF);
	assert_int_equal(restart.starts, 0);
	restart = (struct restart){.state = RESTART_STOPPED};
	tell(&restart, CONFIG_RESTART_NEVER, RESTART_ON_START, false, 0);
	tell(&restart, CONFIG_RESTART_NEVER, RESTART_ON_REFUSED, false, 0);
	assert_int_equal(restart.state, RESTART_FATAL);
	assert_string_equal(restart_state_name(restart.state), "FATAL");
}

static void test_stop_while_starting_reaches_the_process_that_appears(void **state)
{
	(void)state;
	struct restart restart = {.state = RESTART_STOPPED};
	tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_START, false, 0);
	tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_STOP, false, 1);
	assert_int_equal(tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_STARTED, false, 2),
		RESTART_DO_SIGNAL);
	assert_int_equal(restart.state, RESTART_STOPPING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_autorestart_decides_after_an_exit),
		cmocka_unit_test(test_delay_doubles_up_to_its_limit_and_never_gives_up),
		cmocka_unit_test(test_delay_is_short_again_after_steady_running),
		cmocka_unit_test(test_stop_signals_then_kills_until_it_is_gone),
		cmocka_unit_test(test_restart_wish_starts_at_once_when_it_is_down),
		cmocka_unit_test(test_stop_wish_takes_a_restart_wish_back),
		cmocka_unit_test(test_wishes_in_backoff),
		cmocka_unit_test(test_what_cannot_start_is_tried_again_unless_never),
		cmocka_unit_test(test_stop_while_starting_reaches_the_process_that_appears),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
