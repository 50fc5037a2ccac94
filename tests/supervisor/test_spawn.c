#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/process/descendants.h"
#include "supervisor/process/spawn.h"
#include "tests/support/patience.h"

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

/* Above every descriptor that a start has. */
#define PASSED_MOST 20

static struct signals signals;
static struct environment environment;
static char output[4096];
static bool at_once;

static int set_up(void **state)
{
	(void)state;
	return signals_open(&signals) || environment_init(&environment, environ);
}

static int tear_down(void **state)
{
	(void)state;
	environment_fini(&environment);
	signals_close(&signals);
	return 0;
}

static struct spawn spawn_of(const char *const *argv)
{
	return (struct spawn){.argv = (char *const *)argv,
		.environment = &environment,
		.signals = &signals,
		.at_once = at_once};
}

static int wait_at_the_gate(void **state)
{
	(void)state;
	at_once = false;
	return 0;
}

static int go_at_once(void **state)
{
	(void)state;
	at_once = true;
	return 0;
}

/* Runs it to its end with stdout in output; the wait status. */
static int run(const struct spawn *spawn, struct spawn_failure *failure)
{
	int ends[2];
	int saved = dup(STDOUT_FILENO);
	int status = -1;
	struct spawned spawned;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	dup2(ends[1], STDOUT_FILENO);
	int error = spawn_start(spawn, &spawned);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(ends[1]);
	assert_int_equal(error, 0);
	spawn_go(&spawned);
	size_t length = 0;
	ssize_t got;
	while ((got = read(ends[0], output + length, sizeof output - 1 - length)) > 0)
		length += (size_t)got;
	output[length] = '\0';
	close(ends[0]);
	assert_int_equal(waitpid(spawned.pid, &status, 0), spawned.pid);
	struct spawn_failure got_failure = {.error = 0};
	int result = spawn_result(&spawned, &got_failure);
	if (failure != NULL)
		*failure = got_failure;
	assert_int_equal(result, failure != NULL);
	spawn_close(&spawned);
	return status;
}

static void test_the_child_waits_at_the_gate(void **state)
{
	(void)state;
	const char *const argv[] = {"true", NULL};
	struct spawn spawn = spawn_of(argv);
	struct spawned spawned;
	struct spawn_failure failure;
	int status;
	assert_int_equal(spawn_start(&spawn, &spawned), 0);
	assert_int_equal(getpgid(spawned.pid), spawned.pid);
	assert_int_equal(spawn_result(&spawned, &failure), -EAGAIN);
	assert_int_equal(waitpid(spawned.pid, &status, WNOHANG), 0);
	spawn_go(&spawned);
	struct pollfd poll_fd = {.fd = spawned.result_fd, .events = POLLIN};
	assert_true(WAIT_UNTIL(10, poll(&poll_fd, 1, 10) == 1));
	assert_int_equal(spawn_result(&spawned, &failure), 0);
	assert_int_equal(waitpid(spawned.pid, &status, 0), spawned.pid);
	assert_int_equal(status, 0);
	spawn_close(&spawned);
}

static void test_a_child_given_up_at_the_gate_runs_nothing(void **state)
{
	(void)state;
	const char *const argv[] = {"true", NULL};
	struct spawn spawn = spawn_of(argv);
	struct spawned spawned;
	int status;
	assert_int_equal(spawn_start(&spawn, &spawned), 0);
	spawn_close(&spawned);
	assert_int_equal(waitpid(spawned.pid, &status, 0), spawned.pid);
	assert_int_equal(WEXITSTATUS(status), SPAWN_STATUS_UNUSABLE);
}

/* It writes to our memory until exec: not to what we go on to use, nor with descriptors of its own
 * that stay open. */
static void test_one_that_goes_at_once_leaves_us_as_we_were(void **state)
{
	const char *const argv[] = {"true", NULL};
	char *const *before = environ;
	struct spawn spawn = spawn_of(argv);
	struct spawned spawned;
	struct spawn_failure failure;
	int status;
	(void)state;
	int free_fd = dup(STDIN_FILENO);
	close(free_fd);
	assert_int_equal(spawn_start(&spawn, &spawned), 0);
	assert_int_equal(spawned.gate_fd, -1);
	assert_int_equal(spawned.result_fd, -1);
	assert_int_equal(spawn_result(&spawned, &failure), 0);
	assert_ptr_equal(environ, before);
	int fd = dup(STDIN_FILENO);
	assert_int_equal(fd, free_fd);
	close(fd);
	spawn_go(&spawned);
	assert_int_equal(waitpid(spawned.pid, &status, 0), spawned.pid);
	assert_int_equal(status, 0);
	spawn_close(&spawned);
}

