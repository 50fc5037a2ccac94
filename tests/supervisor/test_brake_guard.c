#include "supervisor/cgroup/brake_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"
#include "tests/support/patience.h"

/* No deadline of a test comes before its end, unless it is meant to. */
#define HOUR_MS 3600000U

struct yard {
	struct fake_tree tree;
	struct brake_guard guard;
	int web;
	int db;
};

static uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int open_high(const struct yard *yard, const char *path)
{
	int fd = openat(yard->tree.fd, path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static bool says(int fd, const char *wanted)
{
	char text[64] = "";
	ssize_t length = pread(fd, text, sizeof text - 1, 0);
	text[length > 0 ? (size_t)length : 0] = '\0';
	return strncmp(text, wanted, strlen(wanted)) == 0;
}

static int setup(void **state)
{
	static struct yard yard;
	fake_tree_open(&yard.tree);
	fake_tree_write(&yard.tree, "web/memory.high", "1048576\n");
	fake_tree_write(&yard.tree, "db/memory.high", "2097152\n");
	yard.web = open_high(&yard, "web/memory.high");
	yard.db = open_high(&yard, "db/memory.high");
	yard.guard = BRAKE_GUARD_NONE;
	assert_int_equal(brake_guard_open(&yard.guard), 0);
	*state = &yard;
	return 0;
}

static bool guard_has_ended(void)
{
	return waitpid(-1, NULL, WNOHANG) > 0;
}

/* The one child of this program. */
static pid_t guard_pid(void)
{
	pid_t guard = 0;
	char path[64];
	snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
	FILE *children = fopen(path, "re");
	if (children == NULL || fscanf(children, "%d", &guard) != 1)
		fail();
	fclose(children);
	return guard;
}

static int teardown(void **state)
{
	struct yard *yard = *state;
	brake_guard_close(&yard->guard);
	while (waitpid(-1, NULL, 0) > 0)
		;
	close(yard->web);
	close(yard->db);
	fake_tree_close(&yard->tree);
	return 0;
}

static void set(const struct yard *yard, size_t slot, int fd, uint64_t normal, uint64_t until_ms)
{
	const struct brake_guard_order order = {
		.slot = slot, .file_fd = fd, .normal_bytes = normal, .until_ms = until_ms};
	assert_int_equal(brake_guard_set(&yard->guard, &order), 0);
}

/* The kernel closes the socket of a supervisor that was killed. */
static void test_without_a_supervisor_the_brakes_go_off(void **state)
{
	struct yard *yard = *state;
	set(yard, 0, yard->web, UINT64_MAX, clock_ms() + HOUR_MS);
	set(yard, 1, yard->db, 1234567, clock_ms() + HOUR_MS);
	brake_guard_close(&yard->guard);
	assert_true(WAIT_UNTIL(10, says(yard->web, "max\n")));
	assert_true(WAIT_UNTIL(10, says(yard->db, "1234567\n")));
	assert_true(WAIT_UNTIL(10, guard_has_ended()));
}

/* The guard's table grows with the numbers that it is told. */
static void test_any_number_of_brakes_goes_off(void **state)
{
	struct yard *yard = *state;
	set(yard, 3, yard->web, UINT64_MAX, clock_ms() + HOUR_MS);
	set(yard, 5000, yard->db, 1234567, clock_ms() + HOUR_MS);
	brake_guard_close(&yard->guard);
	assert_true(WAIT_UNTIL(10, says(yard->web, "max\n")));
	assert_true(WAIT_UNTIL(10, says(yard->db, "1234567\n")));
	assert_true(WAIT_UNTIL(10, guard_has_ended()));
}

static void test_what_was_lifted_or_forgotten_is_left_alone(void **state)
{
	struct yard *yard = *state;
	set(yard, 0, yard->web, UINT64_MAX, clock_ms() + HOUR_MS);
	set(yard, 1, yard->db, UINT64_MAX, clock_ms() + HOUR_MS);
	assert_int_equal(brake_guard_clear(&yard->guard, 0), 0);
	assert_int_equal(brake_guard_forget(&yard->guard, 1), 0);
	brake_guard_close(&yard->guard);
	assert_true(WAIT_UNTIL(10, guard_has_ended()));
	assert_true(says(yard->web, "1048576\n"));
	assert_true(says(yard->db, "2097152\n"));
}

/* A supervisor that is stopped does not lift its brakes either. */
static void test_an_overdue_brake_goes_off(void **state)
{
	struct yard *yard = *state;
	set(yard, 0, yard->web, UINT64_MAX, clock_ms() - BRAKE_GUARD_GRACE_MS + 50);
	set(yard, 1, yard->db, UINT64_MAX, clock_ms() + HOUR_MS);
	assert_true(WAIT_UNTIL(10, says(yard->web, "max\n")));
	assert_true(says(yard->db, "2097152\n"));
}

/* The children of services are signalled by group, session or terminal; SIGKILL by pid stays. */
static void test_no_signal_but_kill_ends_it(void **state)
{
	struct yard *yard = *state;
	const int ignored[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE, SIGUSR1};
	pid_t guard = guard_pid();
	set(yard, 0, yard->web, UINT64_MAX, clock_ms() + HOUR_MS);
	/* It has run as far as its session when it takes orders. */
	assert_true(WAIT_UNTIL(10, getsid(guard) == guard));
	for (size_t i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
		kill(guard, ignored[i]);
	assert_false(guard_has_ended());
	brake_guard_close(&yard->guard);
	assert_true(WAIT_UNTIL(10, says(yard->web, "max\n")));
}

static void test_a_guard_that_is_dead_is_told_of(void **state)
{
	struct yard *yard = *state;
	const struct brake_guard_order order = {
		.slot = 0, .file_fd = yard->web, .normal_bytes = 1, .until_ms = 1};
	struct brake_guard none = BRAKE_GUARD_NONE;
	assert_int_equal(brake_guard_set(&none, &order), -EPIPE);
	pid_t guard = guard_pid();
	kill(guard, SIGKILL);
	assert_true(WAIT_UNTIL(10, guard_has_ended()));
	assert_int_equal(brake_guard_set(&yard->guard, &order), -EPIPE);
}

#define GUARD_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GUARD_TEST(test_without_a_supervisor_the_brakes_go_off),
		GUARD_TEST(test_any_number_of_brakes_goes_off),
		GUARD_TEST(test_what_was_lifted_or_forgotten_is_left_alone),
		GUARD_TEST(test_an_overdue_brake_goes_off),
		GUARD_TEST(test_no_signal_but_kill_ends_it),
		GUARD_TEST(test_a_guard_that_is_dead_is_told_of),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
