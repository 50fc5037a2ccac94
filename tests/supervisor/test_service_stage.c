/* The commands before a start and after an end, by the clock.  No process runs. */
#include "supervisor/fleet/service_stage.h"

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

#define START_TIMEOUT_MS 500U

static char prepare[] = "prepare";
static char clean[] = "clean";
static char *prepare_argv[] = {prepare, NULL};
static char *clean_argv[] = {clean, NULL};

static void have(char **pre_start, char **post_stop)
{
	life_init();
	life.service.config->pre_start = pre_start;
	life.service.config->post_stop = post_stop;
	life.service.config->start_timeout_ms = START_TIMEOUT_MS;
}

static struct fake_child *runs(const char *program)
{
	struct fake_child *child = fake_children_of(program);
	assert_non_null(child);
	assert_int_equal(child->state, FAKE_CHILD_ALIVE);
	assert_int_equal(life.service.stage.command.pid, child->pid);
	return child;
}

/* As fleet reaps: the stage is told while it is a zombie, and what is due is done. */
static void reap(struct fake_child *child)
{
	assert_int_equal(child->state, FAKE_CHILD_ZOMBIE);
	assert_true(stage_died(&life.service, child->pid, child->code, child->status));
	assert_false(stage_runs(&life.service.stage));
	fake_children_reap(child);
	life_step_at(life.now_ms);
	/* That was its end, which is told once. */
	assert_false(stage_take_end(&life.service.stage));
}

static struct fake_child *begin_pre_start(void)
{
	have(prepare_argv, NULL);
	service_start(&life.service, &life.host, life.now_ms);
	assert_int_equal(fake_children_spawned("web"), 0);
	return runs(prepare);
}

/* The main process exits with that; its post_stop runs. */
static struct fake_child *begin_post_stop(int status)
{
	size_t before = fake_children_spawned(clean);
	have(NULL, clean_argv);
	life_start();
	assert_int_equal(fake_children_spawned(clean), before);
	life_die(status);
	return runs(clean);
}

static void test_the_program_comes_after_pre_start(void **state)
{
	(void)state;
	struct fake_child *child = begin_pre_start();
	/* Another process of ours. */
	assert_false(stage_died(&life.service, child->pid + 1, CLD_EXITED, 0));
	assert_int_equal(life.service.restart.state, RESTART_STARTING);
	life_pass_until(life.now_ms + START_TIMEOUT_MS - 1);
	assert_int_equal(fake_children_spawned("web"), 0);
	fake_children_exit(child, 0);
	reap(child);
	assert_int_equal(fake_children_spawned("web"), 1);
	assert_int_equal(life.service.restart.state, RESTART_RUNNING);
	/* It has ended, so no later time is its own. */
	life_pass_until(life.now_ms + UINT64_C(10) * START_TIMEOUT_MS);
	assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), 0);
	assert_int_equal(fake_children_spawned(prepare), 1);
}

static void test_a_failed_pre_start_is_a_failed_start(void **state)
{
	static const struct {
		int exit; /* 0 = by SIGSEGV */
		const char *why;
	} rows[] = {{3, "web: pre_start: exited with 3\n"},
		{0, "web: pre_start: ended by signal 11\n"}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct fake_child *child = begin_pre_start();
		if (rows[i].exit != 0)
			fake_children_exit(child, rows[i].exit);
		else
			fake_children_killed(child, SIGSEGV);
		reap(child);
		assert_int_equal(said(rows[i].why), 1);
		assert_int_equal(fake_children_spawned("web"), 0);
		assert_int_equal(life.service.restart.state, RESTART_BACKOFF);
		assert_false(life.service.expected);
		/* The next start has it again. */
		life_pass_until(life.now_ms + 100);
		assert_int_not_equal(runs(prepare)->pid, child->pid);
	}
}

static void test_one_that_is_not_there_is_named(void **state)
{
	(void)state;
	struct fake_child *child = begin_pre_start();
	fake_children.next_failure = -ENOENT;
	fake_children_exit(child, SPAWN_STATUS_MISSING);
	reap(child);
	assert_int_equal(said("web: pre_start: prepare: No such file or directory"), 1);
}

static void test_one_that_cannot_be_started_is_a_failed_start(void **state)
{
	(void)state;
	have(prepare_argv, NULL);
	fake_children.refuse_spawns = 1;
	fake_children.refuse_error = -EAGAIN;
	service_start(&life.service, &life.host, life.now_ms);
	assert_int_equal(said("web: pre_start: cannot start: Resource temporarily unavailable"), 1);
	assert_int_equal(life.service.restart.state, RESTART_BACKOFF);
	life_pass_until(life.now_ms + 100);
	runs(prepare);
}

static void test_pre_start_is_killed_after_start_timeout(void **state)
{
	(void)state;
	struct fake_child *child = begin_pre_start();
	child->ignores = true;
	life_pass_until(LIFE_START_MS + START_TIMEOUT_MS - 1);
	assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), 0);
	life_pass_until(LIFE_START_MS + START_TIMEOUT_MS);
	assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), 1);
	assert_int_equal(said("web: pre_start: still there after its time, killed"), 1);
	reap(child);
	assert_int_equal(said("web: pre_start: took longer than 500 ms"), 1);
	assert_int_equal(fake_children_spawned("web"), 0);
	assert_int_equal(life.service.restart.state, RESTART_BACKOFF);
}

static void test_without_start_timeout_it_has_all_the_time(void **state)
{
	(void)state;
	have(prepare_argv, NULL);
	life.service.config->start_timeout_ms = 0;
	service_start(&life.service, &life.host, life.now_ms);
	struct fake_child *child = runs(prepare);
	life_pass_until(life.now_ms + UINT64_C(1000) * 86400);
	assert_int_equal(child->state, FAKE_CHILD_ALIVE);
}

