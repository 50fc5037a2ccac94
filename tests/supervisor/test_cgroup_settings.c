#include "supervisor/cgroup/cgroup_settings.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"
#include "tests/support/said.h"

static const struct config_service asks = {
	.name = "web",
	.memory_min = {.bytes = 1 << 20},
	.memory_low = {.permille = 250},
	.memory_swap_max = {.set = true},
	.memory_zswap_max = {.set = true, .amount = {.bytes = 4096}},
	.oom_group = true,
	.pids_max = 20,
	.cpu_max_permille = 1500,
	.cpu_weight = 50,
	.io_weight = 1000,
};
static const struct config_service asks_nothing = {.name = "web"};

static void write_leaf(
	const struct fake_tree *tree, const struct config_service *config, bool is_new)
{
	int fd = fake_tree_directory(tree, "web");
	cgroup_settings_write(fd, config, 4 << 20, is_new);
	close(fd);
}

static void expect_file(const struct fake_tree *tree, const char *name, const char *text)
{
	char found[32] = "";
	int leaf = fake_tree_directory(tree, "web");
	int fd = openat(leaf, name, O_RDONLY);
	assert_true(fd >= 0 && read(fd, found, sizeof found - 1) > 0);
	close(fd);
	close(leaf);
	/* A plain file keeps what a shorter text does not cover. */
	assert_memory_equal(found, text, strlen(text));
}

static void make_leaf(const struct fake_tree *tree)
{
	fake_tree_write(tree, "web/memory.min", "0");
	fake_tree_write(tree, "web/memory.low", "0");
	fake_tree_write(tree, "web/memory.swap.max", "max");
	fake_tree_write(tree, "web/memory.oom.group", "0");
	fake_tree_write(tree, "web/pids.max", "max");
	fake_tree_write(tree, "web/cgroup.freeze", "1");
	fake_tree_write(tree, "web/cpu.max", "max 100000");
	fake_tree_write(tree, "web/cpu.weight", "100");
	fake_tree_write(tree, "web/io.weight", "default 100");
}

static void test_what_is_asked_for_is_written_and_taken_back(void **state)
{
	struct fake_tree tree;
	(void)state;
	fake_tree_open(&tree);
	make_leaf(&tree);
	fake_tree_write(&tree, "web/memory.zswap.max", "max");
	said_begin();
	write_leaf(&tree, &asks, false);
	expect_file(&tree, "memory.min", "1048576");
	expect_file(&tree, "memory.low", "1048576");
	expect_file(&tree, "memory.swap.max", "0");
	expect_file(&tree, "memory.zswap.max", "4096");
	expect_file(&tree, "memory.oom.group", "1");
	expect_file(&tree, "pids.max", "20");
	expect_file(&tree, "cgroup.freeze", "0");
	expect_file(&tree, "cpu.max", "150000 100000");
	expect_file(&tree, "cpu.weight", "50");
	expect_file(&tree, "io.weight", "1000");
	write_leaf(&tree, &asks_nothing, false);
	expect_file(&tree, "cpu.max", "max 100000");
	expect_file(&tree, "cpu.weight", "100");
	expect_file(&tree, "io.weight", "100");
	expect_file(&tree, "memory.min", "0");
	expect_file(&tree, "memory.low", "0");
	expect_file(&tree, "memory.swap.max", "max");
	expect_file(&tree, "memory.zswap.max", "max");
	expect_file(&tree, "memory.oom.group", "0");
	expect_file(&tree, "pids.max", "max");
	assert_int_equal(said("no effect"), 0);
	said_end();
	fake_tree_close(&tree);
}

static void test_a_file_that_is_missing_is_said_where_it_was_asked_for(void **state)
{
	struct fake_tree tree;
	(void)state;
	fake_tree_open(&tree);
	make_leaf(&tree);
	said_begin();
	write_leaf(&tree, &asks_nothing, false);
	assert_int_equal(said("no effect"), 0);
	write_leaf(&tree, &asks, false);
	assert_int_equal(said("web: memory_zswap_max has no effect: memory.zswap.max: not in this "
			      "kernel"),
		1);
	assert_int_equal(said("no effect"), 1);
	said_end();
	expect_file(&tree, "memory.oom.group", "1");
	fake_tree_close(&tree);
}

static void test_a_new_leaf_has_the_defaults_already(void **state)
{
	struct fake_tree tree;
	(void)state;
	fake_tree_open(&tree);
	make_leaf(&tree);
	fake_tree_write(&tree, "web/memory.low", "77");
	write_leaf(&tree, &asks_nothing, true);
	expect_file(&tree, "memory.low", "77");
	write_leaf(&tree, &asks, true);
	expect_file(&tree, "memory.low", "1048576");
	expect_file(&tree, "pids.max", "20");
	fake_tree_close(&tree);
}

static void test_what_is_asked_for_is_named(void **state)
{
	char names[CGROUP_SETTINGS_TEXT];
	(void)state;
	cgroup_settings_asked(&asks_nothing, names);
	assert_string_equal(names, "");
	cgroup_settings_asked(&asks, names);
	assert_string_equal(names, "memory_min, memory_low, memory_swap_max, memory_zswap_max, "
				   "oom_group, pids_max, cpu_max, cpu_weight, io_weight");
	cgroup_settings_needing(&asks, CGROUP_PIDS, names);
	assert_string_equal(names, "pids_max");
	cgroup_settings_needing(&asks, CGROUP_CPU, names);
	assert_string_equal(names, "cpu_max, cpu_weight");
	cgroup_settings_needing(&asks, CGROUP_IO, names);
	assert_string_equal(names, "io_weight");
	cgroup_settings_needing(&asks_nothing, CGROUP_CPU, names);
	assert_string_equal(names, "");
}

/* A kernel with the scheduler BFQ only, whose weights go up to 1000. */
static void test_weights_of_bfq_are_scaled(void **state)
{
	static const struct {
		int weight;
		const char *text;
	} rows[] = {{1, "1"}, {100, "100"}, {101, "100"}, {5050, "550"}, {10000, "1000"}};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct config_service config = {.name = "web", .io_weight = rows[i].weight};
		struct fake_tree tree;
		fake_tree_open(&tree);
		fake_tree_write(&tree, "web/io.bfq.weight", "100");
		said_begin();
		write_leaf(&tree, &config, false);
		assert_int_equal(said("no effect"), 0);
		said_end();
		expect_file(&tree, "io.bfq.weight", rows[i].text);
		fake_tree_close(&tree);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_asked_for_is_written_and_taken_back),
		cmocka_unit_test(test_a_file_that_is_missing_is_said_where_it_was_asked_for),
		cmocka_unit_test(test_a_new_leaf_has_the_defaults_already),
		cmocka_unit_test(test_what_is_asked_for_is_named),
		cmocka_unit_test(test_weights_of_bfq_are_scaled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
