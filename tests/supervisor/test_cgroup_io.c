#include "supervisor/cgroup/cgroup_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"
#include "tests/support/said.h"

static void expect_disk(const struct fake_tree *tree, const struct config_io_max *limit,
	unsigned major, unsigned minor)
{
	struct cgroup_io_disk disk = {0};
	assert_int_equal(cgroup_io_find(tree->fd, limit, &disk), 0);
	assert_int_equal(disk.major, major);
	assert_int_equal(disk.minor, minor);
}

static void test_a_partition_is_on_its_disk(void **state)
{
	struct fake_tree tree;
	(void)state;
	fake_tree_open(&tree);
	fake_tree_write(&tree, "sys/devices/sda/dev", "8:0\n");
	fake_tree_write(&tree, "sys/devices/sda/sda1/dev", "8:1\n");
	fake_tree_write(&tree, "sys/devices/sda/sda1/partition", "1\n");
	fake_tree_link(&tree, "sys/dev/block/8:0", "../../devices/sda");
	fake_tree_link(&tree, "sys/dev/block/8:1", "../../devices/sda/sda1");
	expect_disk(&tree, &(struct config_io_max){.major = 8, .minor = 0}, 8, 0);
	expect_disk(&tree, &(struct config_io_max){.major = 8, .minor = 1}, 8, 0);
	/* What is not there is left to the kernel. */
	expect_disk(&tree, &(struct config_io_max){.major = 9, .minor = 9}, 9, 9);
	fake_tree_close(&tree);
}

static void test_what_is_no_disk_is_refused(void **state)
{
	struct fake_tree tree;
	struct cgroup_io_disk disk;
	char device[] = "/dev/null";
	char file[] = "/proc/self/status";
	char nothing[] = "/no/such";
	struct config_io_max limit = {.path = device};
	(void)state;
	fake_tree_open(&tree);
	assert_int_equal(cgroup_io_find(tree.fd, &limit, &disk), -ENOTBLK);
	limit.path = file;
	assert_int_equal(cgroup_io_find(tree.fd, &limit, &disk), -ENOTBLK);
	limit.path = nothing;
	assert_int_equal(cgroup_io_find(tree.fd, &limit, &disk), -ENOENT);
	fake_tree_close(&tree);
}

static void expect_written(const struct fake_tree *tree, const char *text)
{
	char found[128] = "";
	int fd = openat(tree->fd, "web/io.max", O_RDONLY);
	assert_true(fd >= 0 && read(fd, found, sizeof found - 1) >= 0);
	close(fd);
	/* A plain file keeps what a shorter text does not cover. */
	assert_memory_equal(found, text, strlen(text));
}

static void test_the_lowest_of_several_for_a_disk_holds(void **state)
{
	struct config_io_max limits[] = {
		{.major = 259, .minor = 4000, .most = {[CONFIG_IO_RBPS] = 7}},
		{.major = 259,
			.minor = 4000,
			.most = {[CONFIG_IO_RBPS] = 9, [CONFIG_IO_WIOPS] = 100}},
	};
	struct config_service config = {.name = "web", .io_max = limits, .io_max_count = 2};
	struct fake_tree tree;
	(void)state;
	fake_tree_open(&tree);
	fake_tree_write(&tree, "web/io.max", "");
	int leaf = fake_tree_directory(&tree, "web");
	said_begin();
	cgroup_io_write(leaf, &config);
	expect_written(&tree, "259:4000 rbps=7 wbps=max riops=max wiops=100");
	assert_int_equal(said("no effect"), 0);
	config.io_max_count = 0;
	cgroup_io_write(leaf, &config);
	expect_written(&tree, "259:4000 rbps=max wbps=max riops=max wiops=max");
	assert_int_equal(said("no effect"), 0);
	said_end();
	close(leaf);
	fake_tree_close(&tree);
}

static void test_what_has_no_effect_is_said(void **state)
{
	char path[] = "/dev/null";
	struct config_io_max limits[] = {
		{.path = path, .most = {[CONFIG_IO_RBPS] = 1}},
		{.major = 259, .minor = 4000, .most = {[CONFIG_IO_RBPS] = 1}},
	};
	struct config_service config = {.name = "web", .io_max = limits, .io_max_count = 2};
	struct fake_tree tree;
	(void)state;
	fake_tree_open(&tree);
	fake_tree_make(&tree, "web");
	int leaf = fake_tree_directory(&tree, "web");
	said_begin();
	cgroup_io_write(leaf, &config);
	assert_int_equal(said("web: io_max has no effect: /dev/null: not on a disk"), 1);
	assert_int_equal(said("web: io_max has no effect: disk 259:4000: "), 1);
	said_end();
	close(leaf);
	fake_tree_close(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_partition_is_on_its_disk),
		cmocka_unit_test(test_what_is_no_disk_is_refused),
		cmocka_unit_test(test_the_lowest_of_several_for_a_disk_holds),
		cmocka_unit_test(test_what_has_no_effect_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
