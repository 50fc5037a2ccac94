#include "supervisor/cgroup/cgroup_walls.h"

#include <stdio.h>
#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"

#define MIB (1ULL << 20)

static void write_level(const struct fake_tree *tree, const char *directory, const char *limit,
	uint64_t usage_mib, uint64_t inactive_mib)
{
	char path[256];
	char text[64];
	snprintf(path, sizeof path, "%s/memory.max", directory);
	fake_tree_write(tree, path, limit);
	snprintf(path, sizeof path, "%s/memory.current", directory);
	snprintf(text, sizeof text, "%llu\n", (unsigned long long)usage_mib * MIB);
	fake_tree_write(tree, path, text);
	snprintf(path, sizeof path, "%s/memory.stat", directory);
	snprintf(text, sizeof text, "inactive_file %llu\n", (unsigned long long)inactive_mib * MIB);
	fake_tree_write(tree, path, text);
}

static void write_events(
	const struct fake_tree *tree, const char *path, unsigned max, unsigned kills)
{
	char text[64];
	snprintf(text, sizeof text, "high 0\nmax %u\noom 0\noom_kill %u\n", max, kills);
	fake_tree_write(tree, path, text);
}

static void test_the_wall_is_the_level_with_least_headroom(void **state)
{
	static const char base[] = "/sys/fs/cgroup/pod/box";
	struct fake_tree tree;
	struct cgroup_walls walls;
	struct wall_sample wall;
	size_t level;
	(void)state;
	fake_tree_open(&tree);
	fake_tree_make(&tree, "sys/fs/cgroup/pod");
	/* 156M left below the small limit, 50M below the large one: usage and limit of one level.
	 */
	write_level(&tree, "sys/fs/cgroup/pod/box", "268435456\n", 100, 0);
	write_level(&tree, "sys/fs/cgroup/pod", "1073741824\n", 974, 0);
	cgroup_walls_open(&walls, tree.fd, base, "/sys/fs/cgroup", CGROUP_V2);
	assert_int_equal(walls.count, 2);
	cgroup_walls_read(&walls, &wall, &level);
	assert_int_equal(level, 1);
	assert_int_equal(wall.limit_bytes, 1024 * MIB);
	assert_int_equal(wall.current_bytes, 974 * MIB);
	assert_string_equal(walls.directory[level], "/sys/fs/cgroup/pod");
	/* Page cache up there makes room again. */
	write_level(&tree, "sys/fs/cgroup/pod", "1073741824\n", 974, 500);
	cgroup_walls_read(&walls, &wall, &level);
	assert_int_equal(level, 0);
	assert_int_equal(wall.limit_bytes, 256 * MIB);
	assert_true(wall.reclaimable_known);
	/* A limit that is set while we run counts from then on. */
	write_level(&tree, "sys/fs/cgroup/pod/box", "max\n", 100, 0);
	cgroup_walls_read(&walls, &wall, &level);
	assert_int_equal(level, 1);
	cgroup_walls_close(&walls);
	fake_tree_close(&tree);
}

static void test_memory_high_is_a_wall_where_it_is_lower(void **state)
{
	static const struct {
		const char *high;
		uint64_t limit_bytes;
	} rows[] = {
		{"max\n", 256 * MIB},
		{"134217728\n", 128 * MIB},
		{"1073741824\n", 256 * MIB},
		{"0\n", 0},
		{"nonsense\n", 256 * MIB},
	};
	struct fake_tree tree;
	struct cgroup_walls walls;
	(void)state;
	fake_tree_open(&tree);
	write_level(&tree, "sys/fs/cgroup/a", "268435456\n", 100, 0);
	fake_tree_write(&tree, "sys/fs/cgroup/a/memory.high", "max\n");
	cgroup_walls_open(&walls, tree.fd, "/sys/fs/cgroup/a", "/sys/fs/cgroup", CGROUP_V2);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct wall_sample wall;
		size_t level;
		fake_tree_write(&tree, "sys/fs/cgroup/a/memory.high", rows[i].high);
		cgroup_walls_read(&walls, &wall, &level);
		assert_int_equal(wall.limit_bytes, rows[i].limit_bytes);
	}
	cgroup_walls_close(&walls);
	fake_tree_close(&tree);
}

