/* When a service is up, and when it is of no use any more, by the clock.  Checks are commands of
 * the fakes; no process runs. */
#include "supervisor/fleet/service_health.h"

#include <signal.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_children.h"
#include "tests/support/fake_tick.h"
#include "tests/support/said.h"

static char command[] = "check";
static char *argv[] = {command, NULL};
static char text[] = "exec:check";
static const struct config_probe check = {.kind = CONFIG_PROBE_EXEC, .argv = argv, .text = text};

#define INTERVAL_MS 1000U

static struct fake_child *begin(bool notifies)
{
	life_init();
	struct config_service *config = life.service.config;
	config->health_interval_ms = INTERVAL_MS;
	config->health_timeout_ms = 500;
	config->health_retries = 3;
	if (notifies) {
		config->notify = check;
		config->start_timeout_ms = 5000;
		config->startretries = 1;
	} else {
		config->health = check;
	}
	return life_start();
}

/* What is not the service's own to free. */
static int end(void **state)
{
	life.service.config->notify = (struct config_probe){0};
	life.service.config->health = (struct config_probe){0};
	return life_teardown(state);
}

static size_t checks(void)
{
	return fake_children_spawned(command);
}

static void answer(int status)
{
	struct fake_child *child = fake_children_of(command);
	fake_children_exit(child, status);
	assert_true(probe_died(&life.service.probe, child->pid, child->code, child->status));
	fake_children_reap(child);
	life_step_at(life.now_ms);
}

/* The next check comes in time, and is answered so. */
static void next_is(int status)
{
	size_t before = checks();
	life_pass_until(life.now_ms + INTERVAL_MS - 1);
	assert_int_equal(checks(), before);
	life_pass_until(life.now_ms + 1);
	assert_int_equal(checks(), before + 1);
	answer(status);
}

static bool is_told_to_stop(const struct fake_child *child)
{
	return fake_children_signalled(child->pid, SIGTERM) > 0;
}

static void test_so_many_failures_one_after_another_are_too_many(void **state)
{
	(void)state;
	struct fake_child *child = begin(false);
	life_pass_until(life.now_ms + 1);
	assert_true(life.service.ready);
	next_is(1);
	next_is(1);
	next_is(0);
	next_is(7);
	next_is(7);
	assert_false(is_told_to_stop(child));
	next_is(7);
	assert_true(is_told_to_stop(child));
	assert_int_equal(
		said("web: stopped: 3 health checks failed one after another: exited with 7"), 1);
	life_reap(child);
	life_step_at(life.now_ms);
	assert_int_equal(life.service.restart.state, RESTART_BACKOFF);
	assert_false(life.service.expected);
}

static void test_one_that_takes_too_long_has_failed(void **state)
{
	(void)state;
	begin(false);
	life_pass_until(life.now_ms + 1 + INTERVAL_MS);
	struct fake_child *hung = fake_children_of(command);
	hung->ignores = true;
	life_pass_until(life.now_ms + 499);
	assert_int_equal(hung->state, FAKE_CHILD_ALIVE);
	life_pass_until(life.now_ms + 1);
	assert_int_equal(fake_children_signalled(-hung->pid, SIGKILL), 1);
	answer(0);
	assert_int_equal(life.service.health.failures, 1);
	assert_int_equal(said("web: health: failure 1 of 3: took longer than 500 ms"), 1);
}

static void test_what_fails_early_does_not_count(void **state)
{
	(void)state;
	begin(false);
	life.service.config->health_start_ms = 3 * INTERVAL_MS;
	life_pass_until(life.now_ms + 1);
	next_is(1);
	next_is(1);
	assert_int_equal(life.service.health.failures, 0);
	next_is(1);
	assert_int_equal(life.service.health.failures, 1);
}

/* Memory is what makes it slow: braked or frozen at any time during a check. */
static void test_what_is_slowed_is_not_judged(void **state)
{
	(void)state;
	struct fake_child *child = begin(false);
	life_pass_until(life.now_ms + 1);
	next_is(1);
	next_is(1);
	life_pass_until(life.now_ms + INTERVAL_MS);
	life.service.memory.policy.state.brake.on = true;
	life_step_at(life.now_ms);
	life.service.memory.policy.state.brake.on = false;
	answer(1);
	assert_false(is_told_to_stop(child));
	assert_int_equal(life.service.health.failures, 0);
	life.service.memory.perform.frozen = true;
	for (int i = 0; i < 10; i++)
		next_is(1);
	assert_false(is_told_to_stop(child));
	life.service.memory.perform.frozen = false;
	next_is(1);
	next_is(1);
	assert_false(is_told_to_stop(child));
	next_is(1);
	assert_true(is_told_to_stop(child));
}

static void test_no_check_is_left_when_the_service_has_ended(void **state)
{
	(void)state;
	begin(false);
	life_pass_until(life.now_ms + 1 + INTERVAL_MS);
	struct fake_child *child = fake_children_of(command);
	life_die(1);
	assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), 1);
	/* It is reaped later, and tells nothing. */
	assert_true(probe_died(&life.service.probe, child->pid, CLD_KILLED, SIGKILL));
	life_step_at(life.now_ms);
	assert_int_equal(life.service.health.failures, 0);
}

static void test_it_is_up_once_a_check_has_passed(void **state)
{
	(void)state;
	begin(true);
	life_pass_until(life.now_ms + 1);
	assert_int_equal(checks(), 1);
	answer(1);
	assert_false(life.service.ready);
	life_pass_until(life.now_ms + READY_PROBE_LEAST_MS);
	assert_int_equal(checks(), 2);
	answer(0);
	assert_true(life.service.ready);
	life_pass_until(life.now_ms + 60000);
	assert_int_equal(checks(), 2);
	assert_int_equal(life.service.restart.state, RESTART_RUNNING);
}

static void test_what_is_never_up_has_failed_to_start(void **state)
{
	(void)state;
	struct fake_child *child = begin(true);
	for (int starts = 1; starts <= 2; starts++) {
		uint64_t due_ms = life.service.started_ms + 5000;
		while (life.now_ms < due_ms - 200) {
			life_pass_until(life.now_ms + 100);
			if (fake_children_of(command)->state == FAKE_CHILD_ALIVE)
				answer(1);
		}
		assert_false(is_told_to_stop(child));
		life_pass_until(due_ms);
		assert_true(is_told_to_stop(child));
		if (fake_children_of(command)->state == FAKE_CHILD_ALIVE)
			answer(1);
		life_reap(child);
		life_step_at(life.now_ms);
		if (starts == 1)
			life_pass_until(life.now_ms + 100);
		child = fake_children_of("web");
	}
	assert_int_equal(life.service.restart.state, RESTART_FATAL);
	assert_int_equal(said("web: stopped: not ready after 5000 ms (notify = exec:check): exited "
			      "with 1"),
		2);
	assert_int_equal(said("web: given up: it was not ready in 2 starts"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, life_setup, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_so_many_failures_one_after_another_are_too_many),
		TEST(test_one_that_takes_too_long_has_failed),
		TEST(test_what_fails_early_does_not_count),
		TEST(test_what_is_slowed_is_not_judged),
		TEST(test_no_check_is_left_when_the_service_has_ended),
		TEST(test_it_is_up_once_a_check_has_passed),
		TEST(test_what_is_never_up_has_failed_to_start),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
