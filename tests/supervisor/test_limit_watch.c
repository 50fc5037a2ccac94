#include "supervisor/cgroup/limit_watch.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

static struct fake_tree tree;
static struct limit_watch watch;
static struct limit_mark mark;

static int open_file(int flags)
{
	int fd = openat(tree.fd, "memory.max", flags | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void write_limit(void)
{
	int fd = open_file(O_WRONLY);
	assert_int_equal(write(fd, "1", 1), 1);
	close(fd);
}

static bool is_told(void)
{
	struct pollfd ready = {.fd = limit_watch_fd(&watch), .events = POLLIN};
	return poll(&ready, 1, 0) == 1;
}

static int set_up(void **state)
{
	(void)state;
	fake_tree_open(&tree);
	fake_tree_write(&tree, "memory.max", "100\n");
	assert_int_equal(limit_watch_open(&watch), 0);
	int fd = open_file(O_RDONLY);
	assert_int_equal(limit_watch_add(&watch, fd, &mark), 0);
	close(fd);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	limit_watch_close(&watch);
	fake_tree_close(&tree);
	return 0;
}

static void test_a_write_is_told_of_and_a_read_is_not(void **state)
{
	char byte;
	(void)state;
	int fd = open_file(O_RDONLY);
	assert_int_equal(read(fd, &byte, 1), 1);
	close(fd);
	assert_false(is_told());
	assert_false(limit_watch_step(&watch, 1000));
	write_limit();
	assert_true(is_told());
}

static void test_a_writer_in_a_loop_wakes_once_in_a_while(void **state)
{
	const uint64_t woken_ms = 5000;
	(void)state;
	write_limit();
	limit_watch_woken(&watch, woken_ms);
	for (uint32_t ms = 0; ms < LIMIT_WATCH_REST_MS; ms++) {
		write_limit();
		assert_false(limit_watch_step(&watch, woken_ms + ms));
		assert_false(is_told());
	}
	/* What was written before is read in this turn, and what comes after is news. */
	assert_int_equal(limit_watch_due_ms(&watch), woken_ms + LIMIT_WATCH_REST_MS);
	assert_true(limit_watch_step(&watch, woken_ms + LIMIT_WATCH_REST_MS));
	assert_int_equal(limit_watch_due_ms(&watch), UINT64_MAX);
	assert_false(is_told());
	write_limit();
	assert_true(is_told());
}

static void test_a_mark_that_was_cleared_tells_nothing(void **state)
{
	(void)state;
	limit_mark_clear(&mark);
	limit_mark_clear(&mark);
	/* That the mark went is an event of its own. */
	limit_watch_woken(&watch, 0);
	limit_watch_step(&watch, LIMIT_WATCH_REST_MS);
	write_limit();
	assert_false(is_told());
}

static void test_without_a_watch_nothing_is_watched(void **state)
{
	struct limit_watch none = LIMIT_WATCH_NONE;
	struct limit_mark left;
	(void)state;
	int fd = open_file(O_RDONLY);
	assert_true(limit_watch_add(&none, fd, &left) < 0);
	assert_int_equal(left.inotify_fd, -1);
	limit_mark_clear(&left);
	assert_int_equal(limit_watch_fd(&none), -1);
	assert_false(limit_watch_step(&none, 0));
	close(fd);
	assert_true(limit_watch_add(&watch, -1, &left) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_a_write_is_told_of_and_a_read_is_not, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_writer_in_a_loop_wakes_once_in_a_while, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_a_mark_that_was_cleared_tells_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_without_a_watch_nothing_is_watched, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
