/* Commands to a JVM, which here is a child that does what HotSpot does when it is attached to. */
#include "supervisor/process/jvm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor/base/clock.h"

#define LONG_MS 60000U
#define SHORT_MS 100U

static char folder[] = "/tmp/spillway-test-jvm.XXXXXX";
static char answer[JVM_ANSWER_BYTES];
static int quit_pipe[2];

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL;
}

static int tear_down(void **state)
{
	char command[sizeof folder + 16];
	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", folder);
	return system(command);
}

static void on_quit(int signal)
{
	(void)signal;
	(void)!write(quit_pipe[1], "q", 1);
}

/* What a JVM does of it. */
enum behaviour {
	MAPS_IT = 1, /* a file called libjvm.so */
	CATCHES = 2, /* SIGQUIT */
	LISTENS = 4, /* when the file is there that says that attaching is meant */
	FULL_JVM = 7
};

static int listen_as(pid_t pid)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "/tmp/.java_pid%d", (int)pid);
	unlink(address.sun_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 5) != 0)
		_exit(2);
	return fd;
}

/* Answers each request that is as it should be with text, and others with nothing; without a text
 * it never has done. */
static void serve(int listener, const char *text)
{
	static const char wanted[] = "1\0jcmd\0GC.run\0\0";
	for (;;) {
		char request[64];
		size_t filled = 0;
		int fd = accept(listener, NULL, NULL);
		while (filled < sizeof wanted) {
			ssize_t got = read(fd, request + filled, sizeof request - filled);
			if (got <= 0)
				break;
			filled += (size_t)got;
		}
		if (text == NULL)
			continue;
		if (filled == sizeof wanted && memcmp(request, wanted, sizeof wanted) == 0)
			(void)!write(fd, text, strlen(text));
		close(fd);
	}
}

static void be_jvm(unsigned behaviour, const char *text, int ready_fd)
{
	char path[64];
	char byte;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof path, "%s/libjvm.so", folder);
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	if (ftruncate(fd, 4096) != 0 || pipe(quit_pipe) != 0)
		_exit(2);
	if ((behaviour & MAPS_IT) != 0)
		(void)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	if ((behaviour & CATCHES) != 0)
		signal(SIGQUIT, on_quit);
	(void)!write(ready_fd, "r", 1);
	snprintf(path, sizeof path, "/tmp/.attach_pid%d", (int)getpid());
	for (;;)
		if (read(quit_pipe[0], &byte, 1) == 1 && (behaviour & LISTENS) != 0 &&
			access(path, F_OK) == 0)
			serve(listen_as(getpid()), text);
}

static pid_t start(unsigned behaviour, const char *text)
{
	int ready[2];
	char byte;
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0)
		be_jvm(behaviour, text, ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* It runs still, and nothing is left in /tmp. */
static void finish(pid_t pid)
{
	char path[64];
	int status;
	snprintf(path, sizeof path, "/tmp/.attach_pid%d", (int)pid);
	assert_int_equal(access(path, F_OK), -1);
	snprintf(path, sizeof path, "/tmp/.java_pid%d", (int)pid);
	unlink(path);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static int ask(pid_t pid, uint64_t most_ms)
{
	const struct jvm_command command = {
		.pid = pid, .command = "GC.run", .until_ms = clock_now_ms() + most_ms};
	return jvm_command(&command, answer);
}

static void test_a_jvm_does_what_it_is_asked(void **state)
{
	pid_t pid = start(FULL_JVM, "0\nCommand executed\n");
	(void)state;
	assert_int_equal(ask(pid, LONG_MS), 0);
	assert_string_equal(answer, "Command executed");
	/* The second time it listens already. */
	assert_int_equal(ask(pid, LONG_MS), 0);
	finish(pid);
}

static void test_what_it_refuses_is_told(void **state)
{
	static const struct {
		const char *text;
		const char *answer;
	} rows[] = {
		{"1\nUnknown\x1b command\nmore", "Unknown? command"},
		{"what\n", NULL},
		{"", NULL},
		{"0", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		pid_t pid = start(FULL_JVM, rows[i].text);
		assert_int_equal(ask(pid, LONG_MS), -EPROTO);
		if (rows[i].answer != NULL)
			assert_string_equal(answer, rows[i].answer);
		finish(pid);
	}
}

static void test_another_program_gets_no_signal(void **state)
{
	static const unsigned others[] = {0, MAPS_IT, CATCHES | LISTENS};
	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		pid_t pid = start(others[i], "0\n");
		assert_int_equal(ask(pid, LONG_MS), -ENOEXEC);
		finish(pid);
	}
}

static void test_one_that_does_not_listen_is_given_up(void **state)
{
	pid_t pid = start(MAPS_IT | CATCHES, "");
	(void)state;
	assert_int_equal(ask(pid, SHORT_MS), -ETIMEDOUT);
	finish(pid);
}

static void test_one_that_is_not_done_in_time_is_known_to_be_at_it(void **state)
{
	pid_t pid = start(FULL_JVM, NULL);
	(void)state;
	/* Long enough that it listens before; what is waited for then never comes. */
	while (ask(pid, SHORT_MS) == -ETIMEDOUT) {
	}
	assert_int_equal(ask(pid, SHORT_MS), -EINPROGRESS);
	finish(pid);
}

static void test_a_link_in_the_place_of_its_socket_is_not_followed(void **state)
{
	char path[64];
	pid_t pid = start(MAPS_IT | CATCHES, "");
	(void)state;
	snprintf(path, sizeof path, "/tmp/.java_pid%d", (int)pid);
	unlink(path);
	int fd = listen_as(pid);
	char other[80];
	snprintf(other, sizeof other, "%s/other", folder);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	assert_int_equal(ask(pid, SHORT_MS), -ETIMEDOUT);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(accept(fd, NULL, NULL), -1);
	close(fd);
	finish(pid);
}

static void test_the_status_of_a_process_is_read(void **state)
{
	(void)state;
	assert_true(jvm_catches_quit("Name:\tx\nSigCgt:\t0000000000000004\n"));
	assert_false(jvm_catches_quit("Name:\tSigCgt:\nSigCgt:\tfffffffffffffffb\n"));
	assert_false(jvm_catches_quit("Name:\tSigCgt:4\n"));
	assert_false(jvm_catches_quit(""));
	assert_int_equal(jvm_own_pid("Pid:\t9\nNSpid:\t9\t7\t1\nx"), 1);
	assert_int_equal(jvm_own_pid("NSpid:\t9"), 9);
	assert_int_equal(jvm_own_pid("NSpid:\tx\n"), 0);
	assert_int_equal(jvm_own_pid("Pid:\t9\n"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_jvm_does_what_it_is_asked),
		cmocka_unit_test(test_what_it_refuses_is_told),
		cmocka_unit_test(test_another_program_gets_no_signal),
		cmocka_unit_test(test_one_that_does_not_listen_is_given_up),
		cmocka_unit_test(test_one_that_is_not_done_in_time_is_known_to_be_at_it),
		cmocka_unit_test(test_a_link_in_the_place_of_its_socket_is_not_followed),
		cmocka_unit_test(test_the_status_of_a_process_is_read),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
