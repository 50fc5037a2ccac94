/* What a service is told when memory is short, by the clock.  No process runs. */
#include "supervisor/fleet/hook.h"

#include <errno.h>
#include <signal.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_children.h"
#include "tests/support/fake_tick.h"
#include "tests/support/said.h"

static char command[] = "give-back";
static char *on_pressure[] = {command, NULL};

/* The service runs, and wants to be told from eager on. */
static struct fake_child *begin(void)
{
	life_init();
	life.service.config->on_pressure = on_pressure;
	life.service.config->on_pressure_signal = SIGUSR1;
	life.service.config->on_pressure_level = LEVEL_EAGER;
	return life_start();
}

/* What is not the service's own to free. */
static int end(void **state)
{
	life.service.config->on_pressure = NULL;
	return life_teardown(state);
}

static void level_is(enum level level)
{
	life.service.memory.policy.state.pressure.level = level;
	life_step_at(life.now_ms);
}

static void hook_reap(struct fake_child *child, int status)
{
	fake_children_exit(child, status);
	assert_true(hook_died(&life.service, child->pid, child->code, child->status));
	fake_children_reap(child);
	life_step_at(life.now_ms);
}

static size_t commands(void)
{
	return fake_children_spawned(command);
}

static void test_it_is_told_from_its_level_on(void **state)
{
	(void)state;
	struct fake_child *child = begin();
	level_is(LEVEL_LAZY);
	assert_int_equal(commands(), 0);
	assert_int_equal(fake_children_signalled(child->pid, SIGUSR1), 0);
	level_is(LEVEL_EAGER);
	assert_int_equal(commands(), 1);
	assert_int_equal(fake_children_signalled(child->pid, SIGUSR1), 1);
	assert_true(fake_children_of(command)->went);
	assert_int_equal(said("web: on_pressure: give-back at eager, pid"), 1);
}

static void test_in_a_dry_run_it_is_not_told(void **state)
{
	(void)state;
	struct fake_child *child = begin();
	life.service.config->dry_run = true;
	level_is(LEVEL_EAGER);
	level_is(LEVEL_FULL);
	assert_int_equal(commands(), 0);
	assert_int_equal(fake_children_signalled(child->pid, SIGUSR1), 0);
	assert_int_equal(said("web: dry run: would tell it of pressure at eager"), 1);
}

static void test_it_is_told_again_after_a_rest(void **state)
{
	(void)state;
	struct fake_child *child = begin();
	level_is(LEVEL_FULL);
	hook_reap(fake_children_of(command), 0);
	for (int i = 0; i < 20; i++) {
		level_is(LEVEL_CALM);
		level_is(LEVEL_FULL);
	}
	assert_int_equal(commands(), 1);
	assert_int_equal(service_deadline_ms(&life.service), life.now_ms + HOOK_REST_MS);
	life_pass_until(life.now_ms + HOOK_REST_MS - 1);
	assert_int_equal(commands(), 1);
	life_pass_until(life.now_ms + 1);
	assert_int_equal(commands(), 2);
	assert_int_equal(fake_children_signalled(child->pid, SIGUSR1), 2);
	assert_int_equal(said("on_pressure: exited"), 0);
	/* No longer short of memory. */
	hook_reap(fake_children_of(command), 7);
	assert_int_equal(said("web: on_pressure: exited with 7"), 1);
	level_is(LEVEL_LAZY);
	life_pass_until(life.now_ms + 10 * HOOK_REST_MS);
	assert_int_equal(commands(), 2);
}

static void test_a_command_that_hangs_is_killed_and_keeps_the_next_one_back(void **state)
{
	(void)state;
	begin();
	level_is(LEVEL_FULL);
	struct fake_child *hung = fake_children_of(command);
	hung->unkillable = true;
	life_pass_until(life.now_ms + HOOK_MOST_MS - 1);
	assert_int_equal(fake_children_signalled(-hung->pid, SIGKILL), 0);
	life_pass_until(life.now_ms + 1);
	assert_int_equal(fake_children_signalled(-hung->pid, SIGKILL), 1);
	life_pass_until(life.now_ms + 5 * HOOK_REST_MS);
	assert_int_equal(commands(), 1);
	assert_int_equal(fake_children_signalled(-hung->pid, SIGKILL), 1);
	hook_reap(hung, 0);
	assert_int_equal(commands(), 2);
}

static void test_it_ends_with_the_service(void **state)
{
	(void)state;
	struct fake_child *child = begin();
	level_is(LEVEL_FULL);
	struct fake_child *told = fake_children_of(command);
	fake_children_exit(child, 0);
	life_reap(child);
	life_step_at(life.now_ms);
	assert_int_equal(fake_children_signalled(-told->pid, SIGKILL), 1);
	life_pass_until(life.now_ms + HOOK_REST_MS);
	assert_int_equal(commands(), 1);
	assert_true(hook_died(&life.service, told->pid, CLD_KILLED, SIGKILL));
	assert_false(hook_died(&life.service, told->pid, CLD_KILLED, SIGKILL));
}

static void test_a_command_that_cannot_start_is_said(void **state)
{
	(void)state;
	begin();
	fake_children.refuse_spawns = 1;
	fake_children.refuse_error = -EAGAIN;
	level_is(LEVEL_FULL);
	assert_int_equal(commands(), 0);
	assert_int_equal(
		said("web: on_pressure: cannot start: Resource temporarily unavailable"), 1);
	life_pass_until(life.now_ms + HOOK_REST_MS);
	fake_children.next_failure = -ENOENT;
	assert_int_equal(commands(), 1);
}

static void test_who_asks_for_nothing_is_told_nothing(void **state)
{
	(void)state;
	struct fake_child *child = begin();
	life.service.config->on_pressure = NULL;
	level_is(LEVEL_FULL);
	assert_int_equal(fake_children_signalled(child->pid, SIGUSR1), 1);
	life.service.config->on_pressure_signal = 0;
	life_pass_until(life.now_ms + 3 * HOOK_REST_MS);
	assert_int_equal(fake_children_signalled(child->pid, SIGUSR1), 1);
	assert_int_equal(service_deadline_ms(&life.service), SERVICE_NEVER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_it_is_told_from_its_level_on, life_setup, end),
		cmocka_unit_test_setup_teardown(test_in_a_dry_run_it_is_not_told, life_setup, end),
		cmocka_unit_test_setup_teardown(
			test_it_is_told_again_after_a_rest, life_setup, end),
		cmocka_unit_test_setup_teardown(
			test_a_command_that_hangs_is_killed_and_keeps_the_next_one_back, life_setup,
			end),
		cmocka_unit_test_setup_teardown(test_it_ends_with_the_service, life_setup, end),
		cmocka_unit_test_setup_teardown(
			test_a_command_that_cannot_start_is_said, life_setup, end),
		cmocka_unit_test_setup_teardown(
			test_who_asks_for_nothing_is_told_nothing, life_setup, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
