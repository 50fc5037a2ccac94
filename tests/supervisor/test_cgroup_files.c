#include "supervisor/cgroup/cgroup_files.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"

static void write_v2(const struct fake_tree *tree)
{
	fake_tree_write(tree, "web/memory.max", "268435456\n");
	fake_tree_write(tree, "web/memory.current", "200000000\n");
	fake_tree_write(tree, "web/memory.events",
		"low 0\nhigh 4\nmax 5\noom 1\noom_kill 1\noom_group_kill 0\n");
	fake_tree_write(tree, "web/memory.events.local", "low 0\nhigh 4\nmax 3\noom 1\n");
	fake_tree_write(tree, "web/memory.stat",
		"anon 150000000\nfile 50000000\nfile_dirty 1000000\nfile_writeback 2000000\n"
		"inactive_anon 1\ninactive_file 30000000\nactive_file 10000000\n");
	fake_tree_write(tree, "web/memory.pressure",
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=5000\n"
		"full avg10=0.00 avg60=0.00 avg300=0.00 total=100\n");
}

static void test_v2_files_are_read(void **state)
{
	struct fake_tree tree;
	struct cgroup_files files;
	struct events_sample events;
	struct stall_sample stall;
	uint64_t value;
	struct wall_sample wall = {.reclaimable_known = false};
	(void)state;
	fake_tree_open(&tree);
	write_v2(&tree);
	int fd = fake_tree_directory(&tree, "web");
	cgroup_files_open(&files, fd, CGROUP_V2);
	close(fd);
	assert_int_equal(cgroup_files_limit(&files, &value), 0);
	assert_int_equal(value, 268435456);
	assert_int_equal(cgroup_files_usage(&files, &value), 0);
	assert_int_equal(value, 200000000);
	assert_int_equal(cgroup_files_reclaimable(&files, &wall), 0);
	assert_int_equal(wall.reclaimable_bytes, 33500000);
	cgroup_files_events(&files, &events);
	assert_true(events.known);
	assert_int_equal(events.high, 4);
	assert_int_equal(events.max, 5);
	assert_int_equal(events.oom_kill, 1);
	cgroup_files_events_local(&files, &events);
	assert_int_equal(events.max, 3);
	cgroup_files_stall(&files, 77, &stall);
	assert_true(stall.known);
	assert_int_equal(stall.read_ms, 77);
	assert_int_equal(stall.some_us, 5000);
	fake_tree_write(&tree, "web/memory.max", "max\n");
	assert_int_equal(cgroup_files_limit(&files, &value), 0);
	assert_int_equal(value, SAMPLE_NO_LIMIT);
	cgroup_files_close(&files);
	fake_tree_close(&tree);
}

static void test_v1_files_are_read_by_their_own_names(void **state)
{
	struct fake_tree tree;
	struct cgroup_files files;
	struct events_sample events;
	struct stall_sample stall;
	uint64_t value;
	struct wall_sample wall = {.reclaimable_known = false};
	(void)state;
	fake_tree_open(&tree);
	fake_tree_write(&tree, "a/memory.limit_in_bytes", "9223372036854771712\n");
	fake_tree_write(&tree, "a/memory.usage_in_bytes", "1000\n");
	fake_tree_write(&tree, "a/memory.failcnt", "12\n");
	fake_tree_write(
		&tree, "a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	fake_tree_write(&tree, "a/memory.stat",
		"cache 1\ninactive_file 1\ntotal_inactive_file 500\ntotal_dirty 600\n"
		"active_file 1\ntotal_active_file 40\ntotal_cache 90\ntotal_shmem 30\n");
	int fd = fake_tree_directory(&tree, "a");
	cgroup_files_open(&files, fd, CGROUP_V1);
	close(fd);
	assert_int_equal(cgroup_files_limit(&files, &value), 0);
	assert_int_equal(value, SAMPLE_NO_LIMIT);
	assert_int_equal(cgroup_files_usage(&files, &value), 0);
	assert_int_equal(value, 1000);
	assert_int_equal(cgroup_files_reclaimable(&files, &wall), 0);
	assert_int_equal(wall.reclaimable_bytes, 270);
	assert_int_equal(wall.listed_bytes, 500 + 40 - (90 - 30));
	cgroup_files_events(&files, &events);
	assert_true(events.known);
	assert_int_equal(events.max, 12);
	assert_int_equal(events.oom_kill, 2);
	cgroup_files_stall(&files, 1, &stall);
	assert_false(stall.known);
	cgroup_files_close(&files);
	fake_tree_close(&tree);
}

static void test_missing_files_are_unknown_and_not_zero(void **state)
{
	struct fake_tree tree;
	struct cgroup_files files;
	struct events_sample events = {.known = true};
	struct stall_sample stall = {.known = true};
	uint64_t value = 42;
	struct wall_sample wall = {.reclaimable_known = false};
	(void)state;
	fake_tree_open(&tree);
	fake_tree_make(&tree, "root");
	int fd = fake_tree_directory(&tree, "root");
	cgroup_files_open(&files, fd, CGROUP_V2);
	close(fd);
	assert_int_equal(cgroup_files_limit(&files, &value), -ENOENT);
	assert_int_equal(cgroup_files_usage(&files, &value), -ENOENT);
	assert_int_equal(cgroup_files_reclaimable(&files, &wall), -ENOENT);
	assert_int_equal(value, 42);
	cgroup_files_events(&files, &events);
	assert_false(events.known);
	cgroup_files_stall(&files, 1, &stall);
	assert_false(stall.known);
	cgroup_files_close(&files);
	fake_tree_close(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v2_files_are_read),
		cmocka_unit_test(test_v1_files_are_read_by_their_own_names),
		cmocka_unit_test(test_missing_files_are_unknown_and_not_zero),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
