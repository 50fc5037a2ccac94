/* The ladder of cgroup.h, leaves, and that closing undoes everything: on a hierarchy of files. */

#include "supervisor/cgroup/cgroup.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_cgroup.h"
#include "tests/support/fake_children.h"
#include "tests/support/said.h"

static int setup(void **state)
{
	(void)state;
	fake_children_reset();
	said_begin();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	said_end();
	fake_cgroup_close();
	return 0;
}

/* "spillway-PID" below a parent. */
static const char *own_base(const char *parent, const char *rest)
{
	static char text[2][128];
	static size_t turn;
	char *to = text[turn++ % 2];
	snprintf(to, sizeof text[0], "%s%sspillway-%ld%s", parent, parent[0] != '\0' ? "/" : "",
		(long)getpid(), rest);
	return to;
}

static struct cgroup_tree *open_tree(const char *own)
{
	char why[CGROUP_WHY_BYTES] = "";
	struct cgroup_tree *tree = NULL;
	const struct mode mode = fake_cgroup_mode(own);
	if (cgroup_tree_open(&mode, NULL, &tree, why) != 0)
		fail_msg("cgroup_tree_open: %s", why);
	return tree;
}

static void test_alone_in_our_cgroup_that_is_the_base(void **state)
{
	(void)state;
	fake_cgroup_open("a/us", false);
	struct cgroup_tree *tree = open_tree("a/us");
	assert_non_null(strstr(cgroup_tree_directory(tree), "/cgroup/a/us"));
	assert_true(fake_cgroup_has("a/us/supervisor", getpid()));
	assert_true(fake_cgroup_reads("a/us", "cgroup.subtree_control", "memory"));
	cgroup_tree_close(tree, 0);
	assert_true(fake_cgroup_has("a/us", getpid()));
	assert_false(fake_cgroup_exists("a/us/supervisor"));
	assert_true(fake_cgroup_reads("a/us", "cgroup.subtree_control", ""));
	assert_int_equal(said(" warn "), 0);
}

static void test_in_a_namespace_of_our_own_everybody_moves_and_comes_back(void **state)
{
	(void)state;
	fake_cgroup_open("", false);
	pid_t shell = fake_children_add(0)->pid;
	fake_cgroup_put("", shell);
	char why[CGROUP_WHY_BYTES];
	struct cgroup_tree *tree;
	struct mode mode = fake_cgroup_mode("");
	mode.namespace_root = true;
	assert_int_equal(cgroup_tree_open(&mode, NULL, &tree, why), 0);
	assert_true(fake_cgroup_has("supervisor", getpid()));
	assert_true(fake_cgroup_has("supervisor", shell));
	cgroup_tree_close(tree, 0);
	assert_true(fake_cgroup_has("", getpid()));
	assert_true(fake_cgroup_has("", shell));
	assert_false(fake_cgroup_exists("supervisor"));
}

static void test_beside_strangers_only_we_move_to_a_sibling(void **state)
{
	(void)state;
	fake_cgroup_open("session/us", false);
	pid_t shell = fake_children_add(0)->pid;
	fake_cgroup_put("session/us", shell);
	struct cgroup_tree *tree = open_tree("session/us");
	assert_true(fake_cgroup_has(own_base("session", "/supervisor"), getpid()));
	assert_true(fake_cgroup_has("session/us", shell));
	cgroup_tree_close(tree, 0);
	assert_true(fake_cgroup_has("session/us", getpid()));
	assert_false(fake_cgroup_exists(own_base("session", "")));
}

