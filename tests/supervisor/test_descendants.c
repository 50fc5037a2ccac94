/* Who is below us: of real processes, and as a /proc of files tells it. */

#include "supervisor/process/descendants.h"
#include "supervisor/process/descendants_marked.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"
#include "tests/support/patience.h"

#define ROOT_PID 70

/* "/proc" is proc_path, and kills are only noted, while that is not NULL. */
static const char *proc_path;
static size_t proc_openings;
static pid_t killed[64];
static size_t killed_count;
static pid_t vanished; /* kill() does not find it any more */
/* Called once, after the first entry of /proc was read. */
static void (*while_reading)(void);

DIR *__wrap_opendir(const char *path);
DIR *__real_opendir(const char *path);
struct dirent *__wrap_readdir(DIR *directory);
struct dirent *__real_readdir(DIR *directory);
int __wrap_kill(pid_t pid, int signal);
int __real_kill(pid_t pid, int signal);

DIR *__wrap_opendir(const char *path)
{
	proc_openings += strcmp(path, "/proc") == 0;
	return __real_opendir(proc_path != NULL && strcmp(path, "/proc") == 0 ? proc_path : path);
}

struct dirent *__wrap_readdir(DIR *directory)
{
	struct dirent *entry = __real_readdir(directory);
	void (*run)(void) = while_reading;
	while_reading = NULL;
	if (run != NULL)
		run();
	return entry;
}

int __wrap_kill(pid_t pid, int signal)
{
	if (proc_path == NULL)
		return __real_kill(pid, signal);
	assert_true(killed_count < sizeof killed / sizeof killed[0]);
	killed[killed_count++] = pid;
	errno = ESRCH;
	return pid == vanished ? -1 : 0;
}

static size_t kills_of(pid_t pid)
{
	size_t count = 0;
	for (size_t i = 0; i < killed_count; i++)
		count += killed[i] == pid;
	return count;
}

/* Real processes.  Each child waits for a signal that ends it; all are reaped by us. */

static void reap_all(void)
{
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static int setup_real(void **state)
{
	(void)state;
	return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

static int teardown_real(void **state)
{
	(void)state;
	while_reading = NULL;
	while (descendants_signal(getpid(), SIGKILL) > 0)
		;
	reap_all();
	return 0;
}

static void wait_for_ever(void)
{
	for (;;)
		pause();
}

/* A child that has a child and so on, depth of them, each in a session of its own.  Each writes a
 * byte when it is there. */
static pid_t fork_chain(int depth, int ready_fd)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid != 0)
		return pid;
	setsid();
	if (depth > 1)
		fork_chain(depth - 1, ready_fd);
	ssize_t ignored = write(ready_fd, "", 1);
	(void)ignored;
	wait_for_ever();
	return 0;
}

static void wait_for_bytes(int fd, int count)
{
	char byte;
	for (int i = 0; i < count; i++)
		assert_int_equal(read(fd, &byte, 1), 1);
}

static void test_all_below_are_reached_and_nobody_else(void **state)
{
	int ready[2];
	int status;
	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid_t top = fork_chain(4, ready[1]);
	pid_t beside = fork_chain(1, ready[1]);
	wait_for_bytes(ready[0], 5);
	/* Below top: three; top itself is not. */
	assert_int_equal(descendants_signal(top, SIGKILL), 3);
	assert_int_equal(kill(top, 0), 0);
	assert_int_equal(kill(beside, 0), 0);
	assert_int_equal(waitpid(beside, &status, WNOHANG), 0);
	/* The three are zombies by then, top's and ours, and are not counted. */
	assert_true(WAIT_UNTIL(30, descendants_signal(getpid(), 0) == 2));
	assert_int_equal(descendants_signal(getpid(), SIGKILL), 2);
	reap_all();
	assert_int_equal(descendants_signal(getpid(), SIGKILL), 0);
	close(ready[0]);
	close(ready[1]);
}

static void test_orphans_come_to_us_and_are_reached(void **state)
{
	int ready[2];
	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid_t top = fork_chain(3, ready[1]);
	wait_for_bytes(ready[0], 3);
	assert_int_equal(kill(top, SIGKILL), 0);
	assert_int_equal(waitpid(top, NULL, 0), top);
	assert_int_equal(descendants_signal(getpid(), SIGKILL), 2);
	reap_all();
	close(ready[0]);
	close(ready[1]);
}

static pid_t start_shell(const char *command, const char *variable)
{
	const char *const environment[] = {"PATH=/usr/bin:/bin", variable, NULL};
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid != 0)
		return pid;
	setsid();
	execle("/bin/sh", "sh", "-c", command, NULL, environment);
	_exit(1);
}