/* A start that finds none would leave a service without all that takes one. */
static void test_without_descriptors_nothing_starts(void **state)
{
	const char *const argv[] = {"true", NULL};
	struct spawn spawn = spawn_of(argv);
	struct spawned spawned;
	struct rlimit limit;
	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	const struct rlimit none = {.rlim_cur = 3, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	int error = spawn_start(&spawn, &spawned);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(error, -EMFILE);
}

static void test_what_fails_comes_back(void **state)
{
	(void)state;
	const char *const missing[] = {"no-such-program-here", NULL};
	const char *const folder[] = {"/etc", NULL};
	const char *const fine[] = {"true", NULL};
	struct spawn_failure failure;
	struct spawn spawn = spawn_of(missing);
	int status = run(&spawn, &failure);
	assert_int_equal(WEXITSTATUS(status), SPAWN_STATUS_MISSING);
	assert_int_equal(failure.stage, SPAWN_EXEC);
	assert_int_equal(failure.error, -ENOENT);

	spawn = spawn_of(folder);
	status = run(&spawn, &failure);
	assert_int_equal(WEXITSTATUS(status), SPAWN_STATUS_UNUSABLE);
	assert_int_equal(failure.error, -EACCES);

	spawn = spawn_of(fine);
	spawn.directory = "/no/such/folder";
	status = run(&spawn, &failure);
	assert_int_equal(WEXITSTATUS(status), SPAWN_STATUS_UNUSABLE);
	assert_int_equal(failure.stage, SPAWN_DIRECTORY);
	assert_int_equal(failure.error, -ENOENT);
}

static void test_the_program_is_found_in_the_childs_path(void **state)
{
	(void)state;
	const char *const argv[] = {"true", NULL};
	struct spawn_failure failure;
	struct spawn spawn = spawn_of(argv);
	const char *given = getenv("PATH");
	char *path = strdup(given != NULL ? given : "/bin:/usr/bin");
	assert_int_equal(environment_set(&environment, "PATH", "/no/such/folder"), 0);
	run(&spawn, &failure);
	assert_int_equal(failure.error, -ENOENT);
	assert_int_equal(environment_set(&environment, "PATH", path), 0);
	assert_int_equal(run(&spawn, NULL), 0);
	free(path);
}

static void test_directories_count_from_where_it_starts(void **state)
{
	(void)state;
	const char *const argv[] = {"pwd", "-P", NULL};
	struct spawn spawn = spawn_of(argv);
	spawn.start = "/usr";
	spawn.directory = "lib";
	assert_int_equal(run(&spawn, NULL), 0);
	assert_string_equal(output, "/usr/lib\n");
}

static void test_some_descriptors_are_kept_and_no_other(void **state)
{
	(void)state;
	char text[128];
	const int kept[] = {
		open("/dev/null", O_RDONLY | O_CLOEXEC), open("/dev/zero", O_RDONLY | O_CLOEXEC)};
	int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	snprintf(text, sizeof text, "[ -e /dev/fd/%d ] && [ -e /dev/fd/%d ] && [ ! -e /dev/fd/%d ]",
		kept[0], kept[1], other);
	const char *const argv[] = {"sh", "-c", text, NULL};
	struct spawn spawn = spawn_of(argv);
	spawn.keep_fd = kept;
	spawn.keep_count = 2;
	assert_int_equal(run(&spawn, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_true(fcntl(kept[i], F_GETFD) & FD_CLOEXEC);
		close(kept[i]);
	}
	close(other);
}

/* Where the program is given a descriptor, and where it is not.  Whatever number it has: the child
 * has descriptors of its own there, whose number it may be. */
static void test_one_is_passed_by_the_number_that_is_wanted(void **state)
{
	int ends[2];
	char text[128];
	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	for (int number = 3; number < PASSED_MOST; number++) {
		/* It has the one, and not ours besides. */
		snprintf(text, sizeof text, "echo up >/dev/fd/%d && [ %d = %d -o ! -e /dev/fd/%d ]",
			number, number, ends[1], ends[1]);
		const char *const argv[] = {"sh", "-c", text, NULL};
		struct spawn spawn = spawn_of(argv);
		spawn.passed_fd = ends[1];
		spawn.passed_as = number;
		assert_int_equal(run(&spawn, NULL), 0);
		assert_int_equal(read(ends[0], text, sizeof text), 3);
		assert_memory_equal(text, "up\n", 3);
		assert_true(fcntl(ends[1], F_GETFD) & FD_CLOEXEC);
	}
	close(ends[0]);
	close(ends[1]);
}

static void test_what_fails_comes_back_beside_one_that_is_passed(void **state)
{
	const char *const argv[] = {"no-such-program-here", NULL};
	int ends[2];
	char text[8];
	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	for (int number = 3; number < PASSED_MOST; number++) {
		struct spawn_failure failure;
		struct spawn spawn = spawn_of(argv);
		spawn.passed_fd = ends[1];
		spawn.passed_as = number;
		int status = run(&spawn, &failure);
		assert_int_equal(WEXITSTATUS(status), SPAWN_STATUS_MISSING);
		assert_int_equal(failure.stage, SPAWN_EXEC);
		assert_int_equal(failure.error, -ENOENT);
		assert_int_equal(read(ends[0], text, sizeof text), -1);
	}
	close(ends[0]);
	close(ends[1]);
}

static void test_a_number_beyond_the_limit_is_a_failure(void **state)
{
	const char *const argv[] = {"true", NULL};
	struct spawn_failure failure;
	struct spawn spawn = spawn_of(argv);
	(void)state;
	spawn.passed_fd = STDIN_FILENO;
	spawn.passed_as = INT32_MAX;
	int status = run(&spawn, &failure);
	assert_int_equal(WEXITSTATUS(status), SPAWN_STATUS_UNUSABLE);
	assert_int_equal(failure.error, -EBADF);
	/* None is passed without a number, or without one to pass. */
	spawn.passed_as = 0;
	assert_int_equal(run(&spawn, NULL), 0);
	spawn.passed_as = INT32_MAX;
	spawn.passed_fd = -1;
	assert_int_equal(run(&spawn, NULL), 0);
}

/* Of the program's two outputs the first line, from where the test has had them go. */
static void test_outputs_and_umask_are_set(void **state)
{
	(void)state;
	const char *const argv[] = {"sh", "-c", "echo out; umask; echo err >&2", NULL};
	const int mask = 027;
	int out[2];
	int nowhere[2] = {SPAWN_OUTPUT_NULL, SPAWN_OUTPUT_OURS};
	struct spawn spawn = spawn_of(argv);
	spawn.umask = &mask;
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	/* Its stderr is what our stdout is, and the other way round would be as well. */
	int crossed[2] = {out[1], STDOUT_FILENO};
	spawn.output = crossed;
	assert_int_equal(run(&spawn, NULL), 0);
	assert_string_equal(output, "err\n");
	char text[64];
	ssize_t length = read(out[0], text, sizeof text - 1);
	assert_true(length > 0);
	text[length] = '\0';
	assert_string_equal(text, "out\n0027\n");
	close(out[0]);
	close(out[1]);
	spawn.output = nowhere;
	assert_int_equal(run(&spawn, NULL), 0);
	assert_string_equal(output, "");
}

static void test_listen_pid_becomes_the_childs_if_it_is_ours(void **state)
{
	(void)state;
	const char *const argv[] = {"sh", "-c", "[ $LISTEN_PID = $$ ]", NULL};
	const char *const foreign[] = {"sh", "-c", "[ $LISTEN_PID = 1 ]", NULL};
	char ours[16];
	struct spawn spawn = spawn_of(argv);
	snprintf(ours, sizeof ours, "%d", (int)getpid());
	assert_int_equal(environment_set(&environment, "LISTEN_PID", ours), 0);
	assert_int_equal(run(&spawn, NULL), 0);
	assert_string_equal(environment_get(&environment, "LISTEN_PID"), ours);
	spawn = spawn_of(foreign);
	assert_int_equal(environment_set(&environment, "LISTEN_PID", "1"), 0);
	assert_int_equal(run(&spawn, NULL), 0);
}

static void test_signals_are_read_and_tell_who_sent_them(void **state)
{
	(void)state;
	struct signals_event event;
	int status;
	while (signals_read(&signals, &event) == 1)
		;
	kill(getpid(), SIGSEGV);
	assert_int_equal(signals_read(&signals, &event), 1);
	assert_int_equal(event.number, SIGSEGV);
	assert_true(event.from_us);
	pid_t pid = fork();
	if (pid == 0) {
		kill(getppid(), SIGTERM);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(signals_read(&signals, &event), 1);
	assert_int_equal(event.number, SIGTERM);
	assert_int_equal(event.sender, pid);
	assert_false(event.from_us);
	assert_int_equal(signals_read(&signals, &event), 1);
	assert_int_equal(event.number, SIGCHLD);
	assert_int_equal(signals_read(&signals, &event), 0);
}

static void test_signal_names(void **state)
{
	(void)state;
	char text[SIGNALS_NAME_BYTES];
	assert_string_equal(signals_name(SIGTERM, text), "TERM");
	assert_string_equal(signals_name(SIGRTMIN + 2, text), "RTMIN+2");
	assert_string_equal(signals_name(SIGRTMIN, text), "RTMIN+0");
	assert_string_equal(signals_name(32, text), "32");
	assert_string_equal(signals_name(-1, text), "-1");
}

static void test_descendants_are_reached_however_deep(void **state)
{
	(void)state;
	/* Three generations, the last two in a session of their own, and one bystander. */
	const char *const argv[] = {"sh", "-c",
		"setsid sh -c 'trap \"exit 0\" TERM; sleep 1000 & echo up; wait' & wait", NULL};
	const char *const aside[] = {"sleep", "1000", NULL};
	struct spawn spawn = spawn_of(argv);
	struct spawn bystander = spawn_of(aside);
	struct spawned first;
	struct spawned second;
	int ends[2];
	char text[8];
	int status;
	assert_int_equal(pipe(ends), 0);
	int saved = dup(STDOUT_FILENO);
	dup2(ends[1], STDOUT_FILENO);
	assert_int_equal(spawn_start(&spawn, &first), 0);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(ends[1]);
	spawn_go(&first);
	assert_int_equal(spawn_start(&bystander, &second), 0);
	spawn_go(&second);
	assert_int_equal(read(ends[0], text, sizeof text), 3);
	assert_int_equal(descendants_signal(second.pid, 0), 0);
	assert_int_equal(descendants_signal(first.pid, 0), 2);
	assert_int_equal(descendants_signal(getpid(), 0), 4);
	assert_int_equal(descendants_signal(getpid(), SIGKILL), 4);
	assert_int_equal(waitpid(first.pid, &status, 0), first.pid);
	assert_int_equal(waitpid(second.pid, &status, 0), second.pid);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	/* The pipe ends when the last of them has. */
	assert_int_equal(read(ends[0], text, sizeof text), 0);
	close(ends[0]);
	spawn_close(&first);
	spawn_close(&second);
}

#define BOTH(test) \
	cmocka_unit_test_setup(test, wait_at_the_gate), cmocka_unit_test_setup(test, go_at_once)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_child_waits_at_the_gate),
		cmocka_unit_test(test_a_child_given_up_at_the_gate_runs_nothing),
		cmocka_unit_test_setup(test_one_that_goes_at_once_leaves_us_as_we_were, go_at_once),
		BOTH(test_without_descriptors_nothing_starts),
		BOTH(test_what_fails_comes_back),
		BOTH(test_the_program_is_found_in_the_childs_path),
		BOTH(test_directories_count_from_where_it_starts),
		BOTH(test_some_descriptors_are_kept_and_no_other),
		BOTH(test_one_is_passed_by_the_number_that_is_wanted),
		BOTH(test_what_fails_comes_back_beside_one_that_is_passed),
		BOTH(test_a_number_beyond_the_limit_is_a_failure),
		BOTH(test_outputs_and_umask_are_set),
		BOTH(test_listen_pid_becomes_the_childs_if_it_is_ours),
		cmocka_unit_test(test_signals_are_read_and_tell_who_sent_them),
		cmocka_unit_test(test_signal_names),
		cmocka_unit_test_setup(test_descendants_are_reached_however_deep, wait_at_the_gate),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
