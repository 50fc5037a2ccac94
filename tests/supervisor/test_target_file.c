#include "supervisor/tick/target_file.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"
#include "tests/support/patience.h"
#include "tests/support/said.h"

#define MIB ((uint64_t)1 << 20)
#define WALL_BYTES (1000 * MIB)

static struct fake_tree tree;
static struct target_file target;
static uint64_t now_ms;

static int setup(void **state)
{
	(void)state;
	fake_tree_open(&tree);
	target = (struct target_file){0};
	now_ms = 1000;
	said_begin();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	said_end();
	target_file_close(&target);
	fake_tree_close(&tree);
	return 0;
}

static const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof path, "%s/%s", tree.path, name);
	return path;
}

/* What is in force at a step that is due to look. */
static uint64_t look(const char *name)
{
	now_ms += TARGET_FILE_LOOK_MS;
	return target_file_step(&target, "web", path_of(name), WALL_BYTES, now_ms);
}

/* The thread reads when it gets to run, and what it read counts at a later step. */
static bool becomes(const char *name, uint64_t bytes)
{
	return WAIT_UNTIL(10, look(name) == bytes);
}

/* Nothing is being read any more, and no look is due. */
static bool is_settled(const char *name)
{
	return WAIT_UNTIL(10, (target_file_step(&target, "web", path_of(name), WALL_BYTES, now_ms),
				      !target.is_reading));
}

static bool is_said(const char *name, const char *text)
{
	return WAIT_UNTIL(10, (look(name), said(text) == 1));
}

static void test_the_file_names_the_target(void **state)
{
	(void)state;
	fake_tree_write(&tree, "size", "512M\n");
	assert_true(becomes("size", 512 * MIB));
	fake_tree_write(&tree, "size", "536870912");
	fake_tree_write(&tree, "share", "25%\n");
	assert_true(becomes("share", 250 * MIB));
	fake_tree_write(&tree, "size", "64M \t\n");
	assert_true(becomes("size", 64 * MIB));
	fake_tree_write(&tree, "size", "off\n");
	assert_true(becomes("size", UINT64_MAX));
	assert_int_equal(said("target_file"), 0);
	assert_int_equal(said("web: target 250M"), 1);
}

static void test_it_is_looked_at_now_and_then(void **state)
{
	(void)state;
	fake_tree_write(&tree, "size", "512M\n");
	assert_true(becomes("size", 512 * MIB));
	assert_true(is_settled("size"));
	fake_tree_write(&tree, "size", "256M\n");
	for (uint64_t ms = 0; ms < TARGET_FILE_LOOK_MS; ms += 100)
		assert_int_equal(
			target_file_step(&target, "web", path_of("size"), WALL_BYTES, now_ms + ms),
			512 * MIB);
	assert_true(becomes("size", 256 * MIB));
}

static void test_the_last_good_target_stays(void **state)
{
	(void)state;
	static const char *const wrong[] = {"", "many\n", "4K\n", "0\n", "1M\n2M\n",
		"11111111111111111111111111111111111111111111111111111111111111111111\n"};
	fake_tree_write(&tree, "size", "512M\n");
	assert_true(becomes("size", 512 * MIB));
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		fake_tree_write(&tree, "size", "512M\n");
		assert_true(WAIT_UNTIL(10, (look("size"), target.error == 0)));
		said_clear();
		fake_tree_write(&tree, "size", wrong[i]);
		assert_true(is_said("size", "expected a size from 1M"));
		assert_int_equal(look("size"), 512 * MIB);
		look("size");
		assert_int_equal(said("the target stays 512M"), 1);
	}
	said_clear();
	assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
	assert_true(is_said("fifo", "not a regular file"));
	assert_true(is_said("missing", "No such file"));
	assert_int_equal(look("missing"), 512 * MIB);
}

static void test_without_a_path_there_is_none(void **state)
{
	(void)state;
	fake_tree_write(&tree, "size", "512M\n");
	assert_true(becomes("size", 512 * MIB));
	assert_true(target_file_step(&target, "web", NULL, WALL_BYTES, now_ms) == UINT64_MAX);
	assert_false(target.known);
	assert_true(becomes("size", 512 * MIB));
}

#define TARGET_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TARGET_TEST(test_the_file_names_the_target),
		TARGET_TEST(test_it_is_looked_at_now_and_then),
		TARGET_TEST(test_the_last_good_target_stays),
		TARGET_TEST(test_without_a_path_there_is_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
