#include "supervisor/process/process_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

static int setup(void **state)
{
	(void)state;
	fake_tree_open(&tree);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_tree_close(&tree);
	return 0;
}

/* A command's name may hold anything. */
static void test_fields_are_counted_behind_the_name(void **state)
{
	static const char *const names[] = {"x", "a b", ")", ") Z 1 1 (", "(((", ""};
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct process_stat stat;
		char text[256];
		snprintf(text, sizeof text,
			"77 (%s) S 12 34 56 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 9 0 9876543210 1 2\n",
			names[i]);
		fake_tree_write(&tree, "77/stat", text);
		assert_int_equal(process_stat_read(tree.fd, 77, &stat), 0);
		assert_int_equal(stat.state, 'S');
		assert_int_equal(stat.parent, 12);
		assert_int_equal(stat.group, 34);
		assert_int_equal(stat.threads, 9);
		assert_int_equal(stat.start_ticks, 9876543210);
	}
}

static void test_a_broken_text_is_none(void **state)
{
	static const char *const texts[] = {"", "\n", "77", "77 (x", "77 (x)", "77 (x) ",
		"77 (x)S 1", "77 (x)  1 2 3", "77 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0\n"};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct process_stat stat;
		fake_tree_write(&tree, "77/stat", texts[i]);
		assert_int_equal(process_stat_read(tree.fd, 77, &stat), -EINVAL);
	}
}

static void test_who_is_not_there_is_told_apart(void **state)
{
	struct process_stat stat;
	(void)state;
	assert_int_equal(process_stat_read(tree.fd, 78, &stat), -ENOENT);
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(process_stat_read(proc, getpid(), &stat), 0);
	assert_int_equal(stat.parent, getppid());
	assert_int_equal(stat.group, getpgrp());
	close(proc);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_fields_are_counted_behind_the_name),
		TEST(test_a_broken_text_is_none),
		TEST(test_who_is_not_there_is_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