static void test_a_limit_of_our_own_is_not_escaped_by_a_sibling(void **state)
{
	static const struct {
		const char *file;
		const char *text;
		bool escapes;
	} rows[] = {
		{.file = "memory.max", .text = "1048576\n", .escapes = true},
		{.file = "memory.high", .text = "1048576\n", .escapes = true},
		{.file = "memory.max", .text = "", .escapes = true},
		{.file = "memory.max", .text = "maximum\n", .escapes = true},
		{.file = "memory.max", .text = "max\n", .escapes = false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char why[CGROUP_WHY_BYTES] = "";
		struct cgroup_tree *tree;
		fake_cgroup_open("session/us", false);
		fake_cgroup_put("session/us", fake_children_add(0)->pid);
		fake_cgroup_set("session/us", rows[i].file, rows[i].text);
		const struct mode mode = fake_cgroup_mode("session/us");
		int error = cgroup_tree_open(&mode, NULL, &tree, why);
		assert_int_equal(error, rows[i].escapes ? -EBUSY : 0);
		if (rows[i].escapes)
			assert_string_equal(why, "1 other process in it, and a cgroup beside it "
						 "would escape its limit");
		else
			cgroup_tree_close(tree, 0);
		assert_true(fake_cgroup_has("session/us", getpid()));
		if (i + 1 < sizeof rows / sizeof rows[0])
			fake_cgroup_close();
	}
}

static void test_a_parent_without_memory_gives_no_sibling(void **state)
{
	char why[CGROUP_WHY_BYTES] = "";
	struct cgroup_tree *tree;
	(void)state;
	fake_cgroup_open("session/us", false);
	fake_cgroup_put("session/us", fake_children_add(0)->pid);
	fake_cgroup_put("session/us", fake_children_add(0)->pid);
	fake_cgroup_set("session", "cgroup.subtree_control", "cpu memory_numa pids\n");
	const struct mode mode = fake_cgroup_mode("session/us");
	assert_int_equal(cgroup_tree_open(&mode, NULL, &tree, why), -EOPNOTSUPP);
	assert_string_equal(why, "2 other processes in it, and its parent hands out no memory");
}

static void test_at_the_root_of_the_machine_only_we_move(void **state)
{
	(void)state;
	fake_cgroup_open("", true);
	pid_t init = fake_children_add(0)->pid;
	fake_cgroup_put("", init);
	struct cgroup_tree *tree = open_tree("");
	assert_true(fake_cgroup_reads("", "cgroup.subtree_control", "memory"));
	assert_true(fake_cgroup_has(own_base("", "/supervisor"), getpid()));
	assert_true(fake_cgroup_has("", init));
	cgroup_tree_close(tree, 0);
	assert_true(fake_cgroup_has("", getpid()));
	assert_false(fake_cgroup_exists(own_base("", "")));
	assert_true(fake_cgroup_reads("", "cgroup.subtree_control", ""));
}

static void test_memory_at_the_root_stays_on_for_others_that_came(void **state)
{
	(void)state;
	fake_cgroup_open("", true);
	struct cgroup_tree *tree = open_tree("");
	fake_cgroup_make("somebody");
	cgroup_tree_close(tree, 0);
	assert_true(fake_cgroup_reads("", "cgroup.subtree_control", "memory"));
	assert_false(fake_cgroup_exists(own_base("", "")));
}

static void test_what_is_refused_on_the_way_is_undone(void **state)
{
	static const struct {
		const char *file; /* NULL = mkdir */
		int error;
		const char *why;
	} rows[] = {
		{NULL, EACCES, "a leaf for the supervisor cannot be made: Permission denied"},
		{NULL, EAGAIN,
			"a leaf for the supervisor cannot be made: Resource temporarily "
			"unavailable"},
		{"cgroup.procs", EPERM,
			"processes cannot be moved to the supervisor's leaf: Operation not "
			"permitted"},
		{"cgroup.procs", EOPNOTSUPP,
			"processes cannot be moved to the supervisor's leaf: Operation not "
			"supported"},
		{"cgroup.subtree_control", EBUSY,
			"memory cannot be switched on for leaves: Device or resource busy"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char why[CGROUP_WHY_BYTES] = "";
		struct cgroup_tree *tree;
		fake_cgroup_open("a/us", false);
		const struct mode mode = fake_cgroup_mode("a/us");
		fake_cgroup.refuse_file = rows[i].file;
		fake_cgroup.refuse_errno = rows[i].error;
		if (rows[i].file == NULL)
			fake_cgroup.refuse_mkdir_errno = rows[i].error;
		assert_int_equal(cgroup_tree_open(&mode, NULL, &tree, why), -rows[i].error);
		assert_string_equal(why, rows[i].why);
		assert_true(fake_cgroup_has("a/us", getpid()));
		assert_false(fake_cgroup_exists("a/us/supervisor"));
		assert_true(fake_cgroup_reads("a/us", "cgroup.subtree_control", ""));
		if (i + 1 < sizeof rows / sizeof rows[0])
			fake_cgroup_close();
	}
}

/* The list of our own cgroup's processes cannot be read, as in a threaded cgroup.  That is not
 * the same as nobody being there. */
static void test_a_list_that_cannot_be_read_is_not_an_empty_one(void **state)
{
	char why[CGROUP_WHY_BYTES] = "";
	struct cgroup_tree *tree;
	(void)state;
	fake_cgroup_open("a/us", false);
	const struct mode mode = fake_cgroup_mode("a/us");
	/* Reading a folder fails where opening it does not. */
	fake_cgroup_remove_file("a/us", "cgroup.procs");
	fake_tree_make(&fake_cgroup.tree, "cgroup/a/us/cgroup.procs");
	assert_int_equal(cgroup_tree_open(&mode, NULL, &tree, why), -EISDIR);
	assert_string_equal(why, "cgroup.procs: Is a directory");
	assert_false(fake_cgroup_exists("a/us/supervisor"));
}

static void test_leaves_have_their_limits_and_keep_apart(void **state)
{
	struct cgroup_leaf *web;
	struct cgroup_leaf *again;
	struct cgroup_leaf *dotted;
	struct cgroup_leaf *ours;
	(void)state;
	fake_cgroup_open("a/us", false);
	struct cgroup_tree *tree = open_tree("a/us");
	assert_int_equal(cgroup_leaf_create(tree, "web", 1 << 20, UINT64_MAX, &web), 0);
	assert_true(fake_cgroup_reads("a/us/web", "memory.max", "1048576"));
	assert_true(fake_cgroup_reads("a/us/web", "memory.high", "max"));
	/* A name that is taken, or that the kernel or we use, is changed. */
	assert_int_equal(cgroup_leaf_create(tree, "web", 1, 1, &again), 0);
	assert_non_null(strstr(cgroup_leaf_directory(again), "/us/web-2"));
	assert_int_equal(cgroup_leaf_create(tree, "../x y", 1, 1, &dotted), 0);
	assert_non_null(strstr(cgroup_leaf_directory(dotted), "/us/___x_y"));
	assert_int_equal(cgroup_leaf_create(tree, "supervisor", 1, 1, &ours), 0);
	assert_non_null(strstr(cgroup_leaf_directory(ours), "/us/supervisor-2"));
	cgroup_tree_close(tree, 0);
	assert_false(fake_cgroup_exists("a/us/web"));
	assert_false(fake_cgroup_exists("a/us/supervisor-2"));
	assert_true(fake_cgroup_has("a/us", getpid()));
}

static void test_a_leaf_whose_limits_are_refused_leaves_nothing(void **state)
{
	static const char *const files[] = {"memory.max", "memory.high"};
	(void)state;
	fake_cgroup_open("a/us", false);
	struct cgroup_tree *tree = open_tree("a/us");
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		struct cgroup_leaf *leaf = NULL;
		fake_cgroup.refuse_file = files[i];
		fake_cgroup.refuse_errno = EINVAL;
		assert_int_equal(cgroup_leaf_create(tree, "web", 1, 1, &leaf), -EINVAL);
		assert_null(leaf);
		assert_false(fake_cgroup_exists("a/us/web"));
	}
	cgroup_tree_close(tree, 0);
}

static void test_processes_are_put_in_told_and_killed(void **state)
{
	struct cgroup_leaf *leaf;
	(void)state;
	for (int without_kill = 0; without_kill <= 1; without_kill++) {
		fake_children_reset();
		fake_cgroup_open("a/us", false);
		fake_cgroup.no_kill_file = without_kill;
		struct cgroup_tree *tree = open_tree("a/us");
		assert_int_equal(cgroup_leaf_create(tree, "web", 1, 1, &leaf), 0);
		assert_true(cgroup_leaf_empty(leaf));
		struct fake_child *one = fake_children_add(0);
		struct fake_child *two = fake_children_add(0);
		struct fake_child *gone = fake_children_add(0);
		one->ignores = true;
		fake_children_exit(gone, 0);
		assert_int_equal(cgroup_leaf_attach(leaf, one->pid), 0);
		assert_int_equal(cgroup_leaf_attach(leaf, two->pid), 0);
		assert_int_equal(cgroup_leaf_attach(leaf, gone->pid), -ESRCH);
		assert_false(cgroup_leaf_empty(leaf));
		assert_int_equal(cgroup_leaf_signal(leaf, SIGTERM), 2);
		assert_false(cgroup_leaf_empty(leaf));
		assert_int_equal(cgroup_leaf_signal(leaf, SIGTERM), 1);
		assert_int_equal(cgroup_leaf_kill(leaf), 0);
		assert_true(cgroup_leaf_empty(leaf));
		assert_int_equal(cgroup_leaf_signal(leaf, SIGTERM), 0);
		assert_int_equal(cgroup_leaf_remove(leaf, 0), 0);
		assert_false(fake_cgroup_exists("a/us/web"));
		cgroup_tree_close(tree, 0);
		if (!without_kill)
			fake_cgroup_close();
	}
}

/* pid 0 in the list is a process of a foreign pid namespace: kill(0) would hit ourselves. */
static void test_a_list_longer_than_a_read_is_read_whole(void **state)
{
	struct cgroup_leaf *leaf;
	(void)state;
	fake_cgroup_open("a/us", false);
	struct cgroup_tree *tree = open_tree("a/us");
	assert_int_equal(cgroup_leaf_create(tree, "web", 1, 1, &leaf), 0);
	/* Seven bytes each: a number lies across the end of the first page. */
	for (int i = 0; i < 250; i++) {
		struct fake_child *child = fake_children_add(0);
		child->ignores = true;
		fake_cgroup_put("a/us/web", child->pid);
	}
	for (int i = 0; i < 500; i++)
		fake_cgroup_put("a/us/web", 200000 + i);
	assert_int_equal(cgroup_leaf_signal(leaf, SIGTERM), 250);
	assert_int_equal(fake_children.signal_count, 250 + 500);
	for (int i = 0; i < 500; i++)
		fake_cgroup_take_out(200000 + i);
	cgroup_tree_close(tree, 0);
}

static void test_a_process_of_a_foreign_namespace_is_left_alone(void **state)
{
	struct cgroup_leaf *leaf;
	(void)state;
	fake_cgroup_open("a/us", false);
	struct cgroup_tree *tree = open_tree("a/us");
	assert_int_equal(cgroup_leaf_create(tree, "web", 1, 1, &leaf), 0);
	static const char *const lists[] = {
		"0\n0\n", "4294967297\n", "99999999999999999999999\n\n\n", "-\n", "x\n", ""};
	for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
		fake_cgroup_set("a/us/web", "cgroup.procs", lists[i]);
		assert_int_equal(cgroup_leaf_signal(leaf, SIGTERM), 0);
		assert_int_equal(fake_children.signal_count, 0);
	}
	cgroup_tree_close(tree, 0);
}

