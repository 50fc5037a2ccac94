#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/command.h"

#define WORDS_MAX 6

struct row {
	const char *text;
	const char *words[WORDS_MAX + 1];
};

static void expect_list(const char *text, char **list, const char *const *words)
{
	size_t i = 0;

	for (; list[i] != NULL && words[i] != NULL; i++)
		if (strcmp(list[i], words[i]) != 0)
			fail_msg("%s: word %zu is <%s>, expected <%s>", text, i, list[i], words[i]);
	if (list[i] != NULL || words[i] != NULL)
		fail_msg("%s: too %s words", text, list[i] != NULL ? "many" : "few");
}

static void test_commands_split_into_the_words_a_shell_makes(void **state)
{
	static const struct row rows[] = {
		{"a", {"a"}},
		{"  a \t b  ", {"a", "b"}},
		{"redis-server --port 7001", {"redis-server", "--port", "7001"}},
		{"sh -c 'echo a ; echo b'", {"sh", "-c", "echo a ; echo b"}},
		{"sh -c \"echo a ; echo b\"", {"sh", "-c", "echo a ; echo b"}},
		{"a ''", {"a", ""}},
		{"a \"\" b", {"a", "", "b"}},
		{"a b'c'\"d\"\\e", {"a", "bcde"}},
		{"a b\\ c", {"a", "b c"}},
		{"a \\\\", {"a", "\\"}},
		{"a 'it'\\''s'", {"a", "it's"}},
		{"a '\\'", {"a", "\\"}},
		{"a \"\\\"\\\\\\$\\`\\n\"", {"a", "\"\\$`\\n"}},
		{"a \"'\" '\"'", {"a", "'", "\""}},
		{"a $HOME ~ * {x,y}", {"a", "$HOME", "~", "*", "{x,y}"}},
		{"a x#y;z 2>&1 http://h/?a&b", {"a", "x#y;z", "2>&1", "http://h/?a&b"}},
		{"find . -exec rm {} \\;", {"find", ".", "-exec", "rm", "{}", ";"}},
		{"a ';' '#' \"|\" \\&", {"a", ";", "#", "|", "&"}},
		{"\xC3\xA9t\xC3\xA9 \xFF", {"\xC3\xA9t\xC3\xA9", "\xFF"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *why = NULL;
		char **words = NULL;
		if (command_split(rows[i].text, &words, &why) != 0)
			fail_msg("%s: %s", rows[i].text, why);
		expect_list(rows[i].text, words, rows[i].words);
		command_free(words);
	}
}

static const char unquoted[] = "a word that starts with one of ; # | & < > and is not quoted "
			       "(no shell reads this, and a comment needs a line of its own)";

static void test_commands_that_a_shell_would_not_split_so_are_refused(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} rows[] = {
		{"", "no program to run"},
		{" \t ", "no program to run"},
		{"''", "no program to run"},
		{"\"\" a", "no program to run"},
		{"a 'b", "a ' without its second '"},
		{"a '", "a ' without its second '"},
		{"a \"b", "a \" without its second \""},
		{"a \"b\\\"", "a \" without its second \""},
		{"a \"b\\", "a \" without its second \""},
		{"a \\", "a backslash with nothing behind it"},
		{"a ; b", unquoted},
		{"a # b", unquoted},
		{"a | b", unquoted},
		{"a && b", unquoted},
		{"a > b", unquoted},
		{"a <b", unquoted},
		{";a", unquoted},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *why = NULL;
		char **words = NULL;
		if (command_split(rows[i].text, &words, &why) != -EINVAL)
			fail_msg("%s: not refused", rows[i].text);
		assert_string_equal(why, rows[i].why);
		assert_null(words);
	}
}

static void test_environments_are_read_as_supervisord_writes_them(void **state)
{
	static const struct row rows[] = {
		{"", {NULL}},
		{"A=1", {"A=1"}},
		{"A=\"x\",B=2", {"A=x", "B=2"}},
		{"A='x,y' , B=\"p q\" ,C=3,", {"A=x,y", "B=p q", "C=3"}},
		{"A=,B=\"\"", {"A=", "B="}},
		{"_a1=x=y", {"_a1=x=y"}},
		{"PATH=/usr/bin:/bin,X=%d;#", {"PATH=/usr/bin:/bin", "X=%d;#"}},
		{"A=\"say \\\"hi\\\"\"", {"A=say \"hi\""}},
		{"A=a\\,b", {"A=a,b"}},
		{"A=1,AB=2,AA=3", {"A=1", "AB=2", "AA=3"}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *why = NULL;
		char **pairs = NULL;
		if (command_environment(rows[i].text, &pairs, &why) != 0)
			fail_msg("%s: %s", rows[i].text, why);
		expect_list(rows[i].text, pairs, rows[i].words);
		command_free(pairs);
	}
}

static const char no_name[] =
	"no name (letters, digits, _, not starting with a digit) where one must be";
static const char text_behind[] =
	"text behind a value: a value with blanks must be quoted, and a comma must follow it";

static void test_what_is_no_environment_is_refused(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} rows[] = {
		{"=1", no_name},
		{"1A=x", no_name},
		{",", no_name},
		{"A=1,,B=2", no_name},
		{"\"A\"=1", no_name},
		{"A", "a name without = behind it"},
		{"A =1", "a name without = behind it"},
		{"A-B=1", "a name without = behind it"},
		{"A=1,B", "a name without = behind it"},
		{"A=1 B=2", text_behind},
		{"A=x y", text_behind},
		{"A=\"x\" \"y\"", text_behind},
		{"A=\"x", "a \" without its second \""},
		{"A='x", "a ' without its second '"},
		{"A=x\\", "a backslash with nothing behind it"},
		{"A=1,B=2,A=3", "the same name twice"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const char *why = NULL;
		char **pairs = NULL;
		if (command_environment(rows[i].text, &pairs, &why) != -EINVAL)
			fail_msg("%s: not refused", rows[i].text);
		assert_string_equal(why, rows[i].why);
		assert_null(pairs);
	}
}

static void test_as_many_words_fit_as_a_text_can_have(void **state)
{
	enum { WORDS = 4096 };
	char text[2 * WORDS + 1];
	const char *why;
	char **words;

	(void)state;
	for (size_t i = 0; i < WORDS; i++)
		memcpy(text + 2 * i, "a ", 3);
	text[2 * WORDS - 1] = '\0';
	assert_int_equal(command_split(text, &words, &why), 0);
	assert_string_equal(words[WORDS - 1], "a");
	assert_null(words[WORDS]);
	command_free(words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands_split_into_the_words_a_shell_makes),
		cmocka_unit_test(test_commands_that_a_shell_would_not_split_so_are_refused),
		cmocka_unit_test(test_environments_are_read_as_supervisord_writes_them),
		cmocka_unit_test(test_what_is_no_environment_is_refused),
		cmocka_unit_test(test_as_many_words_fit_as_a_text_can_have),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
