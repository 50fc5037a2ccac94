#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "config/names.h"

#define CHARS_48 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
#define CHARS_49 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"

static void test_names_are_what_can_name_a_directory(void **state)
{
	static const char *const good[] = {"a", "web-1", "A.b_C-9", "...", "-", "1", CHARS_48};
	static const char *const bad[] = {
		"", ".", "..", "a b", "a/b", "a:b", "a]", " a", "a\t", "\xC3\xA9", CHARS_49};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		if (!names_valid(good[i]))
			fail_msg("refused: %s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		if (names_valid(bad[i]))
			fail_msg("taken: %s", bad[i]);
}

static void test_distance_counts_slips_of_the_pen(void **state)
{
	static const struct {
		const char *a;
		const char *b;
		unsigned distance;
	} rows[] = {
		{"", "", 0},
		{"", "abc", 3},
		{"command", "command", 0},
		{"comand", "command", 1},
		{"commmand", "command", 1},
		{"conmand", "command", 1},
		{"commnad", "command", 1},
		{"COMMAND", "command", 0},
		{"kitten", "sitting", 3},
		{"ca", "abc", 3},
		{CHARS_48, CHARS_48 "xyz", 0},
		{CHARS_48, "", 48},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(names_distance(rows[i].a, rows[i].b), rows[i].distance);
		assert_int_equal(names_distance(rows[i].b, rows[i].a), rows[i].distance);
	}
}

static const char *nearest(const char *wanted)
{
	static const char *const known[] = {
		"command", "directory", "user", "memory_max", "memory_high", "stopsignal"};
	struct names_nearest nearest = {.wanted = wanted};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		names_offer(&nearest, known[i]);
	return nearest.best;
}

static void test_the_nearest_name_is_offered_only_when_it_is_near(void **state)
{
	(void)state;
	assert_string_equal(nearest("comand"), "command");
	assert_string_equal(nearest("memory_hihg"), "memory_high");
	assert_string_equal(nearest("memorymax"), "memory_max");
	assert_string_equal(nearest("Stop_Signal"), "stopsignal");
	assert_string_equal(nearest("usr"), "user");
	assert_null(nearest("x"));
	assert_null(nearest(""));
	assert_null(nearest("environment"));
	assert_null(nearest("startretries"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_are_what_can_name_a_directory),
		cmocka_unit_test(test_distance_counts_slips_of_the_pen),
		cmocka_unit_test(test_the_nearest_name_is_offered_only_when_it_is_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