static void test_a_leaf_that_stays_busy_is_tried_again_at_the_end(void **state)
{
	struct cgroup_leaf *leaf;
	(void)state;
	fake_cgroup_open("a/us", false);
	struct cgroup_tree *tree = open_tree("a/us");
	assert_int_equal(cgroup_leaf_create(tree, "web", 1, 1, &leaf), 0);
	struct fake_child *stuck = fake_children_add(0);
	stuck->unkillable = true;
	assert_int_equal(cgroup_leaf_attach(leaf, stuck->pid), 0);
	assert_int_equal(cgroup_leaf_remove(leaf, 1), -EBUSY);
	assert_true(fake_cgroup_has("a/us/web", stuck->pid));
	/* The same service comes back meanwhile. */
	struct cgroup_leaf *again;
	assert_int_equal(cgroup_leaf_create(tree, "web", 1, 1, &again), 0);
	assert_non_null(strstr(cgroup_leaf_directory(again), "/web-2"));
	stuck->unkillable = false;
	cgroup_tree_close(tree, 0);
	assert_false(fake_cgroup_exists("a/us/web"));
	assert_false(fake_cgroup_exists("a/us/web-2"));
}

static void test_what_stays_behind_at_the_end_is_told(void **state)
{
	struct cgroup_leaf *leaf;
	(void)state;
	fake_cgroup_open("a/us", false);
	struct cgroup_tree *tree = open_tree("a/us");
	assert_int_equal(cgroup_leaf_create(tree, "web", 1, 1, &leaf), 0);
	struct fake_child *stuck = fake_children_add(0);
	stuck->unkillable = true;
	assert_int_equal(cgroup_leaf_attach(leaf, stuck->pid), 0);
	cgroup_tree_close(tree, 1);
	assert_int_equal(said("/us/web: stays behind: Device or resource busy"), 1);
	assert_true(fake_cgroup_has("a/us", getpid()));
}

