#include "supervisor/policy/cgroup_text.h"

#include <errno.h>
#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

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
		int error = cgroup_text_u64(rows[i].text, strlen(rows[i].text), &value);
		assert_int_equal(error, rows[i].error);
		assert_int_equal(value, error == 0 ? rows[i].value : 42);
	}
}

static void test_a_number_ends_where_the_text_does(void **state)
{
	uint64_t value;
	(void)state;
	assert_int_equal(cgroup_text_u64("123456", 3, &value), 0);
	assert_int_equal(value, 123);
}

static void test_keys_are_found_at_line_starts_only(void **state)
{
	static const char text[] = "xmax 9\nmaximal 8\nmax 7\noom_kill 3\noom 2\nhigh";
	uint64_t value = 0;
	(void)state;
	assert_true(cgroup_text_key(text, strlen(text), "max", &value));
	assert_int_equal(value, 7);
	assert_true(cgroup_text_key(text, strlen(text), "oom", &value));
	assert_int_equal(value, 2);
	assert_true(cgroup_text_key(text, strlen(text), "oom_kill", &value));
	assert_int_equal(value, 3);
	assert_false(cgroup_text_key(text, strlen(text), "high", &value));
	assert_false(cgroup_text_key(text, strlen(text), "low", &value));
	assert_false(cgroup_text_key("", 0, "low", &value));
}

static void test_keys_with_hostile_values_are_not_found(void **state)
{
	static const char *const texts[] = {"max \n", "max", "max x\n", "max 1x\n",
		"max 99999999999999999999999\n", "max -1\n", "\n\n\n", "max\t1\n"};
	uint64_t value;
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_false(cgroup_text_key(texts[i], strlen(texts[i]), "max", &value));
}

static void test_stall_takes_the_totals(void **state)
{
	static const char text[] = "some avg10=1.00 avg60=0.50 avg300=0.10 total=123456\n"
				   "full avg10=0.00 avg60=0.00 avg300=0.00 total=789\n";
	struct stall_sample stall = {0};
	(void)state;
	assert_int_equal(cgroup_text_stall(text, strlen(text), &stall), 0);
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
		assert_int_not_equal(cgroup_text_stall(texts[i], strlen(texts[i]), &stall), 0);
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
		cgroup_text_stall(cut, length, &stall);
		cgroup_text_key(cut, length, "max", &value);
		cgroup_text_u64(cut, length, &value);
		test_free(cut);
	}
}

static void test_no_limit_has_two_spellings(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} rows[] = {
		{"max\n", SAMPLE_NO_LIMIT},
		{"9223372036854771712\n", SAMPLE_NO_LIMIT},
		{"9223372036854775807\n", SAMPLE_NO_LIMIT},
		{"4611686018427387904\n", SAMPLE_NO_LIMIT},
		{"4611686018427387903\n", (UINT64_C(1) << 62) - 1},
		{"0\n", 0},
	};
	uint64_t limit = 42;
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(cgroup_text_limit(rows[i].text, strlen(rows[i].text), &limit), 0);
		assert_int_equal(limit, rows[i].bytes);
	}
	assert_int_equal(cgroup_text_limit("none\n", 5, &limit), -EINVAL);
	assert_int_equal(limit, 0);
}

static void test_what_the_kernel_takes_back_is_summed_up(void **state)
{
	static const char v2[] = "anon 5\ninactive_file 1000\nactive_file 50\nfile_dirty 100\n"
				 "file_writeback 200\nslab_reclaimable 4000\n";
	static const char v1[] = "inactive_file 7\ntotal_inactive_file 300\ntotal_dirty 400\n";
	static const char huge[] = "inactive_file 18446744073709551615\n"
				   "active_file 18446744073709551615\n";
	struct wall_sample wall = {.reclaimable_known = false};
	(void)state;
	assert_int_equal(cgroup_text_reclaimable(v2, strlen(v2), CGROUP_V2, &wall), 0);
	assert_true(wall.reclaimable_known);
	assert_int_equal(wall.reclaimable_bytes, 700 + 350 / 2 + 4000);
	assert_int_equal(wall.cache_bytes, 1050 + 4000);
	assert_int_equal(cgroup_text_reclaimable(v1, strlen(v1), CGROUP_V1, &wall), 0);
	assert_int_equal(wall.reclaimable_bytes, 150);
	assert_int_equal(wall.cache_bytes, 300);
	assert_int_equal(cgroup_text_reclaimable(huge, strlen(huge), CGROUP_V2, &wall), 0);
	assert_true(wall.reclaimable_bytes == UINT64_MAX && wall.cache_bytes == UINT64_MAX);
	wall.cache_bytes = 42;
	assert_int_equal(cgroup_text_reclaimable("anon 1\n", 7, CGROUP_V2, &wall), -ENOENT);
	assert_int_equal(wall.cache_bytes, 42);
}

static void test_anonymous_memory_on_the_file_lists_is_told_apart(void **state)
{
	static const char v2[] = "file 900\nshmem 100\ninactive_file 1000\nactive_file 50\n";
	static const char less[] = "file 2000\nshmem 0\ninactive_file 1000\nactive_file 50\n";
	(void)state;
	assert_int_equal(cgroup_text_listed(v2, strlen(v2), CGROUP_V2), 250);
	/* Pages that are locked are on no list. */
	assert_int_equal(cgroup_text_listed(less, strlen(less), CGROUP_V2), 0);
	assert_int_equal(cgroup_text_listed(v2, strlen(v2), CGROUP_V1), 0);
	assert_int_equal(cgroup_text_listed("", 0, CGROUP_V2), 0);
}

static void test_events_of_another_text_change_nothing(void **state)
{
	static const char good[] = "low 0\nhigh 4\nmax 5\noom 1\noom_kill 2\n";
	struct events_sample events = {.known = false, .max = 9};
	(void)state;
	cgroup_text_events("low 0\nhigh 1\n", 13, &events);
	assert_false(events.known);
	assert_int_equal(events.max, 9);
	cgroup_text_events(good, strlen(good), &events);
	assert_true(events.known);
	assert_int_equal(events.high, 4);
	assert_int_equal(events.max, 5);
	assert_int_equal(events.oom, 1);
	assert_int_equal(events.oom_kill, 2);
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
		cmocka_unit_test(test_no_limit_has_two_spellings),
		cmocka_unit_test(test_what_the_kernel_takes_back_is_summed_up),
		cmocka_unit_test(test_anonymous_memory_on_the_file_lists_is_told_apart),
		cmocka_unit_test(test_events_of_another_text_change_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
