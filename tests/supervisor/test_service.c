/* The life of one service by the clock: restarts, stops, sweeps.  No process runs. */

#include "supervisor/fleet/service.h"

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

static void test_a_service_that_crashes_waits_twice_as_long_each_time(void **state)
{
	static const uint32_t delays_ms[] = {
		100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
	(void)state;
	life_start();
	for (size_t i = 0; i < sizeof delays_ms / sizeof delays_ms[0]; i++) {
		uint64_t died_ms = life.now_ms;
		life_die(1);
		assert_int_equal(life.service.restart.state, RESTART_BACKOFF);
		assert_int_equal(service_deadline_ms(&life.service), died_ms + delays_ms[i]);
		life_step_at(died_ms + delays_ms[i] - 1);
		assert_int_equal(fake_children_spawned("web"), i + 1);
		life_step_at(died_ms + delays_ms[i]);
		assert_int_equal(fake_children_spawned("web"), i + 2);
	}
	/* Almost steady is not steady. */
	life.now_ms += RESTART_STEADY_MS - 1;
	life_die(1);
	assert_int_equal(life.service.restart.delay_ms, 30000);
	life_pass_until(life.now_ms + 30000);
	life.now_ms += RESTART_STEADY_MS;
	life_die(1);
	assert_int_equal(life.service.restart.delay_ms, RESTART_DELAY_MIN_MS);
}

static void test_how_it_ended_decides_whether_it_comes_back(void **state)
{
	enum { EXIT, SIGNAL, OOM };
	static const struct {
		enum config_autorestart autorestart;
		int how;
		int status;
		bool comes_back;
		bool expected;
		int exit_status;
	} rows[] = {
		{CONFIG_RESTART_NEVER, EXIT, 0, false, true, 0},
		{CONFIG_RESTART_NEVER, EXIT, 1, false, false, 1},
		{CONFIG_RESTART_NEVER, SIGNAL, SIGSEGV, false, false, 128 + SIGSEGV},
		{CONFIG_RESTART_NEVER, OOM, SIGKILL, false, false, 128 + SIGKILL},
		{CONFIG_RESTART_UNEXPECTED, EXIT, 0, false, true, 0},
		{CONFIG_RESTART_UNEXPECTED, EXIT, 255, true, false, 255},
		{CONFIG_RESTART_UNEXPECTED, SIGNAL, SIGTERM, true, false, 128 + SIGTERM},
		{CONFIG_RESTART_UNEXPECTED, OOM, SIGKILL, true, false, 128 + SIGKILL},
		{CONFIG_RESTART_ALWAYS, EXIT, 0, true, true, 0},
		{CONFIG_RESTART_ALWAYS, EXIT, 2, true, false, 2},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		life.config.autorestart = rows[i].autorestart;
		life_init();
		struct fake_child *child = life_start();
		fake_tick.oom_kills = rows[i].how == OOM;
		if (rows[i].how == EXIT)
			fake_children_exit(child, rows[i].status);
		else
			fake_children_killed(child, rows[i].status);
		life_reap(child);
		life_step_at(life.now_ms);
		assert_int_equal(service_is_down(&life.service), !rows[i].comes_back);
		assert_int_equal(life.service.expected, rows[i].expected);
		assert_int_equal(life.service.exit_status, rows[i].exit_status);
		assert_int_equal(life.service.oom_kills, rows[i].how == OOM);
	}
}

/* The count of OOM kills is of the whole cgroup: only a main process that SIGKILL ended can have
 * been the victim. */
static void test_an_oom_kill_is_one_of_the_main_process_only(void **state)
{
	static const struct {
		bool exited;
		int status;
		uint64_t counted;
	} rows[] = {{false, SIGKILL, 1}, {false, SIGTERM, 0}, {true, 137, 0}, {true, 0, 0}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		life_init();
		struct fake_child *child = life_start();
		fake_tick.oom_kills = 3;
		if (rows[i].exited)
			fake_children_exit(child, rows[i].status);
		else
			fake_children_killed(child, rows[i].status);
		life_reap(child);
		assert_int_equal(life.service.oom_kills, rows[i].counted);
	}
	assert_int_equal(said("web: OOM-killed after 0.000 s (1 so far)"), 1);
}

static void test_kill_comes_when_the_stop_has_had_its_time_and_not_before(void **state)
{
	(void)state;
	life.service.config->stopsignal = SIGINT;
	struct fake_child *child = life_start();
	child->ignores = true;
	service_stop(&life.service, &life.host, life.now_ms);
	assert_int_equal(fake_children_signalled(child->pid, SIGINT), 1);
	assert_int_equal(service_deadline_ms(&life.service), LIFE_START_MS + LIFE_STOPWAIT_MS);
	/* A second wish moves nothing. */
	service_stop(&life.service, &life.host, LIFE_START_MS + 5000);
	life_step_at(LIFE_START_MS + LIFE_STOPWAIT_MS - 1);
	assert_int_equal(fake_children_signalled(child->pid, SIGINT), 1);
	assert_int_equal(child->state, FAKE_CHILD_ALIVE);
	life_step_at(LIFE_START_MS + LIFE_STOPWAIT_MS);
	assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), 1);
	assert_int_equal(said("web: still there after 10000 ms, killed"), 1);
	life_reap(child);
	life_step_at(life.now_ms);
	assert_true(service_is_down(&life.service));
	assert_int_equal(life.service.restart.state, RESTART_STOPPED);
}

