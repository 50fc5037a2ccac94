/* Which process goes on when a service daemonises.  The processes are real: the service's own,
 * which come to us when their parent ends. */
#include "supervisor/fleet/service_follow.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor/fleet/service.h"
#include "tests/support/fake_tree.h"
#include "tests/support/said.h"

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define START_MS 1000000U

static struct config_service config;
static struct service service;
static struct service_host host;
static struct fake_tree tree;
static char path[128];
static pid_t first;  /* the zombie */
static pid_t second; /* the process that goes on */
static pid_t other;  /* one more child; 0 = none */
static int alive[2]; /* a pipe whose writing end we alone have: it ends when we do */
static unsigned changes;

/* Runs until it is killed, or we have ended. */
static _Noreturn void live(void)
{
	char none;
	close(alive[1]);
	ssize_t ignored = read(alive[0], &none, 1);
	(void)ignored;
	_exit(0);
}

/* A child in that group (0: its own) that has started *below; its number. */
static pid_t start_pair(pid_t group, bool goes_on, pid_t *below)
{
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t pid = fork();
	if (pid == 0) {
		setpgid(0, group);
		pid_t child = fork();
		if (child == 0)
			live();
		if (write(ends[1], &child, sizeof child) != (ssize_t)sizeof child)
			_exit(1);
		if (goes_on)
			live();
		_exit(0);
	}
	assert_int_equal(read(ends[0], below, sizeof *below), sizeof *below);
	close(ends[0]);
	close(ends[1]);
	return pid;
}

/* A child that belongs to no service. */
static void start_other(void)
{
	other = fork();
	if (other == 0)
		live();
	assert_int_equal(setpgid(other, other), 0);
}

/* It has ended, and is a zombie. */
static void await_end(pid_t pid)
{
	siginfo_t info;
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
}

static int setup(void **state)
{
	(void)state;
	fake_tree_open(&tree);
	said_begin();
	snprintf(path, sizeof path, "%s/pid", tree.path);
	config = (struct config_service){.name = "web", .pidfile = path};
	service = (struct service){.config = &config, .told_ms = SERVICE_NEVER};
	service.spawned = (struct spawned){.gate_fd = -1, .result_fd = -1};
	host = (struct service_host){.tick = NULL};
	changes = 0;
	service_follow_init(&service.follow);
	other = 0;
	service.pid = start_pair(0, false, &second);
	await_end(service.pid);
	first = service.pid;
	service.lives = true;
	service.restart.state = RESTART_RUNNING;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kill(-first, SIGKILL);
	if (other != 0)
		kill(other, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
	said_end();
	fake_tree_close(&tree);
	return 0;
}

static void write_pid(pid_t pid)
{
	char text[32];
	snprintf(text, sizeof text, "%d\n", (int)pid);
	fake_tree_write(&tree, "pid", text);
}

static bool ends(int code, int status, uint64_t now_ms)
{
	return service_follow_main(&service, &host, code, status, now_ms);
}

static void assert_followed(void)
{
	assert_int_equal(service.pid, second);
	assert_true(service.lives);
	assert_true(service.follow.is_followed);
	assert_int_equal(service.follow.look_ms, FOLLOW_NEVER);
	assert_int_equal(said("web: daemonised: follows process"), 1);
}

static void assert_not_followed(void)
{
	assert_int_equal(service.pid, first);
	assert_false(service.follow.is_followed);
	assert_int_equal(said("daemonised"), 0);
}

static void count_change(void *context)
{
	(void)context;
	changes++;
}

static void test_the_one_that_the_pidfile_names_is_followed(void **state)
{
	(void)state;
	host.changed = count_change;
	write_pid(second);
	assert_true(ends(CLD_EXITED, 0, START_MS));
	assert_followed();
	assert_int_equal(changes, 1);
	assert_int_not_equal(service.start_ticks, 0);
	/* Its end is the end of the service, whatever the file says. */
	assert_false(ends(CLD_EXITED, 0, START_MS));
	assert_int_equal(service.pid, second);
}

static void test_a_file_that_comes_late_is_read_again(void **state)
{
	(void)state;
	assert_true(ends(CLD_EXITED, 0, START_MS));
	assert_not_followed();
	assert_false(service.lives);
	uint64_t look_ms = service.follow.look_ms;
	assert_in_range(look_ms, START_MS + 1, START_MS + 100);
	assert_true(service_follow_step(&service, &host, look_ms));
	assert_not_followed();
	assert_in_range(service.follow.look_ms, look_ms + 1, look_ms + 100);
	/* At the last moment. */
	assert_true(service_follow_step(&service, &host, START_MS + FOLLOW_WAIT_MS - 1));
	write_pid(second);
	assert_true(service_follow_step(&service, &host, START_MS + FOLLOW_WAIT_MS));
	assert_followed();
}

static void test_one_that_does_not_come_is_given_up(void **state)
{
	(void)state;
	assert_true(ends(CLD_EXITED, 0, START_MS));
	assert_true(service_follow_step(&service, &host, START_MS + FOLLOW_WAIT_MS - 1));
	assert_int_equal(said("names no process"), 0);
	assert_false(service_follow_step(&service, &host, START_MS + FOLLOW_WAIT_MS));
	assert_int_equal(service.follow.look_ms, FOLLOW_NEVER);
	assert_int_equal(service.follow.code, CLD_EXITED);
	assert_int_equal(said("web: pidfile "), 1);
	assert_int_equal(said("names no process of it"), 1);
	assert_not_followed();
}

/* The file is the service's to write. */
static void test_no_other_number_is_taken(void **state)
{
	static const char *const texts[] = {"", "\n", "web", "-1", "0", "1", "2147483648",
		"99999999999999999999999", "-2147483647"};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		fake_tree_write(&tree, "pid", texts[i]);
		assert_true(ends(CLD_EXITED, 0, START_MS));
		assert_not_followed();
	}
	/* Cut to 32 bits it would be the right one. */
	char text[32];
	snprintf(text, sizeof text, "%lld", (1LL << 32) + second);
	fake_tree_write(&tree, "pid", text);
	assert_true(ends(CLD_EXITED, 0, START_MS));
	assert_not_followed();
	const pid_t others[] = {first, getpid(), getppid()};
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		write_pid(others[i]);
		assert_true(ends(CLD_EXITED, 0, START_MS));
		assert_not_followed();
	}
}

