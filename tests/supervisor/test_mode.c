#include "supervisor/cgroup/mode.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"
#include "tests/support/skip.h"

#define NOBODY 65534

static void write_proc(const struct fake_tree *tree, const char *cgroup, const char *mountinfo)
{
	fake_tree_write(tree, "proc/self/cgroup", cgroup);
	fake_tree_write(tree, "proc/self/mountinfo", mountinfo);
	fake_tree_link(tree, "proc/pressure/memory", "/proc/pressure/memory");
}

static void write_v2(const struct fake_tree *tree, const char *directory, const char *controllers)
{
	char path[256];
	snprintf(path, sizeof path, "%s/cgroup.procs", directory);
	fake_tree_write(tree, path, "1\n");
	snprintf(path, sizeof path, "%s/cgroup.controllers", directory);
	fake_tree_write(tree, path, controllers);
	snprintf(path, sizeof path, "%s/cgroup.subtree_control", directory);
	fake_tree_write(tree, path, "");
	snprintf(path, sizeof path, "%s/cgroup.type", directory);
	fake_tree_write(tree, path, "domain\n");
	/* The kernel's own answer to a trigger, whatever it is here. */
	snprintf(path, sizeof path, "%s/memory.pressure", directory);
	fake_tree_link(tree, path, "/proc/pressure/memory");
}

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"

static void test_own_path_is_found_under_the_mount(void **state)
{
	struct fake_tree tree;
	struct mode mode;
	(void)state;
	fake_tree_open(&tree);
	write_proc(&tree, "0::/system.slice/spillway.service\n", V2_MOUNT);
	write_v2(&tree, "sys/fs/cgroup/system.slice/spillway.service", "cpu memory pids\n");
	mode_probe(tree.fd, &mode);
	assert_true(mode.v2);
	assert_string_equal(mode.directory, "/sys/fs/cgroup/system.slice/spillway.service");
	assert_string_equal(mode.mount, "/sys/fs/cgroup");
	assert_string_equal(mode.pressure_directory, mode.directory);
	assert_false(mode.namespace_root);
	assert_false(mode.machine_root);
	assert_true(mode.letter == MODE_A || mode.letter == MODE_B);
	/* The probe's child is gone again. */
	char probe[MODE_LINE_BYTES + MODE_PATH_BYTES * 4];
	snprintf(probe, sizeof probe, "%s/spillway-probe.%ld", mode.directory + 1, (long)getpid());
	assert_int_equal(faccessat(tree.fd, probe, F_OK, 0), -1);
	fake_tree_close(&tree);
}

static void test_short_windows_are_what_tells_a_from_b(void **state)
{
	struct fake_tree tree;
	struct mode mode;
	(void)state;
	fake_tree_open(&tree);
	write_proc(&tree, "0::/a\n", V2_MOUNT);
	write_v2(&tree, "sys/fs/cgroup/a", "memory\n");
	mode_probe(tree.fd, &mode);
	if (mode.window_ms == 500) {
		assert_int_equal(mode.letter, MODE_A);
		assert_non_null(
			strstr(mode.line, "mode A: cgroup v2 at /sys/fs/cgroup/a, writable"));
	} else {
		assert_int_equal(mode.letter, MODE_B);
		assert_true(mode.window_ms == 0 || mode.window_ms == 2000);
		assert_non_null(
			strstr(mode.line, "mode B: cgroup v2 at /sys/fs/cgroup/a, writable"));
	}
	fake_tree_close(&tree);
}

static void test_a_tree_we_cannot_write_is_c(void **state)
{
	struct fake_tree tree;
	struct mode mode;
	(void)state;
	skip_unless_root();
	fake_tree_open(&tree);
	assert_int_equal(chmod(tree.path, 0755), 0);
	write_proc(&tree, "0::/\n", V2_MOUNT);
	write_v2(&tree, "sys/fs/cgroup", "memory\n");
	assert_int_equal(seteuid(NOBODY), 0);
	mode_probe(tree.fd, &mode);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(mode.letter, MODE_C);
	assert_true(mode.v2);
	assert_true(mode.namespace_root);
	assert_int_equal(mode.window_ms, 0);
	assert_non_null(strstr(mode.line, "read-only (Permission denied)"));
	fake_tree_close(&tree);
}

static void test_a_path_of_the_host_falls_back_to_the_mount(void **state)
{
	struct fake_tree tree;
	struct mode mode;
	(void)state;
	fake_tree_open(&tree);
	write_proc(&tree, "0::/kubepods/pod7/box\n", V2_MOUNT);
	write_v2(&tree, "sys/fs/cgroup", "memory\n");
	mode_probe(tree.fd, &mode);
	assert_true(mode.v2);
	assert_string_equal(mode.directory, "/sys/fs/cgroup");
	assert_false(mode.namespace_root);
	fake_tree_close(&tree);
}