/* A service's processes, whatever group and session they are in; not its siblings'. */
static void test_the_environment_tells_whose_a_process_is(void **state)
{
	(void)state;
	pid_t web = start_shell("env -i setsid sleep 1000 & exec sleep 1000", "MARK=web");
	pid_t group = start_shell("exec sleep 1000", "MARK=web");
	pid_t longer = start_shell("exec sleep 1000", "MARK=web2");
	pid_t other = start_shell("exec sleep 1000", "NO_MARK=web");
	assert_true(WAIT_UNTIL(30, descendants_signal_marked(getpid(), "MARK=web", 0, 0) == 3));
	assert_int_equal(descendants_signal_marked(getpid(), "MARK=web", group, 0), 2);
	assert_int_equal(descendants_signal_marked(getpid(), "MARK=web", group, SIGKILL), 2);
	assert_int_equal(waitpid(web, NULL, 0), web);
	assert_int_equal(waitpid(group, NULL, WNOHANG), 0);
	assert_int_equal(waitpid(longer, NULL, WNOHANG), 0);
	assert_int_equal(waitpid(other, NULL, WNOHANG), 0);
}

static struct descendants_mark mark_of(const char *text, int signal)
{
	struct descendants_mark mark = {.root = getpid(), .signal = signal};
	snprintf(mark.text, sizeof mark.text, "%s", text);
	return mark;
}

/* In whatever order they come back. */
static int count_of(const struct descendants_mark *mark, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(mark[i].text, text) == 0)
			return mark[i].count;
	return -1;
}

static void test_one_reading_serves_many_marks(void **state)
{
	(void)state;
	pid_t web = start_shell("env -i setsid sleep 1000 & exec sleep 1000", "MARK=web");
	pid_t db = start_shell("exec sleep 1000", "MARK=db");
	pid_t other = start_shell("exec sleep 1000", "MARK=other");
	assert_true(WAIT_UNTIL(30, descendants_signal_marked(getpid(), "MARK=web", 0, 0) == 2));
	assert_true(WAIT_UNTIL(30, descendants_signal_marked(getpid(), "MARK=db", 0, 0) == 1));
	assert_true(WAIT_UNTIL(30, descendants_signal_marked(getpid(), "MARK=other", 0, 0) == 1));
	struct descendants_mark mark[] = {mark_of("MARK=web", SIGKILL),
		mark_of("MARK=none", SIGKILL), mark_of("MARK=other", 0),
		mark_of("MARK=db", SIGTERM)};
	proc_openings = 0;
	assert_int_equal(descendants_signal_marks(mark, 4), 0);
	assert_int_equal(proc_openings, 1);
	assert_int_equal(count_of(mark, 4, "MARK=web"), 2);
	assert_int_equal(count_of(mark, 4, "MARK=db"), 1);
	assert_int_equal(count_of(mark, 4, "MARK=other"), 1);
	assert_int_equal(count_of(mark, 4, "MARK=none"), 0);
	int status = 0;
	assert_int_equal(waitpid(web, &status, 0), web);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	assert_int_equal(waitpid(db, &status, 0), db);
	assert_int_equal(WTERMSIG(status), SIGTERM);
	assert_int_equal(waitpid(other, NULL, WNOHANG), 0);
}

/* Orphans come to us however they detached themselves. */
static void test_an_orphan_is_a_child_that_is_not_known(void **state)
{
	(void)state;
	pid_t web = start_shell("exec sleep 1000", "MARK=web");
	pid_t left = start_shell("setsid sleep 1000 & exec true", "MARK=left");
	pid_t known[] = {web + 1, left, web};
	assert_true(WAIT_UNTIL(30, waitpid(left, NULL, WNOHANG) == left));
	assert_false(descendants_are_known(known, 3));
	assert_true(WAIT_UNTIL(30, descendants_signal_marked(getpid(), "MARK=left", 0, 0) == 1));
	assert_int_equal(descendants_signal_marked(getpid(), "MARK=left", 0, SIGKILL), 1);
	assert_true(WAIT_UNTIL(30, waitpid(-1, NULL, WNOHANG) > 0));
	assert_true(descendants_are_known(known, 3));
	assert_false(descendants_are_known(&left, 1));
	assert_false(descendants_are_known(NULL, 0));
	kill(web, SIGKILL);
	assert_int_equal(waitpid(web, NULL, 0), web);
	assert_true(descendants_are_known(NULL, 0));
}

