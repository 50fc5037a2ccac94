#include "shim/cgroup.h"

#include <errno.h>
#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"

#define MOUNT_V2 "30 22 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
#define MOUNT_V1 "34 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
#define OTHERS \
	"20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n" \
	"21 20 0:5 / /dev rw - devtmpfs udev rw,size=1k\n" \
	"33 30 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"

static struct fake_tree tree;

static int begin(void **state)
{
	(void)state;
	fake_tree_open(&tree);
	return 0;
}

static int end(void **state)
{
	(void)state;
	fake_tree_close(&tree);
	return 0;
}

/* A cgroup of v2 below /sys/fs/cgroup. */
static void v2_make(const char *name, const char *limit, const char *usage)
{
	char path[256];
	const struct {
		const char *file;
		const char *text;
	} files[] = {
		{"cgroup.procs", "17\n18\n"},
		{"cgroup.type", "domain\n"},
		{"memory.max", limit},
		{"memory.current", usage},
		{"memory.events.local", "low 0\nhigh 1\nmax 2\noom 0\noom_kill 0\n"},
		{"memory.stat", "anon 1\ninactive_file 1048576\nactive_file 0\n"},
		{"memory.pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=70\n"
				    "full avg10=0.00 avg60=0.00 avg300=0.00 total=30\n"},
	};

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		(void)snprintf(path, sizeof path, "sys/fs/cgroup%s/%s", name, files[i].file);
		fake_tree_write(&tree, path, files[i].text);
	}
}

static void proc_make(const char *cgroup, const char *mountinfo)
{
	fake_tree_write(&tree, "proc/self/cgroup", cgroup);
	fake_tree_write(&tree, "proc/self/mountinfo", mountinfo);
}

static void test_the_tightest_level_counts(void **state)
{
	struct cgroup cgroup;
	struct wall_sample wall;
	struct events_sample events;
	struct stall_sample stall;
	(void)state;
	proc_make("0::/pod/box\n", OTHERS MOUNT_V2);
	v2_make("/pod/box", "max\n", "10485760\n");
	v2_make("/pod", "104857600\n", "52428800\n");
	fake_tree_write(&tree, "sys/fs/cgroup/cgroup.procs", "1\n");
	assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
	assert_int_equal(cgroup.version, CGROUP_V2);
	assert_int_equal(cgroup.count, 2);
	assert_int_equal(cgroup_read(&cgroup, &wall, &events), 1);
	assert_int_equal(wall.limit_bytes, 104857600);
	assert_int_equal(wall.current_bytes, 52428800);
	assert_true(wall.reclaimable_known);
	assert_int_equal(wall.reclaimable_bytes, 1048576);
	assert_true(events.known);
	assert_int_equal(events.max, 4);
	assert_int_equal(events.high, 2);
	cgroup_read_stall(&cgroup, 5, &stall);
	assert_true(stall.known);
	assert_int_equal(stall.some_us, 70);
	assert_int_equal(stall.full_us, 30);
	assert_int_equal(cgroup_processes(&cgroup), 2);
	cgroup_close(&cgroup);
}

static void test_limits_are_read_again(void **state)
{
	struct cgroup cgroup;
	struct wall_sample wall;
	struct events_sample events;
	(void)state;
	proc_make("0::/box\n", MOUNT_V2);
	v2_make("/box", "max\n", "10485760\n");
	assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
	(void)cgroup_read(&cgroup, &wall, &events);
	assert_int_equal(wall.limit_bytes, SAMPLE_NO_LIMIT);
	assert_int_equal(wall.current_bytes, 10485760);
	cgroup_close(&cgroup);
	fake_tree_write(&tree, "sys/fs/cgroup/box/memory.max", "20971520\n");
	assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
	(void)cgroup_read(&cgroup, &wall, &events);
	assert_int_equal(wall.limit_bytes, 20971520);
	cgroup_close(&cgroup);
}

