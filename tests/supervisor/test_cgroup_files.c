#include "supervisor/cgroup_files.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_tree.h"

static void test_numbers_are_parsed_whole_or_refused(void **state)
{
	static const struct {
		const char *text;
		int error;
		uint64_t value;
	} rows[] = {
		{"0\n", 0, 0},
		{"268435456\n", 0, 268435456},
		{"268435456", 0, 268435456},
		{"max\n", 0, SAMPLE_NO_LIMIT},
		{"18446744073709551615\n", 0, UINT64_MAX},
		{"18446744073709551616\n", -ERANGE, 0},
		{"99999999999999999999999999999999\n", -ERANGE, 0},
		{"", -EINVAL, 0},
		{"\n", -EINVAL, 0},
		{"-1\n", -EINVAL, 0},
		{"12x\n", -EINVAL, 0},
		{"12 13\n", -EINVAL, 0},
		{"maximum\n", -EINVAL, 0},
		{" 12\n", -EINVAL, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint64_t value = 42;
		int error = cgroup_files_parse_u64(rows[i].text, strlen(rows[i].text), &value);
		assert_int_equal(error, rows[i].error);
		assert_int_equal(value, error == 0 ? rows[i].value : 42);
	}
}

static void test_a_number_ends_where_the_text_does(void **state)
{
	uint64_t value;
	(void)state;
	assert_int_equal(cgroup_files_parse_u64("123456", 3, &value), 0);
	assert_int_equal(value, 123);
}

static void test_keys_are_found_at_line_starts_only(void **state)
{
	static const char text[] = "xmax 9\nmaximal 8\nmax 7\noom_kill 3\noom 2\nhigh";
	uint64_t value = 0;
	(void)state;
	assert_true(cgroup_files_parse_key(text, strlen(text), "max", &value));
	assert_int_equal(value, 7);
	assert_true(cgroup_files_parse_key(text, strlen(text), "oom", &value));
	assert_int_equal(value, 2);
	assert_true(cgroup_files_parse_key(text, strlen(text), "oom_kill", &value));
	assert_int_equal(value, 3);
	assert_false(cgroup_files_parse_key(text, strlen(text), "high", &value));
	assert_false(cgroup_files_parse_key(text, strlen(text), "low", &value));
	assert_false(cgroup_files_parse_key("", 0, "low", &value));
}

static void test_keys_with_hostile_values_are_not_found(void **state)
{
	static const char *const texts[] = {"max \n", "max", "max x\n", "max 1x\n",
		"max 99999999999999999999999\n", "max -1\n", "\n\n\n", "max\t1\n"};
	uint64_t value;
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_false(cgroup_files_parse_key(texts[i], strlen(texts[i]), "max", &value));
}

static void test_stall_takes_the_totals(void **state)
{
	static const char text[] = "some avg10=1.00 avg60=0.50 avg300=0.10 total=123456\n"
				   "full avg10=0.00 avg60=0.00 avg300=0.00 total=789\n";
	struct stall_sample stall = {0};
	(void)state;
	assert_int_equal(cgroup_files_parse_stall(text, strlen(text), &stall), 0);
	assert_int_equal(stall.some_us, 123456);
	assert_int_equal(stall.full_us, 789);
}

static void test_stall_of_broken_text_changes_nothing(void **state)
{
	static const char *const texts[] = {"", "\n", "some", "some avg10=1.00\n",
		"full avg10=0 total=5\n", "some total=\n", "some avg10=0 total=x\n",
		"some avg10=0 total=99999999999999999999999\n", "some avg10=0\n total=5\n",
		"some avg10=0 total=1\nfull avg10=0 total=y\n"};
	struct stall_sample stall = {.some_us = 1, .full_us = 2};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		assert_int_not_equal(
			cgroup_files_parse_stall(texts[i], strlen(texts[i]), &stall), 0);
		assert_int_equal(stall.some_us, 1);
		assert_int_equal(stall.full_us, 2);
	}
}

/* Every beginning of a good text is a text as well, and none may be read past its end: the copy
 * has no byte to spare, which ASan watches. */
static void test_every_cut_of_a_text_is_survived(void **state)
{
	static const char text[] = "some avg10=1.00 avg60=0.50 avg300=0.10 total=123456\n"
				   "full avg10=0.00 avg60=0.00 avg300=0.00 total=789\nmax 12\n";
	(void)state;
	for (size_t length = 0; length < sizeof text; length++) {
		struct stall_sample stall;
		uint64_t value;
		char *cut = test_malloc(length == 0 ? 1 : length);
		memcpy(cut, text, length);
		cgroup_files_parse_stall(cut, length, &stall);
		cgroup_files_parse_key(cut, length, "max", &value);
		cgroup_files_parse_u64(cut, length, &value);
		test_free(cut);
	}
}

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
	assert_int_equal(cgroup_files_reclaimable(&files, &value), 0);
	assert_int_equal(value, 32000000);
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
	(void)state;
	fake_tree_open(&tree);
	fake_tree_write(&tree, "a/memory.limit_in_bytes", "9223372036854771712\n");
	fake_tree_write(&tree, "a/memory.usage_in_bytes", "1000\n");
	fake_tree_write(&tree, "a/memory.failcnt", "12\n");
	fake_tree_write(
		&tree, "a/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	fake_tree_write(&tree, "a/memory.stat",
		"cache 1\ninactive_file 1\ntotal_inactive_file 500\ntotal_dirty 600\n"
		"active_file 1\ntotal_active_file 40\n");
	int fd = fake_tree_directory(&tree, "a");
	cgroup_files_open(&files, fd, CGROUP_V1);
	close(fd);
	assert_int_equal(cgroup_files_limit(&files, &value), 0);
	assert_int_equal(value, SAMPLE_NO_LIMIT);
	assert_int_equal(cgroup_files_usage(&files, &value), 0);
	assert_int_equal(value, 1000);
	assert_int_equal(cgroup_files_reclaimable(&files, &value), 0);
	assert_int_equal(value, 20);
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
	(void)state;
	fake_tree_open(&tree);
	fake_tree_make(&tree, "root");
	int fd = fake_tree_directory(&tree, "root");
	cgroup_files_open(&files, fd, CGROUP_V2);
	close(fd);
	assert_int_equal(cgroup_files_limit(&files, &value), -ENOENT);
	assert_int_equal(cgroup_files_usage(&files, &value), -ENOENT);
	assert_int_equal(cgroup_files_reclaimable(&files, &value), -ENOENT);
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
		cmocka_unit_test(test_numbers_are_parsed_whole_or_refused),
		cmocka_unit_test(test_a_number_ends_where_the_text_does),
		cmocka_unit_test(test_keys_are_found_at_line_starts_only),
		cmocka_unit_test(test_keys_with_hostile_values_are_not_found),
		cmocka_unit_test(test_stall_takes_the_totals),
		cmocka_unit_test(test_stall_of_broken_text_changes_nothing),
		cmocka_unit_test(test_every_cut_of_a_text_is_survived),
		cmocka_unit_test(test_v2_files_are_read),
		cmocka_unit_test(test_v1_files_are_read_by_their_own_names),
		cmocka_unit_test(test_missing_files_are_unknown_and_not_zero),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
