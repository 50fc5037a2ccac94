#include "tests/policy/fixture.h"

#include "supervisor/policy/restart.h"

#define STOPWAIT_MS 5000U

static enum restart_action tell(struct restart *restart, enum config_autorestart autorestart,
	enum restart_event_kind kind, bool expected, uint64_t now_ms)
{
	struct restart_rules rules = {.autorestart = autorestart,
		.startretries = CONFIG_RETRIES_ENDLESS,
		.stopwait_ms = STOPWAIT_MS};
	struct restart_event event = {.kind = kind, .expected = expected};
	return restart_step(restart, &rules, event, now_ms);
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
		bool is_expected;
		enum restart_state expected;
	} rows[] = {
		{CONFIG_RESTART_NEVER, true, RESTART_EXITED},
		{CONFIG_RESTART_NEVER, false, RESTART_EXITED},
		{CONFIG_RESTART_UNEXPECTED, true, RESTART_EXITED},
		{CONFIG_RESTART_UNEXPECTED, false, RESTART_BACKOFF},
		{CONFIG_RESTART_ALWAYS, true, RESTART_BACKOFF},
		{CONFIG_RESTART_ALWAYS, false, RESTART_BACKOFF},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct restart restart = running(1000);
		assert_int_equal(tell(&restart, rows[i].autorestart, RESTART_ON_EXITED,
					 rows[i].is_expected, 1500),
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

/* supervisord's rules: up after a second, three more tries. */
static const struct restart_rules program = {.autorestart = CONFIG_RESTART_UNEXPECTED,
	.backoff = CONFIG_BACKOFF_LINEAR,
	.startsecs_ms = 1000,
	.startretries = 3,
	.stopwait_ms = STOPWAIT_MS};

static void program_start(struct restart *restart, const struct restart_rules *rules,
	enum restart_event_kind kind, uint64_t now_ms)
{
	assert_int_equal(restart_step(restart, rules, (struct restart_event){.kind = kind}, now_ms),
		RESTART_DO_START);
	restart_step(restart, rules, (struct restart_event){.kind = RESTART_ON_STARTED}, now_ms);
	assert_int_equal(restart->state, RESTART_RUNNING);
}

static void test_what_does_not_stay_up_is_given_up(void **state)
{
	(void)state;
	static const enum config_autorestart autorestarts[] = {
		CONFIG_RESTART_NEVER, CONFIG_RESTART_UNEXPECTED, CONFIG_RESTART_ALWAYS};
	for (size_t i = 0; i < 3; i++) {
		struct restart_rules rules = program;
		struct restart restart = {.state = RESTART_STOPPED};
		uint64_t now_ms = 5000;
		rules.autorestart = autorestarts[i];
		program_start(&restart, &rules, RESTART_ON_START, now_ms);
		for (uint32_t failed = 1; failed <= 3; failed++) {
			now_ms += 999;
			restart_step(&restart, &rules,
				(struct restart_event){.kind = RESTART_ON_EXITED, .expected = true},
				now_ms);
			assert_int_equal(restart.state, RESTART_BACKOFF);
			assert_int_equal(
				restart_deadline_ms(&restart), now_ms + (uint64_t)1000 * failed);
			now_ms += 1000 * (uint64_t)failed;
			program_start(&restart, &rules, RESTART_ON_TIME, now_ms);
		}
		restart_step(&restart, &rules, (struct restart_event){.kind = RESTART_ON_EXITED},
			now_ms + 999);
		assert_int_equal(restart.state, RESTART_FATAL);
		/* By hand it has all its tries again. */
		program_start(&restart, &rules, RESTART_ON_START, now_ms);
		restart_step(&restart, &rules, (struct restart_event){.kind = RESTART_ON_EXITED},
			now_ms + 999);
		assert_int_equal(restart.state, RESTART_BACKOFF);
	}
}

static void test_what_was_up_is_started_at_once_and_without_end(void **state)
{
	(void)state;
	struct restart restart = {.state = RESTART_STOPPED};
	uint64_t now_ms = 5000;
	program_start(&restart, &program, RESTART_ON_START, now_ms);
	for (int i = 0; i < 100; i++) {
		now_ms += 1000;
		restart_step(&restart, &program, (struct restart_event){.kind = RESTART_ON_EXITED},
			now_ms);
		assert_int_equal(restart_deadline_ms(&restart), now_ms);
		program_start(&restart, &program, RESTART_ON_TIME, now_ms);
	}
	restart_step(&restart, &program,
		(struct restart_event){.kind = RESTART_ON_EXITED, .expected = true}, now_ms + 1000);
	assert_int_equal(restart.state, RESTART_EXITED);
}

static void test_without_startsecs_there_is_one_start_a_second(void **state)
{
	(void)state;
	struct restart_rules rules = program;
	struct restart restart = {.state = RESTART_STOPPED};
	rules.startsecs_ms = 0;
	program_start(&restart, &rules, RESTART_ON_START, 5000);
	restart_step(&restart, &rules, (struct restart_event){.kind = RESTART_ON_EXITED}, 5010);
	assert_int_equal(restart_deadline_ms(&restart), 6000);
	program_start(&restart, &rules, RESTART_ON_TIME, 6000);
	/* What is no program counts all the same. */
	for (int i = 0; i < 4; i++) {
		uint64_t now_ms = 10000 + (uint64_t)i * 5000;
		restart_step(&restart, &rules,
			(struct restart_event){.kind = RESTART_ON_EXITED, .never_ran = true},
			now_ms);
		if (i < 3)
			program_start(&restart, &rules, RESTART_ON_TIME, now_ms + 4000);
	}
	assert_int_equal(restart.state, RESTART_FATAL);
}

static void test_it_is_shown_as_starting_until_it_has_stayed_up(void **state)
{
	(void)state;
	struct restart restart = {.state = RESTART_STOPPED};
	assert_int_equal(restart_shown(&restart, &program, 0), RESTART_STOPPED);
	program_start(&restart, &program, RESTART_ON_START, 5000);
	assert_int_equal(restart_shown(&restart, &program, 5999), RESTART_STARTING);
	assert_int_equal(restart_shown(&restart, &program, 6000), RESTART_RUNNING);
}

static void test_delays_differ_by_their_seed_and_never_exceed_the_most(void **state)
{
	(void)state;
	uint64_t least_ms = UINT64_MAX;
	uint64_t most_ms = 0;
	for (uint32_t seed = 1; seed <= 1000; seed++) {
		struct restart restart = running(0);
		uint64_t now_ms = 0;
		restart.seed = seed * 2654435761U | 1;
		for (int i = 0; i < 12; i++) {
			tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_EXITED, false, now_ms);
			uint64_t waits_ms = restart_deadline_ms(&restart) - now_ms;
			assert_true(waits_ms >= restart.delay_ms - restart.delay_ms / 5);
			assert_true(waits_ms <= restart.delay_ms + restart.delay_ms / 5);
			assert_true(waits_ms <= RESTART_DELAY_MAX_MS);
			if (i == 0 && waits_ms < least_ms)
				least_ms = waits_ms;
			if (i == 0 && waits_ms > most_ms)
				most_ms = waits_ms;
			now_ms += waits_ms;
			tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_TIME, false, now_ms);
			tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_STARTED, false, now_ms);
		}
		assert_int_equal(restart.delay_ms, RESTART_DELAY_MAX_MS);
	}
	assert_true(least_ms == 80 && most_ms == 120);
}