static void test_a_stop_tells_pre_start_once_and_kills_it_later(void **state)
{
	(void)state;
	struct fake_child *child = begin_pre_start();
	child->ignores = true;
	service_stop(&life.service, &life.host, life.now_ms);
	life_step_at(life.now_ms + 1);
	service_stop(&life.service, &life.host, life.now_ms);
	assert_int_equal(fake_children_signalled(-child->pid, SIGTERM), 1);
	assert_false(service_is_down(&life.service));
	life_pass_until(LIFE_START_MS + LIFE_STOPWAIT_MS - 1);
	assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), 0);
	life_pass_until(LIFE_START_MS + LIFE_STOPWAIT_MS);
	assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), 1);
	reap(child);
	assert_true(service_is_down(&life.service));
	assert_int_equal(fake_children_spawned("web"), 0);
	/* How it ends after a stop is nothing to warn of. */
	assert_int_equal(said("took longer"), 0);
}

static void test_a_start_after_a_stop_begins_anew(void **state)
{
	(void)state;
	struct fake_child *child = begin_pre_start();
	child->ignores = true;
	service_stop(&life.service, &life.host, life.now_ms);
	service_start(&life.service, &life.host, life.now_ms);
	assert_int_equal(fake_children_spawned(prepare), 1);
	fake_children_exit(child, 0);
	reap(child);
	/* Even if it has passed: what it has prepared may be what its SIGTERM undid. */
	assert_int_equal(fake_children_spawned("web"), 0);
	assert_int_equal(fake_children_spawned(prepare), 2);
	child = runs(prepare);
	fake_children_exit(child, 0);
	reap(child);
	assert_int_equal(fake_children_spawned("web"), 1);
	assert_int_equal(said("pre_start"), 0);
}

static void test_post_stop_has_the_status_and_the_next_start_waits(void **state)
{
	(void)state;
	struct fake_child *child = begin_post_stop(7);
	assert_string_equal(child->exit_status, "7");
	assert_string_equal(fake_children_of("web")->exit_status, "-");
	life_pass_until(life.now_ms + LIFE_STOPWAIT_MS - 1);
	assert_int_equal(fake_children_spawned("web"), 1);
	/* How it ends changes nothing. */
	fake_children_exit(child, 5);
	reap(child);
	assert_int_equal(said("web: post_stop: exited with 5"), 1);
	assert_int_equal(life.service.exit_status, 7);
	life_pass_until(life.now_ms + 100);
	assert_int_equal(fake_children_spawned("web"), 2);
	assert_int_equal(fake_children_spawned(clean), 1);
}

static void test_a_stop_is_over_after_post_stop(void **state)
{
	(void)state;
	have(NULL, clean_argv);
	struct fake_child *main_child = life_start();
	service_stop(&life.service, &life.host, life.now_ms);
	life_reap(main_child);
	life_step_at(life.now_ms);
	struct fake_child *child = runs(clean);
	assert_string_equal(child->exit_status, "143");
	/* Another stop does not end it early. */
	service_stop(&life.service, &life.host, life.now_ms);
	stage_stop(&life.service, life.now_ms);
	assert_int_equal(fake_children_signalled(-child->pid, SIGTERM), 0);
	assert_false(service_is_down(&life.service));
	fake_children_exit(child, 0);
	reap(child);
	assert_true(service_is_down(&life.service));
}

/* Without stopwaitsecs as well, where no time would mean for ever. */
static void test_post_stop_is_killed_after_stopwaitsecs(void **state)
{
	static const uint32_t waits_ms[] = {300, 0};
	(void)state;
	for (size_t i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
		life.config.stopwait_ms = waits_ms[i];
		uint64_t due_ms = life.now_ms + (waits_ms[i] != 0 ? waits_ms[i] : 1);
		struct fake_child *child = begin_post_stop(0);
		child->ignores = true;
		life_step_at(due_ms - 1);
		assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), 0);
		life_pass_until(due_ms);
		assert_int_equal(fake_children_signalled(-child->pid, SIGKILL), 1);
		reap(child);
		assert_true(service_is_down(&life.service));
	}
	assert_int_equal(said("web: post_stop: still there after its time, killed"), 2);
}

/* A reload takes the command away while it runs. */
static void test_one_that_is_not_configured_any_more_ends_all_the_same(void **state)
{
	(void)state;
	struct fake_child *child = begin_pre_start();
	life.service.config->pre_start = NULL;
	fake_children.next_failure = -ENOENT;
	fake_children_exit(child, SPAWN_STATUS_MISSING);
	reap(child);
	assert_int_equal(said("web: pre_start: : No such file or directory"), 1);
	assert_int_equal(life.service.restart.state, RESTART_BACKOFF);
}

/* What is not the service's own to free. */
static int end(void **state)
{
	life.service.config->pre_start = NULL;
	life.service.config->post_stop = NULL;
	return life_teardown(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, life_setup, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_program_comes_after_pre_start),
		TEST(test_a_failed_pre_start_is_a_failed_start),
		TEST(test_one_that_is_not_there_is_named),
		TEST(test_one_that_cannot_be_started_is_a_failed_start),
		TEST(test_pre_start_is_killed_after_start_timeout),
		TEST(test_without_start_timeout_it_has_all_the_time),
		TEST(test_a_stop_tells_pre_start_once_and_kills_it_later),
		TEST(test_a_start_after_a_stop_begins_anew),
		TEST(test_post_stop_has_the_status_and_the_next_start_waits),
		TEST(test_a_stop_is_over_after_post_stop),
		TEST(test_post_stop_is_killed_after_stopwaitsecs),
		TEST(test_one_that_is_not_configured_any_more_ends_all_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
