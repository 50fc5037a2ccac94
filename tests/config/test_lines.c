#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "config/lines.h"

static struct line line;

/* The one line of that text, which is copied so that a sanitizer sees reads past it. */
static enum line_kind kind_of(const char *text, size_t length)
{
	struct lines lines;
	char *copy = malloc(length + 1);
	enum line_kind kind;

	assert_non_null(copy);
	memcpy(copy, text, length);
	copy = realloc(copy, length > 0 ? length : 1);
	assert_non_null(copy);
	lines_init(&lines, copy, length);
	lines_take(&lines, &line);
	kind = line.kind;
	free(copy);
	return kind;
}

static enum line_kind kind(const char *text)
{
	return kind_of(text, strlen(text));
}

static void test_lines_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		enum line_kind kind;
	} rows[] = {
		{"", LINE_END},
		{"\n", LINE_BLANK},
		{" \t\r\n", LINE_BLANK},
		{"# x = 1\n", LINE_BLANK},
		{"; x = 1", LINE_BLANK},
		{"  # indented\n", LINE_BLANK},
		{"\t;[x", LINE_BLANK},
		{"[a]", LINE_SECTION},
		{"[a] \t\r\n", LINE_SECTION},
		{"[]", LINE_SECTION},
		{"a=1", LINE_KEY},
		{"a:1", LINE_KEY},
		{"a =", LINE_KEY},
		{"a b = [x]", LINE_KEY},
		{" a=1", LINE_BAD},
		{"\ta=1", LINE_BAD},
		{" [a]", LINE_BAD},
		{"[a", LINE_BAD},
		{"[a]b", LINE_BAD},
		{"[a] ; b", LINE_BAD},
		{"a", LINE_BAD},
		{"=1", LINE_BAD},
		{" =1", LINE_BAD},
		{"a=\x01", LINE_BAD},
		{"a=\x7F", LINE_BAD},
		{"a=\x0B", LINE_BAD},
		{"a=1\rb=2", LINE_BAD},
		{"# \x01", LINE_BAD},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (kind(rows[i].text) != rows[i].kind)
			fail_msg("\"%s\" is kind %d: %s", rows[i].text, line.kind, line.problem);
}

static void test_a_value_is_all_that_follows_the_first_separator(void **state)
{
	static const struct {
		const char *text;
		const char *value;
	} rows[] = {
		{"a=1\n", "1"},
		{"a = 1 \t\r\n", "1"},
		{"a: b=c", "b=c"},
		{"a=b:c", "b:c"},
		{"a=", ""},
		{"a = x ; y # z", "x ; y # z"},
		{"a=\tx\ty", "x\ty"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(kind(rows[i].text), LINE_KEY);
		assert_string_equal(line.value, rows[i].value);
	}
}

static void test_a_line_may_have_8192_bytes_and_not_one_more(void **state)
{
	static char text[LINES_BYTES_MAX + 16];

	(void)state;
	memset(text, 'x', sizeof text);
	text[1] = '=';
	assert_int_equal(kind_of(text, LINES_BYTES_MAX), LINE_KEY);
	assert_int_equal(strlen(line.value), LINES_BYTES_MAX - 2);
	assert_int_equal(kind_of(text, LINES_BYTES_MAX + 1), LINE_BAD);
	assert_string_equal(line.problem, "the line is too long: expected at most 8192 bytes");
	/* What ends the line does not count. */
	memcpy(text + LINES_BYTES_MAX, " \r\n", 4);
	assert_int_equal(kind_of(text, LINES_BYTES_MAX + 3), LINE_KEY);
	/* Nor does it help a comment. */
	memset(text, '#', sizeof text);
	assert_int_equal(kind_of(text, LINES_BYTES_MAX + 1), LINE_BAD);
}

static void test_keys_and_sections_have_a_longest(void **state)
{
	char text[128];

	(void)state;
	memset(text, 'k', sizeof text);
	text[48] = '=';
	assert_int_equal(kind_of(text, 60), LINE_KEY);
	text[48] = 'k';
	text[49] = '=';
	assert_int_equal(kind_of(text, 60), LINE_BAD);
	assert_string_equal(line.problem, "the key is too long: expected at most 48 characters");
	text[49] = 'k';
	text[0] = '[';
	text[65] = ']';
	assert_int_equal(kind_of(text, 66), LINE_SECTION);
	assert_int_equal(strlen(line.section), 64);
	text[65] = 'k';
	text[66] = ']';
	assert_int_equal(kind_of(text, 67), LINE_BAD);
	assert_string_equal(
		line.problem, "the section's name is too long: expected at most 48 characters");
}

static void test_nul_bytes_are_refused_wherever_they_stand(void **state)
{
	static const struct {
		const char *text;
		size_t length;
	} rows[] = {{"a=\0b", 4}, {"a=b\0", 4}, {"\0", 1}, {"# \0", 3}, {"a=b\0 \r\n", 7}};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(kind_of(rows[i].text, rows[i].length), LINE_BAD);
		assert_string_equal(line.problem, "a NUL byte in the line: expected text");
	}
}

static void test_lines_are_counted_and_the_last_needs_no_end(void **state)
{
	static const char text[] = "\xEF\xBB\xBF[a]\r\n\n\nb=1\nc=2";
	static const struct {
		enum line_kind kind;
		unsigned number;
	} wanted[] = {{LINE_SECTION, 1}, {LINE_BLANK, 2}, {LINE_BLANK, 3}, {LINE_KEY, 4},
		{LINE_KEY, 5}, {LINE_END, 5}, {LINE_END, 5}};
	struct lines lines;

	(void)state;
	lines_init(&lines, text, sizeof text - 1);
	for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
		lines_take(&lines, &line);
		assert_int_equal(line.kind, wanted[i].kind);
		assert_int_equal(lines.number, wanted[i].number);
	}
}

static void test_a_refused_section_still_starts_one(void **state)
{
	(void)state;
	assert_int_equal(kind("[a"), LINE_BAD);
	assert_true(line.starts_section);
	assert_int_equal(kind("a"), LINE_BAD);
	assert_false(line.starts_section);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_are_told_apart),
		cmocka_unit_test(test_a_value_is_all_that_follows_the_first_separator),
		cmocka_unit_test(test_a_line_may_have_8192_bytes_and_not_one_more),
		cmocka_unit_test(test_keys_and_sections_have_a_longest),
		cmocka_unit_test(test_nul_bytes_are_refused_wherever_they_stand),
		cmocka_unit_test(test_lines_are_counted_and_the_last_needs_no_end),
		cmocka_unit_test(test_a_refused_section_still_starts_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