static void test_the_same_seed_gives_the_same_delays(void **state)
{
	(void)state;
	uint64_t deadline_ms[2];
	for (int i = 0; i < 2; i++) {
		struct restart restart = running(0);
		restart.seed = 7;
		tell(&restart, CONFIG_RESTART_ALWAYS, RESTART_ON_EXITED, false, 0);
		deadline_ms[i] = restart_deadline_ms(&restart);
	}
	assert_int_equal(deadline_ms[0], deadline_ms[1]);
}

/* It lives, and is of no use: it is told to stop, and what follows is that of a bad end. */
static void test_what_fails_while_it_lives_is_stopped_and_started_again(void **state)
{
	(void)state;
	static const struct {
		enum config_autorestart autorestart;
		enum restart_event_kind between; /* RESTART_EVENTS = nothing is asked */
		enum restart_state expected;
	} rows[] = {
		{CONFIG_RESTART_ALWAYS, RESTART_EVENTS, RESTART_BACKOFF},
		{CONFIG_RESTART_UNEXPECTED, RESTART_EVENTS, RESTART_BACKOFF},
		{CONFIG_RESTART_NEVER, RESTART_EVENTS, RESTART_EXITED},
		{CONFIG_RESTART_ALWAYS, RESTART_ON_STOP, RESTART_STOPPED},
		{CONFIG_RESTART_ALWAYS, RESTART_ON_START, RESTART_STARTING},
		{CONFIG_RESTART_NEVER, RESTART_ON_RESTART, RESTART_STARTING},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct restart restart = running(0);
		assert_int_equal(
			tell(&restart, rows[i].autorestart, RESTART_ON_FAILED, false, 1000),
			RESTART_DO_SIGNAL);
		assert_int_equal(restart.state, RESTART_STOPPING);
		assert_int_equal(restart_deadline_ms(&restart), 1000 + STOPWAIT_MS);
		/* Once is enough. */
		assert_int_equal(
			tell(&restart, rows[i].autorestart, RESTART_ON_FAILED, false, 1001),
			RESTART_DO_NOTHING);
		if (rows[i].between != RESTART_EVENTS)
			tell(&restart, rows[i].autorestart, rows[i].between, false, 1002);
		tell(&restart, rows[i].autorestart, RESTART_ON_EXITED, true, 1100);
		assert_int_equal(restart.state, rows[i].expected);
	}
}