/* It is let go before it is told, and what was asked is asked once. */
static void test_the_last_resort_stops_or_restarts_what_runs(void **state)
{
	static const struct {
		enum config_last_resort what;
		size_t spawned;
	} rows[] = {{CONFIG_LAST_STOP, 1}, {CONFIG_LAST_RESTART, 2}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		life.config.last_resort = rows[i].what;
		life_init();
		struct fake_child *child = life_start();
		size_t before = fake_children_spawned("web") - 1;
		life.now_ms += RESTART_STEADY_MS;
		life_step_at(life.now_ms);
		service_last_resort(&life.service, &life.host, life.now_ms);
		assert_int_equal(fake_children_signalled(child->pid, SIGTERM), 0);
		life.service.memory.is_to_end = true;
		service_last_resort(&life.service, &life.host, life.now_ms);
		assert_true(life.service.memory.leaves);
		assert_false(life.service.memory.is_to_end);
		assert_int_equal(fake_children_signalled(child->pid, SIGTERM), 1);
		/* What stops already is not told again. */
		life.service.memory.is_to_end = true;
		service_last_resort(&life.service, &life.host, life.now_ms);
		assert_false(life.service.memory.is_to_end);
		assert_int_equal(fake_children_signalled(child->pid, SIGTERM), 1);
		life_reap(child);
		life_step_at(life.now_ms);
		assert_int_equal(fake_children_spawned("web") - before, rows[i].spawned);
	}
}

static void test_a_process_that_the_kernel_holds_is_killed_every_second(void **state)
{
	(void)state;
	struct fake_child *child = life_start();
	child->unkillable = true;
	service_stop(&life.service, &life.host, life.now_ms);
	life_pass_until(LIFE_START_MS + LIFE_STOPWAIT_MS + 4500);
	assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), 5);
	assert_false(service_is_down(&life.service));
}

static void test_what_the_main_process_left_shares_the_time_of_the_stop(void **state)
{
	(void)state;
	struct fake_child *child = life_start();
	struct fake_child *left = fake_children_add(child->pid);
	left->ignores = true;
	service_stop(&life.service, &life.host, life.now_ms);
	life.now_ms += 4000;
	life_reap(child);
	assert_int_equal(fake_children_signalled(-child->pid, SIGTERM), 1);
	life_step_at(LIFE_START_MS + LIFE_STOPWAIT_MS - 1);
	assert_int_equal(left->state, FAKE_CHILD_ALIVE);
	assert_false(service_is_down(&life.service));
	life_step_at(LIFE_START_MS + LIFE_STOPWAIT_MS);
	assert_int_equal(left->state, FAKE_CHILD_ZOMBIE);
	fake_children_reap(left);
	life_step_at(life.now_ms);
	assert_true(service_is_down(&life.service));
	assert_int_equal(fake_children_signalled(-child->pid, SIGTERM), 1);
}

static void test_a_service_starts_again_when_all_of_the_old_one_is_gone(void **state)
{
	(void)state;
	struct fake_child *child = life_start();
	struct fake_child *left = fake_children_add(child->pid);
	left->ignores = true;
	fake_children_exit(child, 1);
	life_reap(child);
	life_pass_until(LIFE_START_MS + SERVICE_CRASH_SWEEP_MS - 1);
	assert_int_equal(fake_children_spawned("web"), 1);
	life_pass_until(LIFE_START_MS + SERVICE_CRASH_SWEEP_MS);
	assert_int_equal(left->state, FAKE_CHILD_ZOMBIE);
	fake_children_reap(left);
	/* The delay has run since the death, and is over. */
	life_step_at(LIFE_START_MS + SERVICE_CRASH_SWEEP_MS);
	assert_int_equal(fake_children_spawned("web"), 2);
	assert_int_equal(life.service.restart.state, RESTART_RUNNING);
}

