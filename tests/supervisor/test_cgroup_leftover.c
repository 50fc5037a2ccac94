#include "supervisor/cgroup/cgroup_leftover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define OWNER "/etc/services.ini"

static struct fake_tree tree;
static bool has_attributes;

static const char *path_of(const char *name)
{
	static char path[256];
	snprintf(path, sizeof path, "%s/%s", tree.path, name);
	return path;
}

static bool exists(const char *name)
{
	return faccessat(tree.fd, name, F_OK, 0) == 0;
}

static int setup(void **state)
{
	(void)state;
	fake_tree_open(&tree);
	fake_tree_make(&tree, "spillway-1");
	has_attributes = cgroup_leftover_mark(path_of("spillway-1"), OWNER) == 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_tree_close(&tree);
	return 0;
}

static void make_leaf(const char *name, const char *owner)
{
	fake_tree_make(&tree, name);
	assert_int_equal(cgroup_leftover_mark(path_of(name), owner), 0);
}

static void test_one_supervisor_has_the_lock(void **state)
{
	int first = -1;
	int second = -1;
	(void)state;
	assert_int_equal(cgroup_leftover_lock(path_of("spillway-1"), &first), 0);
	assert_int_equal(cgroup_leftover_lock(path_of("spillway-1"), &second), -EALREADY);
	assert_int_equal(second, -1);
	close(first);
	assert_int_equal(cgroup_leftover_lock(path_of("spillway-1"), &second), 0);
	close(second);
	assert_int_equal(cgroup_leftover_lock(path_of("nowhere"), &second), -ENOENT);
}

static void test_only_what_a_dead_one_made_for_the_same_file_goes(void **state)
{
	char base[256];
	unsigned ended = 7;
	(void)state;
	if (!has_attributes)
		skip();
	make_leaf("spillway-1/web", OWNER);
	make_leaf("spillway-2/web", OWNER);
	make_leaf("spillway-2/supervisor", "");
	make_leaf("spillway-3/web", OWNER "2");
	make_leaf("spillway-4/web", OWNER);
	make_leaf("spillway-4/db", "");
	make_leaf("other-5/web", OWNER);
	snprintf(base, sizeof base, "%s", path_of("spillway-1"));
	assert_int_equal(cgroup_leftover_end_beside(base, OWNER, &ended), 0);
	assert_int_equal(ended, 0); /* no process was in them */
	assert_true(exists("spillway-1/web"));
	assert_false(exists("spillway-2"));
	assert_true(exists("spillway-3/web"));
	assert_false(exists("spillway-4/web"));
	assert_true(exists("spillway-4/db"));
	assert_true(exists("other-5/web"));
	cgroup_leftover_end(base, OWNER, NULL, NULL);
	assert_false(exists("spillway-1/web"));
}

static void test_what_a_living_one_has_is_left_alone_and_told(void **state)
{
	char base[256];
	unsigned ended;
	int lock_fd = -1;
	(void)state;
	if (!has_attributes)
		skip();
	make_leaf("spillway-2/web", OWNER);
	make_leaf("spillway-3/web", "another");
	assert_int_equal(cgroup_leftover_lock(path_of("spillway-2"), &lock_fd), 0);
	snprintf(base, sizeof base, "%s", path_of("spillway-1"));
	assert_int_equal(cgroup_leftover_end_beside(base, OWNER, &ended), -EALREADY);
	assert_int_equal(cgroup_leftover_end_beside(base, "nobody", &ended), 0);
	assert_true(exists("spillway-2/web"));
	close(lock_fd);
	assert_int_equal(cgroup_leftover_end_beside(base, OWNER, &ended), 0);
	assert_false(exists("spillway-2"));
}

/* It would not hear that it is to end.  The leaf of the test stays, as there are files in it. */
static void test_what_is_left_frozen_is_thawed(void **state)
{
	char text[2] = "";
	(void)state;
	if (!has_attributes)
		skip();
	make_leaf("spillway-1/web", OWNER);
	fake_tree_write(&tree, "spillway-1/web/cgroup.freeze", "1\n");
	cgroup_leftover_end(path_of("spillway-1"), OWNER, NULL, NULL);
	int fd = openat(tree.fd, "spillway-1/web/cgroup.freeze", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, 1), 1);
	close(fd);
	assert_string_equal(text, "0");
}

/* A supervisor that is killed early has made its BASE, and has marked no leaf yet. */
static void test_a_base_without_leaves_goes_with_its_process(void **state)
{
	char base[256];
	char alive[64];
	char dead[64];
	unsigned ended;
	(void)state;
	pid_t child = fork();
	if (child == 0)
		_exit(0);
	assert_true(child > 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	snprintf(dead, sizeof dead, "spillway-%d", (int)child);
	snprintf(alive, sizeof alive, "spillway-%d", (int)getpid());
	fake_tree_make(&tree, dead);
	snprintf(base, sizeof base, "%s/supervisor", dead);
	fake_tree_make(&tree, base);
	fake_tree_make(&tree, alive);
	fake_tree_make(&tree, "spillway-x");
	snprintf(base, sizeof base, "%s", path_of("spillway-1"));
	assert_int_equal(cgroup_leftover_end_beside(base, OWNER, &ended), 0);
	assert_false(exists(dead));
	assert_true(exists(alive));
	assert_true(exists("spillway-x"));
	assert_true(exists("spillway-1"));
}

#define LEFTOVER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LEFTOVER_TEST(test_one_supervisor_has_the_lock),
		LEFTOVER_TEST(test_only_what_a_dead_one_made_for_the_same_file_goes),
		LEFTOVER_TEST(test_what_a_living_one_has_is_left_alone_and_told),
		LEFTOVER_TEST(test_what_is_left_frozen_is_thawed),
		LEFTOVER_TEST(test_a_base_without_leaves_goes_with_its_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