static void test_a_bind_of_our_part_is_seen_through(void **state)
{
	struct fake_tree tree;
	struct mode mode;
	(void)state;
	fake_tree_open(&tree);
	write_proc(&tree, "0::/docker/abc/inner\n",
		"30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
	write_v2(&tree, "sys/fs/cgroup/inner", "memory\n");
	mode_probe(tree.fd, &mode);
	assert_string_equal(mode.directory, "/sys/fs/cgroup/inner");
	/* "/docker/abcd" is not below "/docker/abc". */
	fake_tree_write(&tree, "proc/self/cgroup", "0::/docker/abcd/inner\n");
	mode_probe(tree.fd, &mode);
	assert_string_not_equal(mode.directory, "/sys/fs/cgroup/inner");
	fake_tree_close(&tree);
}

static void test_a_mount_from_outside_our_namespace_is_not_trusted(void **state)
{
	struct fake_tree tree;
	struct mode mode;
	(void)state;
	fake_tree_open(&tree);
	write_proc(&tree, "0::/\n", "30 23 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
	write_v2(&tree, "sys/fs/cgroup", "memory\n");
	mode_probe(tree.fd, &mode);
	assert_int_equal(mode.letter, MODE_D);
	assert_string_equal(mode.directory, "");
	fake_tree_close(&tree);
}

static void test_the_root_of_the_machine_is_known_by_what_it_lacks(void **state)
{
	struct fake_tree tree;
	struct mode mode;
	(void)state;
	fake_tree_open(&tree);
	write_proc(&tree, "0::/\n", V2_MOUNT);
	write_v2(&tree, "sys/fs/cgroup", "memory\n");
	unlinkat(tree.fd, "sys/fs/cgroup/cgroup.type", 0);
	mode_probe(tree.fd, &mode);
	assert_true(mode.machine_root);
	assert_false(mode.namespace_root);
	assert_string_equal(mode.pressure_directory, "");
	fake_tree_close(&tree);
}

static void test_hybrid_hosts_are_d_with_both_trees(void **state)
{
	struct fake_tree tree;
	struct mode mode;
	(void)state;
	fake_tree_open(&tree);
	write_proc(&tree, "5:cpu,cpuacct:/x\n4:memory:/box\n1:name=systemd:/\n0::/box2\n",
		"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
		"35 31 0:32 / /sys/fs/cgroup/my\\040memory rw shared:1 master:2 - cgroup cgroup "
		"rw,memory\n"
		"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	write_v2(&tree, "sys/fs/cgroup/unified/box2", "\n");
	fake_tree_write(&tree, "sys/fs/cgroup/my memory/box/cgroup.procs", "1\n");
	mode_probe(tree.fd, &mode);
	assert_int_equal(mode.letter, MODE_D);
	assert_false(mode.v2);
	assert_string_equal(mode.directory, "/sys/fs/cgroup/my memory/box");
	assert_string_equal(mode.mount, "/sys/fs/cgroup/my memory");
	assert_string_equal(mode.pressure_directory, "/sys/fs/cgroup/unified/box2");
	fake_tree_close(&tree);
}

static void test_nothing_at_all_is_d_and_says_so(void **state)
{
	struct fake_tree tree;
	struct mode mode;
	(void)state;
	fake_tree_open(&tree);
	mode_probe(tree.fd, &mode);
	assert_int_equal(mode.letter, MODE_D);
	assert_string_equal(mode.directory, "");
	assert_non_null(strstr(mode.line, "mode D: no memory controller"));
	fake_tree_close(&tree);
}

static void test_broken_proc_files_are_survived(void **state)
{
	static const char *const mountinfos[] = {"", "\n", " - ", "a b c - cgroup2",
		"1 2 3 4 5 6 -", "1 2 3 / - cgroup2 x rw\n",
		"1 2 3 / /sys/fs/cgroup rw - cgroup2\n", "1 2 3 / /sys\\ rw - cgroup2 x rw\n",
		"\\\\\\ - - - -\n"};
	static const char *const cgroups[] = {
		"", ":", "::", "0::", "0::relative\n", "0:::\n", "4:memory\n"};
	struct fake_tree tree;
	struct mode mode;
	(void)state;
	fake_tree_open(&tree);
	for (size_t i = 0; i < sizeof mountinfos / sizeof mountinfos[0]; i++) {
		fake_tree_write(&tree, "proc/self/cgroup", "4:memory:/a\n0::/a\n");
		fake_tree_write(&tree, "proc/self/mountinfo", mountinfos[i]);
		mode_probe(tree.fd, &mode);
		assert_int_equal(mode.letter, MODE_D);
	}
	for (size_t i = 0; i < sizeof cgroups / sizeof cgroups[0]; i++) {
		fake_tree_write(&tree, "proc/self/cgroup", cgroups[i]);
		fake_tree_write(&tree, "proc/self/mountinfo", V2_MOUNT);
		mode_probe(tree.fd, &mode);
		assert_int_equal(mode.letter, MODE_D);
	}
	fake_tree_close(&tree);
}

static void test_degrading_tells_why(void **state)
{
	struct mode mode = {.letter = MODE_A, .window_ms = 500, .directory = "/sys/fs/cgroup/x"};
	(void)state;
	mode_degrade(&mode, "2 other processes in it");
	assert_int_equal(mode.letter, MODE_C);
	assert_int_equal(mode.window_ms, 0);
	assert_string_equal(mode.line,
		"mode C: cgroup v2 at /sys/fs/cgroup/x, writable, but 2 other processes in it: "
		"no leaves, no brake, no PSI triggers");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_path_is_found_under_the_mount),
		cmocka_unit_test(test_short_windows_are_what_tells_a_from_b),
		cmocka_unit_test(test_a_tree_we_cannot_write_is_c),
		cmocka_unit_test(test_a_path_of_the_host_falls_back_to_the_mount),
		cmocka_unit_test(test_a_bind_of_our_part_is_seen_through),
		cmocka_unit_test(test_a_mount_from_outside_our_namespace_is_not_trusted),
		cmocka_unit_test(test_the_root_of_the_machine_is_known_by_what_it_lacks),
		cmocka_unit_test(test_hybrid_hosts_are_d_with_both_trees),
		cmocka_unit_test(test_nothing_at_all_is_d_and_says_so),
		cmocka_unit_test(test_broken_proc_files_are_survived),
		cmocka_unit_test(test_degrading_tells_why),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