static void test_a_rest_that_cannot_be_killed_is_given_up(void **state)
{
	(void)state;
	struct fake_child *child = life_start();
	struct fake_child *left = fake_children_add(child->pid);
	left->unkillable = true;
	fake_children_exit(child, 1);
	life_reap(child);
	life_pass_until(LIFE_START_MS + SERVICE_CRASH_SWEEP_MS + 1999);
	assert_int_equal(said("cannot be killed"), 0);
	life_pass_until(LIFE_START_MS + SERVICE_CRASH_SWEEP_MS + 2000);
	assert_int_equal(said("web: a process of it cannot be killed"), 1);
	assert_int_equal(fake_children_spawned("web"), 2);
	/* The number of the old group is not signalled any more. */
	size_t before = fake_children_signalled(-child->pid, SIGKILL);
	service_kill(&life.service);
	assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), before);
}

static void test_a_stop_during_the_sweep_or_the_wait_is_obeyed(void **state)
{
	(void)state;
	struct fake_child *child = life_start();
	struct fake_child *left = fake_children_add(child->pid);
	left->ignores = true;
	fake_children_exit(child, 1);
	life_reap(child);
	service_stop(&life.service, &life.host, LIFE_START_MS + 100);
	assert_false(service_is_down(&life.service));
	life_pass_until(LIFE_START_MS + LIFE_STOPWAIT_MS);
	fake_children_reap(left);
	life_pass_until(LIFE_START_MS + LIFE_STOPWAIT_MS + 60000);
	assert_true(service_is_down(&life.service));
	assert_int_equal(fake_children_spawned("web"), 1);

	life_start();
	life_die(1);
	assert_int_equal(life.service.restart.state, RESTART_BACKOFF);
	service_stop(&life.service, &life.host, life.now_ms);
	assert_true(service_is_down(&life.service));
	life_pass_until(life.now_ms + 60000);
	assert_int_equal(fake_children_spawned("web"), 2);
}

static void test_a_leaf_is_told_once_and_waited_for(void **state)
{
	(void)state;
	fake_tick.leaf = &life.leaf;
	struct fake_child *child = life_start();
	struct fake_child *detached = fake_children_add(0);
	detached->ignores = true;
	life.leaf.member[life.leaf.count++] = detached->pid;
	fake_children_exit(child, 1);
	life_reap(child);
	assert_int_equal(fake_children_signalled(detached->pid, SIGTERM), 1);
	assert_int_equal(fake_children_signalled(-child->pid, SIGTERM), 0);
	life_step_at(LIFE_START_MS + LIFE_STOPWAIT_MS - 1);
	assert_int_equal(fake_children_spawned("web"), 1);
	life_step_at(LIFE_START_MS + LIFE_STOPWAIT_MS);
	assert_int_equal(detached->state, FAKE_CHILD_ZOMBIE);
	life_step_at(life.now_ms);
	assert_int_equal(fake_children_spawned("web"), 2);
}

static void test_a_service_that_is_not_in_its_leaf_is_told_by_its_group(void **state)
{
	(void)state;
	life.leaf.attach_error = -EACCES;
	fake_tick.leaf = &life.leaf;
	struct fake_child *child = life_start();
	struct fake_child *left = fake_children_add(child->pid);
	assert_int_equal(said("web: not in its cgroup: Permission denied"), 1);
	fake_children_exit(child, 1);
	life_reap(child);
	assert_int_equal(fake_children_signalled(-child->pid, SIGTERM), 1);
	assert_int_equal(left->state, FAKE_CHILD_ZOMBIE);
}

static void test_where_somebody_else_tells_the_rest_only_kill_is_sent(void **state)
{
	(void)state;
	life.host.sweep_only_kills = true;
	struct fake_child *child = life_start();
	struct fake_child *left = fake_children_add(child->pid);
	left->ignores = true;
	fake_children_exit(child, 0);
	life_reap(child);
	assert_int_equal(fake_children_signalled(-child->pid, SIGTERM), 0);
	life_step_at(LIFE_START_MS + LIFE_STOPWAIT_MS);
	assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), 1);
}

static void test_nothing_is_signalled_where_nothing_runs(void **state)
{
	(void)state;
	service_signal(&life.service, SIGHUP);
	service_kill(&life.service);
	struct fake_child *child = life_start();
	life_die(0);
	service_signal(&life.service, SIGHUP);
	service_kill(&life.service);
	service_stop(&life.service, &life.host, life.now_ms);
	assert_int_equal(fake_children_signalled(child->pid, SIGHUP), 0);
	assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), 0);
	assert_true(service_is_down(&life.service));
}