static void name_and_wait(int ready_fd, const char *name)
{
	prctl(PR_SET_NAME, name);
	ssize_t ignored = write(ready_fd, "", 1);
	(void)ignored;
	wait_for_ever();
}

static void test_a_name_cannot_pretend_to_be_anything(void **state)
{
	static const char *const names[] = {
		") Z 1 (", "(", ")", ") ", " ) S 1 1 1", "\n", "a\nb) Z 0", ""};
	enum { COUNT = sizeof names / sizeof names[0] };
	int ready[2];
	(void)state;
	assert_int_equal(pipe(ready), 0);
	for (size_t i = 0; i < COUNT; i++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			name_and_wait(ready[1], names[i]);
	}
	wait_for_bytes(ready[0], COUNT);
	assert_int_equal(descendants_signal(getpid(), SIGKILL), COUNT);
	reap_all();
	close(ready[0]);
	close(ready[1]);
}

/* A child, its child, and so on: each is gone as soon as it has forked the next. */
static void run_away(void)
{
	for (;;) {
		patience_pause();
		if (fork() != 0)
			_exit(0);
	}
}

static bool reap_until_none(void)
{
	descendants_signal(getpid(), SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

static void test_one_that_runs_away_by_forking_is_caught_in_the_end(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			run_away();
	}
	assert_true(WAIT_UNTIL(60, reap_until_none()));
}

static pid_t forked_meanwhile;

static void fork_meanwhile(void)
{
	forked_meanwhile = fork();
	if (forked_meanwhile == 0)
		wait_for_ever();
}

/* Seen or missed: it is not promised which, but a second call finds it. */
static void test_a_child_forked_while_the_list_is_read_is_found_by_the_next(void **state)
{
	(void)state;
	while_reading = fork_meanwhile;
	int first = descendants_signal(getpid(), SIGKILL);
	assert_true(first == 0 || first == 1);
	int second = descendants_signal(getpid(), SIGKILL);
	assert_true(first + second >= 1);
	assert_int_equal(waitpid(forked_meanwhile, NULL, 0), forked_meanwhile);
}

/* descendants_terminate. */

static int heard_fd; /* where a child writes a byte for each TERM */

static void on_term(int signal)
{
	(void)signal;
	ssize_t ignored = write(heard_fd, "t", 1);
	(void)ignored;
}

/* Hears TERM and lives on; in a session of its own if that is wanted. */
static pid_t fork_listener(int ready_fd, bool new_session)
{
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid != 0)
		return pid;
	if (new_session)
		setsid();
	signal(SIGTERM, on_term);
	ssize_t ignored = write(ready_fd, "", 1);
	(void)ignored;
	wait_for_ever();
	return 0;
}

static int bytes_in(int fd)
{
	char bytes[64];
	ssize_t got = read(fd, bytes, sizeof bytes);
	return got > 0 ? (int)got : 0;
}

static struct descendants_told told;
static int ready[2];
static int heard[2];

static int setup_told(void **state)
{
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe2(heard, O_NONBLOCK), 0);
	heard_fd = heard[1];
	return setup_real(state);
}

static int teardown_told(void **state)
{
	teardown_real(state);
	descendants_told_free(&told);
	for (int i = 0; i < 2; i++) {
		close(ready[i]);
		close(heard[i]);
	}
	return 0;
}

static void test_each_is_told_to_end_once(void **state)
{
	int count = 0;
	(void)state;
	/* A group of two, and two that have left it. */
	pid_t leader = fork();
	assert_true(leader >= 0);
	if (leader == 0) {
		setpgid(0, 0);
		fork_listener(ready[1], false);
		fork_listener(ready[1], false);
		fork_listener(ready[1], true);
		signal(SIGTERM, SIG_IGN);
		wait_for_ever();
	}
	fork_listener(ready[1], true);
	wait_for_bytes(ready[0], 4);
	assert_int_equal(descendants_terminate(getpid(), leader, &told), 2);
	assert_true(WAIT_UNTIL(30, (count += bytes_in(heard[0])) >= 4));
	for (int i = 0; i < 10; i++)
		assert_int_equal(descendants_terminate(getpid(), 0, &told), 0);
	assert_int_equal(kill(leader, SIGKILL), 0);
	assert_int_equal(waitpid(leader, NULL, 0), leader);
	assert_int_equal(descendants_terminate(getpid(), 0, &told), 0);
	assert_int_equal(count + bytes_in(heard[0]), 4);
}