static void test_v1_beside_v2(void **state)
{
	struct cgroup cgroup;
	struct wall_sample wall;
	struct events_sample events;
	struct stall_sample stall;
	(void)state;
	proc_make("5:cpu,cpuacct:/\n4:memory:/a/b\n0::/c\n",
		OTHERS MOUNT_V1 "40 30 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	fake_tree_write(&tree, "sys/fs/cgroup/memory/a/b/cgroup.procs", "1\n");
	fake_tree_write(&tree, "sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "1000000\n");
	fake_tree_write(&tree, "sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "400000\n");
	fake_tree_write(&tree, "sys/fs/cgroup/memory/a/b/memory.failcnt", "3\n");
	fake_tree_write(&tree, "sys/fs/cgroup/memory/a/b/memory.stat", "total_inactive_file 5\n");
	fake_tree_write(
		&tree, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	fake_tree_write(&tree, "sys/fs/cgroup/memory/memory.usage_in_bytes", "500000\n");
	fake_tree_write(&tree, "sys/fs/cgroup/unified/c/cgroup.procs", "1\n");
	fake_tree_write(&tree, "sys/fs/cgroup/unified/c/cgroup.type", "domain\n");
	fake_tree_write(&tree, "sys/fs/cgroup/unified/c/memory.pressure", "some total=9\n");
	assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
	assert_int_equal(cgroup.version, CGROUP_V1);
	assert_int_equal(cgroup.count, 2);
	assert_int_equal(cgroup_read(&cgroup, &wall, &events), 0);
	assert_int_equal(wall.limit_bytes, 1000000);
	assert_int_equal(wall.current_bytes, 400000);
	assert_int_equal(wall.reclaimable_bytes, 5);
	assert_int_equal(events.max, 3);
	cgroup_read_stall(&cgroup, 5, &stall);
	assert_true(stall.known);
	assert_int_equal(stall.some_us, 9);
	cgroup_close(&cgroup);
}

/* A container: its own cgroup namespace; or the host's, with only its own part of the tree in
 * sight, mounted as the root or bound to a path. */
static void test_containers_find_their_part(void **state)
{
	static const struct {
		const char *cgroup;
		const char *mountinfo;
	} rows[] = {
		{"0::/\n", MOUNT_V2},
		{"0::/kubepods/pod1/c\n", MOUNT_V2},
		{"0::/docker/c\n",
			"30 22 0:27 /docker/c /sys/fs/cgroup ro - cgroup2 cgroup rw,nsdelegate\n"},
		{"0::/../../other\n", MOUNT_V2},
		{"0::/\n", "29 22 0:27 /.. /mnt/host rw - cgroup2 cgroup2 rw\n" MOUNT_V2},
		{"0::/gone (deleted)\n", MOUNT_V2},
	};
	(void)state;
	v2_make("", "20971520\n", "1048576\n");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct cgroup cgroup;
		struct wall_sample wall;
		struct events_sample events;

		proc_make(rows[i].cgroup, rows[i].mountinfo);
		assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
		(void)cgroup_read(&cgroup, &wall, &events);
		assert_int_equal(wall.limit_bytes, 20971520);
		cgroup_close(&cgroup);
	}
}

static void test_a_mount_with_blanks_in_its_path(void **state)
{
	struct cgroup cgroup;
	(void)state;
	proc_make("0::/b\n", "30 22 0:27 / /my\\040cg\\134s rw - cgroup2 cgroup2 rw\n");
	fake_tree_write(&tree, "my cg\\s/b/cgroup.procs", "1\n");
	fake_tree_write(&tree, "my cg\\s/b/memory.max", "5\n");
	fake_tree_write(&tree, "my cg\\s/b/memory.current", "4\n");
	assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
	assert_int_equal(cgroup.count, 1);
	cgroup_close(&cgroup);
}

static void test_lines_that_are_too_long_are_left_out(void **state)
{
	static char mountinfo[40000];
	struct cgroup cgroup;
	size_t length = 0;
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		length += (size_t)snprintf(mountinfo + length, sizeof mountinfo - length,
			"1 1 0:1 / /o rw - overlay o ");
		memset(mountinfo + length, 'x', 3000 + i * 97);
		length += 3000 + i * 97;
		length += (size_t)snprintf(
			mountinfo + length, sizeof mountinfo - length, "\n%s", OTHERS);
	}
	(void)snprintf(mountinfo + length, sizeof mountinfo - length, MOUNT_V2);
	proc_make("0::/box\n", mountinfo);
	v2_make("/box", "20971520\n", "1048576\n");
	assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
	assert_int_equal(cgroup.count, 1);
	cgroup_close(&cgroup);
}

static void test_nothing_to_see_is_no_cgroup(void **state)
{
	static const struct {
		const char *cgroup;
		const char *mountinfo;
	} rows[] = {
		{"", ""},
		{"0::/box\n", ""},
		{"0::/box\n", OTHERS},
		{"", MOUNT_V2},
		{"0::box\n", MOUNT_V2},
		{"0:\n::\n:::\n0::\n", MOUNT_V2},
		{"0::/box\n", "30 22\n- - -\n30 22 0:27 / /sys - cgroup2\n - cgroup2 x y\n"},
		{"4:memory:/box\n", MOUNT_V2},
		{"0::/box\n", "30 22 0:27 / /nowhere rw - cgroup2 cgroup2 rw\n"},
	};
	struct cgroup cgroup;
	(void)state;
	assert_int_equal(cgroup_open(tree.fd, &cgroup), -ENOENT);
	v2_make("/box", "20971520\n", "1048576\n");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		proc_make(rows[i].cgroup, rows[i].mountinfo);
		assert_int_equal(cgroup_open(tree.fd, &cgroup), -ENOENT);
		assert_int_equal(cgroup.count, 0);
		assert_int_equal(cgroup.pressure_fd, -1);
		assert_int_equal(cgroup.processes_fd, -1);
	}
}

static void test_malformed_files_are_unknown(void **state)
{
	static const char *const texts[] = {
		"", "\n", "-1\n", "12x\n", "99999999999999999999999\n", "none\n"};
	(void)state;
	proc_make("0::/box\n", MOUNT_V2);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct cgroup cgroup;
		struct wall_sample wall;
		struct events_sample events;
		struct stall_sample stall;

		v2_make("/box", texts[i], "1048576\n");
		fake_tree_write(&tree, "sys/fs/cgroup/box/memory.stat", texts[i]);
		fake_tree_write(&tree, "sys/fs/cgroup/box/memory.events.local", texts[i]);
		fake_tree_write(&tree, "sys/fs/cgroup/box/memory.pressure", texts[i]);
		fake_tree_write(&tree, "sys/fs/cgroup/box/cgroup.procs", "");
		assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
		(void)cgroup_read(&cgroup, &wall, &events);
		assert_int_equal(wall.limit_bytes, SAMPLE_NO_LIMIT);
		assert_int_equal(wall.current_bytes, 1048576);
		assert_false(wall.reclaimable_known);
		assert_false(events.known);
		cgroup_read_stall(&cgroup, 5, &stall);
		assert_false(stall.known);
		assert_int_equal(cgroup_processes(&cgroup), 1);
		cgroup_close(&cgroup);
		fake_tree_write(&tree, "sys/fs/cgroup/box/memory.max", "20971520\n");
		fake_tree_write(&tree, "sys/fs/cgroup/box/memory.current", texts[i]);
		assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
		(void)cgroup_read(&cgroup, &wall, &events);
		assert_int_equal(wall.limit_bytes, SAMPLE_NO_LIMIT);
		cgroup_close(&cgroup);
	}
}