static void test_what_was_not_ready_has_not_come_up(void **state)
{
	(void)state;
	struct restart_rules rules = {
		.autorestart = CONFIG_RESTART_NEVER, .startretries = 1, .stopwait_ms = STOPWAIT_MS};
	struct restart_event event = {.kind = RESTART_ON_EXITED, .never_ready = true};
	struct restart restart = running(0);
	restart_step(&restart, &rules, event, 60000);
	assert_int_equal(restart.state, RESTART_BACKOFF);
	tell(&restart, CONFIG_RESTART_NEVER, RESTART_ON_TIME, false, 70000);
	tell(&restart, CONFIG_RESTART_NEVER, RESTART_ON_STARTED, false, 70000);
	restart_step(&restart, &rules, (struct restart_event){.kind = RESTART_ON_FAILED}, 80000);
	restart_step(&restart, &rules, event, 80001);
	assert_int_equal(restart.state, RESTART_FATAL);
}

static void test_what_is_done_has_come_up_however_soon(void **state)
{
	(void)state;
	struct restart_rules rules = {.autorestart = CONFIG_RESTART_ALWAYS, .startsecs_ms = 1000};
	struct restart_event event = {.kind = RESTART_ON_EXITED, .expected = true, .is_done = true};
	struct restart restart = running(0);
	restart_step(&restart, &rules, event, 5);
	assert_int_equal(restart.state, RESTART_EXITED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_delays_differ_by_their_seed_and_never_exceed_the_most),
		cmocka_unit_test(test_the_same_seed_gives_the_same_delays),
		cmocka_unit_test(test_what_fails_while_it_lives_is_stopped_and_started_again),
		cmocka_unit_test(test_what_was_not_ready_has_not_come_up),
		cmocka_unit_test(test_what_is_done_has_come_up_however_soon),
		cmocka_unit_test(test_autorestart_decides_after_an_exit),
		cmocka_unit_test(test_delay_doubles_up_to_its_limit_and_never_gives_up),
		cmocka_unit_test(test_delay_is_short_again_after_steady_running),
		cmocka_unit_test(test_stop_signals_then_kills_until_it_is_gone),
		cmocka_unit_test(test_restart_wish_starts_at_once_when_it_is_down),
		cmocka_unit_test(test_stop_wish_takes_a_restart_wish_back),
		cmocka_unit_test(test_wishes_in_backoff),
		cmocka_unit_test(test_what_cannot_start_is_tried_again_unless_never),
		cmocka_unit_test(test_stop_while_starting_reaches_the_process_that_appears),
		cmocka_unit_test(test_what_does_not_stay_up_is_given_up),
		cmocka_unit_test(test_what_was_up_is_started_at_once_and_without_end),
		cmocka_unit_test(test_without_startsecs_there_is_one_start_a_second),
		cmocka_unit_test(test_it_is_shown_as_starting_until_it_has_stayed_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