static void test_without_limits_the_usage_is_our_own(void **state)
{
	struct fake_tree tree;
	struct cgroup_walls walls;
	struct wall_sample wall;
	size_t level;
	(void)state;
	fake_tree_open(&tree);
	write_level(&tree, "sys/fs/cgroup/a", "max\n", 900, 0);
	write_level(&tree, "sys/fs/cgroup/a/b", "max\n", 5, 0);
	cgroup_walls_open(&walls, tree.fd, "/sys/fs/cgroup/a/b", "/sys/fs/cgroup", CGROUP_V2);
	cgroup_walls_read(&walls, &wall, &level);
	assert_int_equal(wall.limit_bytes, SAMPLE_NO_LIMIT);
	assert_int_equal(wall.current_bytes, 5 * MIB);
	cgroup_walls_close(&walls);
	fake_tree_close(&tree);
}

static void test_walking_up_stops_at_the_mount(void **state)
{
	struct fake_tree tree;
	struct cgroup_walls walls;
	(void)state;
	fake_tree_open(&tree);
	write_level(&tree, "sys/fs", "1000\n", 0, 0);
	write_level(&tree, "sys/fs/cgroup", "2000\n", 0, 0);
	write_level(&tree, "sys/fs/cgroup/a", "3000\n", 0, 0);
	cgroup_walls_open(&walls, tree.fd, "/sys/fs/cgroup/a", "/sys/fs/cgroup", CGROUP_V2);
	assert_int_equal(walls.count, 2);
	cgroup_walls_close(&walls);
	cgroup_walls_open(&walls, tree.fd, "/sys/fs/cgroup", "/sys/fs/cgroup", CGROUP_V2);
	assert_int_equal(walls.count, 1);
	cgroup_walls_close(&walls);
	cgroup_walls_open(&walls, tree.fd, "/sys/fs/cgroup/a", "/sys/fs/cgroup/", CGROUP_V2);
	assert_int_equal(walls.count, 2);
	cgroup_walls_close(&walls);
	cgroup_walls_open(&walls, tree.fd, "", "", CGROUP_V2);
	assert_int_equal(walls.count, 0);
	fake_tree_close(&tree);
}

static void test_a_very_deep_path_is_cut(void **state)
{
	char path[512] = "/sys/fs/cgroup";
	struct fake_tree tree;
	struct cgroup_walls walls;
	(void)state;
	fake_tree_open(&tree);
	for (int i = 0; i < 40; i++) {
		memcpy(path + strlen(path), "/d", sizeof "/d");
		write_level(&tree, path + 1, "1000\n", 0, 0);
	}
	cgroup_walls_open(&walls, tree.fd, path, "/sys/fs/cgroup", CGROUP_V2);
	assert_int_equal(walls.count, CGROUP_LEVELS_MAX);
	cgroup_walls_close(&walls);
	fake_tree_close(&tree);
}

static void test_events_are_of_all_limits_and_kills_of_ours(void **state)
{
	struct fake_tree tree;
	struct cgroup_walls walls;
	struct events_sample events;
	(void)state;
	fake_tree_open(&tree);
	write_level(&tree, "sys/fs/cgroup/a", "1000\n", 0, 0);
	write_level(&tree, "sys/fs/cgroup/a/b", "1000\n", 0, 0);
	write_events(&tree, "sys/fs/cgroup/a/memory.events", 100, 50);
	write_events(&tree, "sys/fs/cgroup/a/memory.events.local", 7, 0);
	write_events(&tree, "sys/fs/cgroup/a/b/memory.events", 90, 3);
	write_events(&tree, "sys/fs/cgroup/a/b/memory.events.local", 2, 0);
	cgroup_walls_open(&walls, tree.fd, "/sys/fs/cgroup/a/b", "/sys/fs/cgroup", CGROUP_V2);
	cgroup_walls_events(&walls, &events);
	assert_true(events.known);
	assert_int_equal(events.max, 9);
	assert_int_equal(events.oom_kill, 3);
	cgroup_walls_close(&walls);
	fake_tree_close(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_wall_is_the_level_with_least_headroom),
		cmocka_unit_test(test_memory_high_is_a_wall_where_it_is_lower),
		cmocka_unit_test(test_without_limits_the_usage_is_our_own),
		cmocka_unit_test(test_walking_up_stops_at_the_mount),
		cmocka_unit_test(test_a_very_deep_path_is_cut),
		cmocka_unit_test(test_events_are_of_all_limits_and_kills_of_ours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