/* What a handler of TERM runs is not ended under it, and is when the parent leaves it to us. */
static void test_a_child_of_one_that_was_told_is_told_as_an_orphan(void **state)
{
	(void)state;
	int go[2];
	char byte;
	assert_int_equal(pipe(go), 0);
	pid_t parent = fork();
	assert_true(parent >= 0);
	if (parent == 0) {
		setsid();
		signal(SIGTERM, on_term);
		ssize_t ignored = write(ready[1], "", 1);
		while (read(go[0], &byte, 1) < 0)
			;
		fork_listener(ready[1], false);
		ignored = read(go[0], &byte, 1);
		(void)ignored;
		_exit(0);
	}
	wait_for_bytes(ready[0], 1);
	assert_int_equal(descendants_terminate(getpid(), 0, &told), 1);
	assert_true(WAIT_UNTIL(30, bytes_in(heard[0]) == 1));
	assert_int_equal(write(go[1], "f", 1), 1);
	wait_for_bytes(ready[0], 1);
	assert_int_equal(descendants_terminate(getpid(), 0, &told), 0);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	assert_int_equal(descendants_terminate(getpid(), 0, &told), 1);
	assert_true(WAIT_UNTIL(30, bytes_in(heard[0]) == 1));
	close(go[0]);
	close(go[1]);
}

static bool terminate_until_none(void)
{
	descendants_terminate(getpid(), 0, &told);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

/* In a group of its own that is gone with each generation, so that TERM has to meet one alive. */
static void test_one_that_runs_away_is_met_by_term_in_the_end(void **state)
{
	(void)state;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		setsid();
		run_away();
	}
	assert_true(WAIT_UNTIL(60, terminate_until_none()));
}

/* A /proc of files. */

static struct fake_tree tree;

static int setup_fake(void **state)
{
	(void)state;
	char self[16];
	fake_tree_open(&tree);
	snprintf(self, sizeof self, "%d", (int)getpid());
	fake_tree_link(&tree, "self", self);
	proc_path = tree.path;
	killed_count = 0;
	vanished = 0;
	return 0;
}

static int teardown_fake(void **state)
{
	(void)state;
	proc_path = NULL;
	while_reading = NULL;
	fake_tree_close(&tree);
	return 0;
}

/* What follows the parent in a stat. */
#define REST " 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0\n"

static void write_process(const char *pid, const char *state, int parent)
{
	char path[80];
	char text[128];
	snprintf(path, sizeof path, "%.60s/stat", pid);
	snprintf(text, sizeof text, "%.60s (name) %s %d" REST, pid, state, parent);
	fake_tree_write(&tree, path, text);
}

static void test_broken_entries_are_passed_over(void **state)
{
	static const struct {
		const char *path;
		const char *text;
	} broken[] = {
		{"71/stat", ""},
		{"72/stat", "72"},
		{"73/stat", "73 (name"},
		{"74/stat", "74 (name)"},
		{"75/stat", "75 (name) S"},
		{"76/stat", "76 (name) S x"},
		{"77/status", "Name: no stat here"},
		{"selfish/stat", "78 (name) S 70" REST},
		{"0/stat", "0 (name) S 70" REST},
		{"-79/stat", "79 (name) S 70" REST},
		{"4294967295/stat", "4294967295 (name) S 70" REST},
		{"4294967226/stat", "4294967226 (name) S 70" REST},
		{"99999999999999999999/stat", "99999999999999999999 (name) S 70" REST},
		{"80x/stat", "80 (name) S 70" REST},
	};
	(void)state;
	for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
		fake_tree_write(&tree, broken[i].path, broken[i].text);
	fake_tree_make(&tree, "82/stat");
	fake_tree_make(&tree, "83");
	write_process("90", "S", ROOT_PID);
	assert_int_equal(descendants_signal(ROOT_PID, SIGTERM), 1);
	assert_int_equal(killed_count, 1);
	assert_int_equal(killed[0], 90);
}