/* A child of ours, as it has to be, in its own group, as another service's. */
static void test_another_services_process_is_not_taken(void **state)
{
	(void)state;
	start_other();
	write_pid(other);
	assert_true(ends(CLD_EXITED, 0, START_MS));
	assert_not_followed();
	/* In the service's group it would be. */
	assert_int_equal(setpgid(other, first), 0);
	assert_true(service_follow_step(&service, &host, START_MS));
	assert_int_equal(service.pid, other);
}

/* What is below the one that goes on is its own to wait for: we would not hear of its end. */
static void test_one_that_is_not_our_child_is_not_taken(void **state)
{
	pid_t below;
	(void)state;
	pid_t parent = start_pair(first, true, &below);
	write_pid(below);
	assert_true(ends(CLD_EXITED, 0, START_MS));
	assert_not_followed();
	/* With its parent gone it is ours. */
	kill(parent, SIGKILL);
	await_end(parent);
	assert_true(service_follow_step(&service, &host, START_MS));
	assert_int_equal(service.pid, below);
}

static void test_one_that_has_ended_is_not_taken(void **state)
{
	(void)state;
	write_pid(second);
	kill(second, SIGKILL);
	await_end(second);
	assert_true(ends(CLD_EXITED, 0, START_MS));
	assert_not_followed();
}

/* An open of one without a writer would wait for it. */
static void test_a_pidfile_that_is_a_pipe_holds_nobody_up(void **state)
{
	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(ends(CLD_EXITED, 0, START_MS));
	assert_not_followed();
	assert_int_not_equal(service.follow.look_ms, FOLLOW_NEVER);
}

static void test_a_first_process_that_failed_leaves_none_by_its_file(void **state)
{
	static const int rows[][2] = {
		{CLD_EXITED, 1}, {CLD_KILLED, SIGKILL}, {CLD_DUMPED, SIGSEGV}};
	(void)state;
	write_pid(second);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_false(ends(rows[i][0], rows[i][1], START_MS));
		assert_not_followed();
		assert_int_equal(service.follow.look_ms, FOLLOW_NEVER);
	}
}

static void test_what_it_has_told_counts_however_the_first_ends(void **state)
{
	(void)state;
	config.pidfile = NULL;
	service.ready_state.main_pid = second;
	assert_true(ends(CLD_KILLED, SIGTERM, START_MS));
	assert_followed();
	assert_int_equal(service.ready_state.main_pid, 0);
}

/* With a file as well, which names another. */
static void test_what_it_has_told_comes_before_the_file(void **state)
{
	(void)state;
	start_other();
	assert_int_equal(setpgid(other, first), 0);
	write_pid(other);
	service.ready_state.main_pid = second;
	assert_true(ends(CLD_EXITED, 0, START_MS));
	assert_followed();
}

static void test_what_it_has_told_is_looked_at_too(void **state)
{
	(void)state;
	config.pidfile = NULL;
	service.ready_state.main_pid = getppid();
	assert_false(ends(CLD_EXITED, 0, START_MS));
	assert_not_followed();
}

static void test_one_without_either_has_ended(void **state)
{
	(void)state;
	config.pidfile = NULL;
	assert_false(ends(CLD_EXITED, 0, START_MS));
	assert_not_followed();
}

static void test_a_service_that_is_to_stop_is_not_followed(void **state)
{
	(void)state;
	write_pid(second);
	service.restart.state = RESTART_STOPPING;
	assert_false(ends(CLD_EXITED, 0, START_MS));
	assert_not_followed();
	/* Nor one that is told so while its file is waited for, which is no fault of the file. */
	service.restart.state = RESTART_RUNNING;
	assert_int_equal(unlink(path), 0);
	assert_true(ends(CLD_EXITED, 0, START_MS));
	service.restart.state = RESTART_STOPPING;
	write_pid(second);
	assert_false(service_follow_step(&service, &host, START_MS));
	assert_not_followed();
	assert_int_equal(said("pidfile"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int adopt(void **state)
{
	(void)state;
	return pipe(alive) || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_one_that_the_pidfile_names_is_followed),
		TEST(test_a_file_that_comes_late_is_read_again),
		TEST(test_one_that_does_not_come_is_given_up),
		TEST(test_no_other_number_is_taken),
		TEST(test_another_services_process_is_not_taken),
		TEST(test_one_that_is_not_our_child_is_not_taken),
		TEST(test_one_that_has_ended_is_not_taken),
		TEST(test_a_pidfile_that_is_a_pipe_holds_nobody_up),
		TEST(test_a_first_process_that_failed_leaves_none_by_its_file),
		TEST(test_what_it_has_told_counts_however_the_first_ends),
		TEST(test_what_it_has_told_comes_before_the_file),
		TEST(test_what_it_has_told_is_looked_at_too),
		TEST(test_one_without_either_has_ended),
		TEST(test_a_service_that_is_to_stop_is_not_followed),
	};
	return cmocka_run_group_tests(tests, adopt, NULL);
}
