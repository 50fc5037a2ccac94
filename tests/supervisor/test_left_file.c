#include "supervisor/fleet/left_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"
#include "tests/support/patience.h"

/* Of nobody else: below /run it stands beside those of the machine's supervisors. */
static char config_path[80];
static struct fake_tree tree;

static int setup(void **state)
{
	(void)state;
	fake_tree_open(&tree);
	snprintf(config_path, sizeof config_path, "%s/services.ini", tree.path);
	return setenv("XDG_RUNTIME_DIR", tree.path, 1);
}

static int teardown(void **state)
{
	struct left_file *file;
	(void)state;
	if (left_file_open(config_path, &file) == 0)
		left_file_close(file, false);
	fake_tree_close(&tree);
	return 0;
}

static struct left_file *open_file(void)
{
	struct left_file *file;
	assert_int_equal(left_file_open(config_path, &file), 0);
	return file;
}

/* A thread writes, when it gets to run. */
static void write_service(struct left_file *file, const char *name)
{
	struct left_service service = {.pid = 17, .start_ticks = 99, .mark = 7};
	struct left_state state = {.listener = "spillway-1-abc", .service = &service, .count = 1};
	snprintf(service.name, sizeof service.name, "%s", name);
	assert_true(WAIT_UNTIL(10, left_file_write(file, &state) == 0));
}

static void test_one_has_it(void **state)
{
	struct left_file *other;
	(void)state;
	struct left_file *file = open_file();
	assert_int_equal(left_file_open(config_path, &other), -EALREADY);
	left_file_close(file, false);
	left_file_close(open_file(), false);
	left_file_close(NULL, false);
}

static void test_the_next_one_reads_what_was_written_last(void **state)
{
	struct left_state read;
	(void)state;
	struct left_file *file = open_file();
	assert_int_equal(left_file_read(file, &read), -ENOENT);
	write_service(file, "a-long-name-that-is-shortened");
	write_service(file, "web");
	left_file_close(file, true);
	file = open_file();
	assert_int_equal(left_file_read(file, &read), 0);
	assert_int_equal(read.count, 1);
	assert_string_equal(read.service[0].name, "web");
	assert_int_equal(read.service[0].pid, 17);
	assert_string_equal(read.listener, "spillway-1-abc");
	left_state_free(&read);
	left_file_close(file, false);
	file = open_file();
	assert_int_equal(left_file_read(file, &read), -ENOENT);
	left_file_close(file, false);
}

#define LEFT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LEFT_TEST(test_one_has_it),
		LEFT_TEST(test_the_next_one_reads_what_was_written_last),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