static void test_states_and_parents_decide(void **state)
{
	static const struct {
		const char *pid;
		const char *state;
		int parent;
		size_t kills;
	} rows[] = {
		{"70", "S", 1, 0},
		{"71", "R", 70, 1},
		{"72", "Z", 70, 0},
		{"73", "X", 70, 0},
		{"74", "T", 70, 1},
		{"75", "D", 71, 1},
		{"76", "I", 75, 1},
		/* Below a zombie, whose thread may still run. */
		{"77", "S", 72, 1},
		/* Deeper than its number: it is older than its parent's number. */
		{"12", "S", 77, 1},
		{"11", "S", 12, 1},
		/* Others, a circle and their own parents. */
		{"80", "S", 1, 0},
		{"81", "S", 80, 0},
		{"82", "S", 83, 0},
		{"83", "S", 82, 0},
		{"84", "S", 84, 0},
		{"85", "S", 0, 0},
		{"86", "S", 4711, 0},
		{"1", "S", 0, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		write_process(rows[i].pid, rows[i].state, rows[i].parent);
	assert_int_equal(descendants_signal(ROOT_PID, SIGTERM), 7);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(kills_of((pid_t)strtol(rows[i].pid, NULL, 10)), rows[i].kills);
}

static void test_one_that_has_gone_since_is_not_counted(void **state)
{
	(void)state;
	write_process("71", "S", ROOT_PID);
	write_process("72", "S", ROOT_PID);
	vanished = 71;
	assert_int_equal(descendants_signal(ROOT_PID, SIGTERM), 1);
}

static void remove_one_meanwhile(void)
{
	for (int pid = 71; pid <= 74; pid++) {
		char path[32];
		snprintf(path, sizeof path, "%d/stat", pid);
		unlinkat(tree.fd, path, 0);
	}
}

static void test_entries_that_go_while_they_are_read_are_passed_over(void **state)
{
	(void)state;
	for (int pid = 71; pid <= 76; pid++) {
		char name[16];
		snprintf(name, sizeof name, "%d", pid);
		write_process(name, "S", ROOT_PID);
	}
	while_reading = remove_one_meanwhile;
	assert_int_equal(descendants_signal(ROOT_PID, SIGTERM), 2);
}

/* An empty folder, and the /proc of another PID namespace. */
static void test_a_proc_that_is_not_ours_tells_nothing(void **state)
{
	struct descendants_told none = {0};
	(void)state;
	fake_tree_make(&tree, "other");
	fake_tree_link(&tree, "other/self", "4711");
	fake_tree_make(&tree, "empty");
	char path[128];
	static const char *const folders[] = {"other", "empty"};
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", tree.path, folders[i]);
		proc_path = path;
		killed_count = 0;
		assert_int_equal(descendants_signal(ROOT_PID, SIGKILL), -ENOENT);
		assert_int_equal(killed_count, 0);
		assert_int_equal(descendants_terminate(ROOT_PID, 4711, &none), -ENOENT);
		assert_int_equal(killed_count, 1);
		assert_int_equal(killed[0], -4711);
	}
}

static void test_without_proc_the_group_is_told(void **state)
{
	struct descendants_told none = {0};
	(void)state;
	proc_path = "/nonexistent";
	assert_int_equal(descendants_terminate(ROOT_PID, 4711, &none), -ENOENT);
	assert_int_equal(killed_count, 1);
	assert_int_equal(killed[0], -4711);
}

static void test_without_proc_there_is_an_error_and_no_kill(void **state)
{
	(void)state;
	proc_path = "/nowhere/at/all";
	assert_int_equal(descendants_signal(ROOT_PID, SIGKILL), -ENOENT);
	assert_int_equal(killed_count, 0);
}

#define REAL(name) cmocka_unit_test_setup_teardown(name, setup_real, teardown_real)
#define FAKE(name) cmocka_unit_test_setup_teardown(name, setup_fake, teardown_fake)

#define TOLD(name) cmocka_unit_test_setup_teardown(name, setup_told, teardown_told)

int main(void)
{
	const struct CMUnitTest tests[] = {
		REAL(test_all_below_are_reached_and_nobody_else),
		REAL(test_the_environment_tells_whose_a_process_is),
		REAL(test_one_reading_serves_many_marks),
		REAL(test_an_orphan_is_a_child_that_is_not_known),
		REAL(test_orphans_come_to_us_and_are_reached),
		REAL(test_a_name_cannot_pretend_to_be_anything),
		REAL(test_one_that_runs_away_by_forking_is_caught_in_the_end),
		REAL(test_a_child_forked_while_the_list_is_read_is_found_by_the_next),
		FAKE(test_broken_entries_are_passed_over),
		FAKE(test_states_and_parents_decide),
		FAKE(test_one_that_has_gone_since_is_not_counted),
		FAKE(test_entries_that_go_while_they_are_read_are_passed_over),
		FAKE(test_without_proc_there_is_an_error_and_no_kill),
		FAKE(test_without_proc_the_group_is_told),
		FAKE(test_a_proc_that_is_not_ours_tells_nothing),
		TOLD(test_each_is_told_to_end_once),
		TOLD(test_a_child_of_one_that_was_told_is_told_as_an_orphan),
		TOLD(test_one_that_runs_away_is_met_by_term_in_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