/* supervisord's rules. */
static void be_a_program(void)
{
	life.config.is_program = true;
	life.config.backoff = CONFIG_BACKOFF_LINEAR;
	life.config.startsecs_ms = 1000;
	life.config.startretries = 3;
	life.config.exitcodes[0] = 1 | 1 << 2;
	life_init();
}

static void test_what_does_not_stay_up_is_given_up(void **state)
{
	(void)state;
	be_a_program();
	life_start();
	for (uint32_t failed = 1; failed <= 3; failed++) {
		uint64_t died_ms = life.now_ms;
		life_die(0);
		assert_int_equal(
			service_deadline_ms(&life.service), died_ms + 1000 * (uint64_t)failed);
		life_pass_until(died_ms + 1000 * (uint64_t)failed);
		assert_int_equal(fake_children_spawned("web"), failed + 1);
	}
	life_die(0);
	assert_int_equal(life.service.restart.state, RESTART_FATAL);
	assert_true(service_is_down(&life.service));
	assert_int_equal(said("web: given up: it did not stay up for 1000 ms in 4 starts"), 1);
}

static void test_exitcodes_say_what_is_expected(void **state)
{
	(void)state;
	be_a_program();
	life_start();
	life.now_ms += 1000;
	life_die(1);
	assert_false(life.service.expected);
	assert_int_equal(life.service.restart.state, RESTART_RUNNING);
	life.now_ms += 1000;
	life_die(2);
	assert_true(life.service.expected);
	assert_int_equal(life.service.restart.state, RESTART_EXITED);
}

static void test_a_program_that_ends_well_leaves_its_daemon(void **state)
{
	(void)state;
	be_a_program();
	struct fake_child *child = life_start();
	struct fake_child *daemon = fake_children_add(child->pid);
	life.now_ms += 1000;
	life_die(0);
	assert_true(service_is_down(&life.service));
	assert_int_equal(daemon->state, FAKE_CHILD_ALIVE);
	/* Not where it crashes. */
	child = life_start();
	daemon = fake_children_add(child->pid);
	life.now_ms += 1000;
	life_die(1);
	assert_int_equal(daemon->state, FAKE_CHILD_ZOMBIE);
}

static void test_a_group_is_told_to_stop_once(void **state)
{
	(void)state;
	life.config.stopasgroup = true;
	life_init();
	struct fake_child *child = life_start();
	struct fake_child *other = fake_children_add(child->pid);
	other->ignores = true;
	service_stop(&life.service, &life.host, life.now_ms);
	assert_int_equal(fake_children_signalled(-child->pid, SIGTERM), 1);
	assert_int_equal(fake_children_signalled(child->pid, SIGTERM), 0);
	life_reap(child);
	life_step_at(life.now_ms);
	assert_int_equal(fake_children_signalled(-child->pid, SIGTERM), 1);
	life_step_at(LIFE_START_MS + LIFE_STOPWAIT_MS);
	assert_int_equal(other->state, FAKE_CHILD_ZOMBIE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, life_setup, life_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_service_that_crashes_waits_twice_as_long_each_time),
		TEST(test_how_it_ended_decides_whether_it_comes_back),
		TEST(test_an_oom_kill_is_one_of_the_main_process_only),
		TEST(test_the_last_resort_stops_or_restarts_what_runs),
		TEST(test_kill_comes_when_the_stop_has_had_its_time_and_not_before),
		TEST(test_a_process_that_the_kernel_holds_is_killed_every_second),
		TEST(test_what_the_main_process_left_shares_the_time_of_the_stop),
		TEST(test_a_service_starts_again_when_all_of_the_old_one_is_gone),
		TEST(test_a_rest_that_cannot_be_killed_is_given_up),
		TEST(test_a_stop_during_the_sweep_or_the_wait_is_obeyed),
		TEST(test_a_leaf_is_told_once_and_waited_for),
		TEST(test_a_service_that_is_not_in_its_leaf_is_told_by_its_group),
		TEST(test_where_somebody_else_tells_the_rest_only_kill_is_sent),
		TEST(test_nothing_is_signalled_where_nothing_runs),
		TEST(test_what_does_not_stay_up_is_given_up),
		TEST(test_exitcodes_say_what_is_expected),
		TEST(test_a_program_that_ends_well_leaves_its_daemon),
		TEST(test_a_group_is_told_to_stop_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