static void test_cgroups_that_the_service_made_go_with_its_leaf(void **state)
{
	struct cgroup_leaf *leaf;
	(void)state;
	fake_cgroup_open("a/us", false);
	struct cgroup_tree *tree = open_tree("a/us");
	assert_int_equal(cgroup_leaf_create(tree, "web", 1, 1, &leaf), 0);
	fake_cgroup_make("a/us/web/inner/deep");
	struct fake_child *child = fake_children_add(0);
	fake_cgroup_put("a/us/web/inner/deep", child->pid);
	assert_false(cgroup_leaf_empty(leaf));
	assert_int_equal(cgroup_leaf_remove(leaf, 0), 0);
	assert_false(fake_cgroup_exists("a/us/web"));
	assert_int_equal(child->state, FAKE_CHILD_ZOMBIE);
	cgroup_tree_close(tree, 0);
}

static void test_broken_events_of_a_leaf_never_mean_empty(void **state)
{
	static const char *const texts[] = {
		"", "populated", "populated \n", "populated x\n", "frozen 0\n", "populated 10\n"};
	struct cgroup_leaf *leaf;
	(void)state;
	fake_cgroup_open("a/us", false);
	struct cgroup_tree *tree = open_tree("a/us");
	assert_int_equal(cgroup_leaf_create(tree, "web", 1, 1, &leaf), 0);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		fake_cgroup_set("a/us/web", "cgroup.events", texts[i]);
		assert_false(cgroup_leaf_empty(leaf));
	}
	/* Somebody else has removed it. */
	fake_cgroup_remove_file("a/us/web", "cgroup.events");
	assert_true(cgroup_leaf_empty(leaf));
	fake_cgroup_set("a/us/web", "cgroup.events", "populated 0\n");
	cgroup_tree_close(tree, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_alone_in_our_cgroup_that_is_the_base),
		TEST(test_in_a_namespace_of_our_own_everybody_moves_and_comes_back),
		TEST(test_beside_strangers_only_we_move_to_a_sibling),
		TEST(test_a_limit_of_our_own_is_not_escaped_by_a_sibling),
		TEST(test_a_parent_without_memory_gives_no_sibling),
		TEST(test_at_the_root_of_the_machine_only_we_move),
		TEST(test_memory_at_the_root_stays_on_for_others_that_came),
		TEST(test_what_is_refused_on_the_way_is_undone),
		TEST(test_a_list_that_cannot_be_read_is_not_an_empty_one),
		TEST(test_leaves_have_their_limits_and_keep_apart),
		TEST(test_a_leaf_whose_limits_are_refused_leaves_nothing),
		TEST(test_processes_are_put_in_told_and_killed),
		TEST(test_a_list_longer_than_a_read_is_read_whole),
		TEST(test_a_process_of_a_foreign_namespace_is_left_alone),
		TEST(test_a_leaf_that_stays_busy_is_tried_again_at_the_end),
		TEST(test_what_stays_behind_at_the_end_is_told),
		TEST(test_cgroups_that_the_service_made_go_with_its_leaf),
		TEST(test_broken_events_of_a_leaf_never_mean_empty),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
