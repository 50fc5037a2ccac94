/* How a service tells by a descriptor that it is up (notify = fd:N).  The pipe is real; no process
 * runs. */
#include "supervisor/fleet/service_ready.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_children.h"
#include "tests/support/fake_loop.h"
#include "tests/support/fake_tick.h"
#include "tests/support/said.h"

#define NUMBER 7
#define START_TIMEOUT_MS 5000U

static char text[] = "fd:7";
static struct loop *loop;
static unsigned wakes;
static int told_fd; /* the service's end, as its process would have it; -1 = closed */

static void wake(void *context)
{
	(void)context;
	wakes++;
}

/* The main process is made when we still have its end. */
static void keep_end(void *context)
{
	(void)context;
	assert_true(life.service.ready_state.child_fd >= 0);
	told_fd = fcntl(life.service.ready_state.child_fd, F_DUPFD_CLOEXEC, 0);
}

static int setup(void **state)
{
	int error = life_setup(state);
	if (error != 0)
		return error;
	fake_loop_reset(LIFE_START_MS);
	wakes = 0;
	told_fd = -1;
	life.host.wake = wake;
	life.host.changed = keep_end;
	life.host.loop = loop;
	life.config.notify = (struct config_probe){.kind = CONFIG_PROBE_FD, .number = NUMBER};
	life.config.notify.text = text;
	life.config.start_timeout_ms = START_TIMEOUT_MS;
	life_init();
	return 0;
}

static void close_told(void)
{
	if (told_fd >= 0)
		close(told_fd);
	told_fd = -1;
}

static int teardown(void **state)
{
	close_told();
	ready_close(&life.service.ready_state);
	life.service.config->notify = (struct config_probe){0};
	return life_teardown(state);
}

static void tell(const char *line)
{
	assert_int_equal(write(told_fd, line, strlen(line)), strlen(line));
}

/* The loop sees that there is something to read. */
static void fire(void)
{
	assert_true(fake_loop_fire(life.service.ready_state.fd));
}

static void test_its_process_is_given_the_end_by_its_number(void **state)
{
	(void)state;
	struct fake_child *child = life_start();
	assert_int_equal(child->passed_as, NUMBER);
	assert_true(child->passed_fd >= 0);
	/* We keep none of it: its end is seen when the service closes it. */
	assert_int_equal(life.service.ready_state.child_fd, -1);
	assert_int_equal(fcntl(child->passed_fd, F_GETFD), -1);
	assert_true(fcntl(life.service.ready_state.fd, F_GETFD) & FD_CLOEXEC);
}

static void test_a_line_makes_it_ready(void **state)
{
	(void)state;
	life_start();
	life_step_at(LIFE_START_MS + 100);
	assert_false(life.service.ready);
	fake_loop.now_ms = LIFE_START_MS + 150;
	tell("up\n");
	fire();
	assert_true(life.service.ready);
	assert_int_equal(wakes, 1);
	assert_int_equal(said("web: ready after 150 ms"), 1);
	/* Nothing is waited for any more, and no time either. */
	assert_int_equal(life.service.ready_state.fd, -1);
	assert_int_equal(fake_loop_watches(), 0);
	life_pass_until(LIFE_START_MS + UINT64_C(10) * START_TIMEOUT_MS);
	assert_int_equal(life.service.restart.state, RESTART_RUNNING);
}

static void test_a_part_of_a_line_is_none(void **state)
{
	(void)state;
	life_start();
	tell("almost");
	fire();
	assert_false(life.service.ready);
	assert_true(life.service.ready_state.fd >= 0);
	/* Nor is a call without anything to read. */
	fire();
	assert_false(life.service.ready);
	tell(" there\nmore");
	fire();
	assert_true(life.service.ready);
}

static void test_one_that_closes_it_without_a_line_is_late(void **state)
{
	(void)state;
	struct fake_child *child = life_start();
	tell("up");
	fire();
	close_told();
	fire();
	assert_false(life.service.ready);
	assert_int_equal(said("web: closed descriptor 7 without a line"), 1);
	assert_int_equal(fake_loop_watches(), 0);
	life_pass_until(LIFE_START_MS + START_TIMEOUT_MS - 1);
	assert_int_equal(fake_children_signalled(child->pid, SIGTERM), 0);
	life_pass_until(LIFE_START_MS + START_TIMEOUT_MS);
	assert_int_equal(fake_children_signalled(child->pid, SIGTERM), 1);
	assert_int_equal(said("web: stopped: not ready after 5000 ms (notify = fd:7)"), 1);
}

static void test_a_start_that_fails_leaves_no_descriptor(void **state)
{
	(void)state;
	fake_children.refuse_spawns = 1;
	fake_children.refuse_error = -EAGAIN;
	service_start(&life.service, &life.host, life.now_ms);
	assert_int_equal(life.service.restart.state, RESTART_BACKOFF);
	assert_int_equal(life.service.ready_state.fd, -1);
	assert_int_equal(life.service.ready_state.child_fd, -1);
	assert_int_equal(fake_loop_watches(), 0);
	/* Nor does one whose pipe cannot be waited for. */
	fake_loop.refuse_watches = 1;
	life_pass_until(LIFE_START_MS + 100);
	assert_int_equal(fake_children_spawned("web"), 0);
	assert_int_equal(life.service.ready_state.fd, -1);
	assert_int_equal(life.service.ready_state.child_fd, -1);
	assert_int_equal(said("web: cannot start: Cannot allocate memory"), 1);
}

static void test_each_start_has_a_pipe_of_its_own(void **state)
{
	(void)state;
	life_start();
	tell("up\n");
	fire();
	int old_fd = told_fd;
	life_die(1);
	assert_int_equal(fake_loop_watches(), 0);
	life_pass_until(LIFE_START_MS + 100);
	assert_int_equal(fake_children_spawned("web"), 2);
	assert_false(life.service.ready);
	/* What the last one has left writes to nobody. */
	assert_int_equal(write(old_fd, "up\n", 3), -1);
	assert_int_equal(errno, EPIPE);
	close(old_fd);
	tell("up\n");
	fire();
	assert_true(life.service.ready);
}

static void test_without_it_nothing_is_passed(void **state)
{
	(void)state;
	life.host.changed = NULL;
	life.service.config->notify = (struct config_probe){0};
	struct fake_child *child = life_start();
	assert_int_equal(child->passed_as, 0);
	assert_int_equal(child->passed_fd, -1);
	assert_int_equal(fake_loop_watches(), 0);
}

static int open_loop(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	return loop_new(&loop);
}

static int close_loop(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_its_process_is_given_the_end_by_its_number),
		TEST(test_a_line_makes_it_ready),
		TEST(test_a_part_of_a_line_is_none),
		TEST(test_one_that_closes_it_without_a_line_is_late),
		TEST(test_a_start_that_fails_leaves_no_descriptor),
		TEST(test_each_start_has_a_pipe_of_its_own),
		TEST(test_without_it_nothing_is_passed),
	};
	return cmocka_run_group_tests(tests, open_loop, close_loop);
}