static void test_huge_values_do_not_wrap(void **state)
{
	struct cgroup cgroup;
	struct wall_sample wall;
	struct events_sample events;
	(void)state;
	proc_make("0::/box\n", MOUNT_V2);
	v2_make("/box", "9223372036854775807\n", "18446744073709551615\n");
	fake_tree_write(&tree, "sys/fs/cgroup/box/memory.stat",
		"inactive_file 18446744073709551615\nactive_file 18446744073709551615\n");
	assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
	(void)cgroup_read(&cgroup, &wall, &events);
	assert_int_equal(wall.limit_bytes, SAMPLE_NO_LIMIT);
	cgroup_close(&cgroup);
	fake_tree_write(&tree, "sys/fs/cgroup/box/memory.max", "4611686018427387903\n");
	assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
	(void)cgroup_read(&cgroup, &wall, &events);
	assert_true(wall.reclaimable_bytes <= wall.current_bytes);
	cgroup_close(&cgroup);
}

static void test_a_move_is_noticed(void **state)
{
	struct cgroup cgroup;
	(void)state;
	proc_make("0::/box\n", MOUNT_V2);
	v2_make("/box", "20971520\n", "1048576\n");
	assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
	assert_false(cgroup_has_moved(tree.fd, &cgroup));
	fake_tree_write(&tree, "proc/self/cgroup", "0::/other\n");
	assert_true(cgroup_has_moved(tree.fd, &cgroup));
	cgroup_close(&cgroup);
}

static void test_many_processes_are_counted_up_to_a_bound(void **state)
{
	static char text[20000];
	struct cgroup cgroup;
	(void)state;
	memset(text, '\n', sizeof text - 1);
	proc_make("0::/box\n", MOUNT_V2);
	v2_make("/box", "20971520\n", "1048576\n");
	fake_tree_write(&tree, "sys/fs/cgroup/box/cgroup.procs", text);
	assert_int_equal(cgroup_open(tree.fd, &cgroup), 0);
	assert_in_range(cgroup_processes(&cgroup), 1000, 5000);
	cgroup_close(&cgroup);
}

#define IN_TREE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_TREE(test_the_tightest_level_counts),
		IN_TREE(test_limits_are_read_again),
		IN_TREE(test_v1_beside_v2),
		IN_TREE(test_containers_find_their_part),
		IN_TREE(test_a_mount_with_blanks_in_its_path),
		IN_TREE(test_lines_that_are_too_long_are_left_out),
		IN_TREE(test_nothing_to_see_is_no_cgroup),
		IN_TREE(test_malformed_files_are_unknown),
		IN_TREE(test_huge_values_do_not_wrap),
		IN_TREE(test_a_move_is_noticed),
		IN_TREE(test_many_processes_are_counted_up_to_a_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
