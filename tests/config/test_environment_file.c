/* Files of variables: what each line comes to, and what is wrong with it. */
#include "config/environment_file.h"

#include "config/command.h"
#include "tests/config/loading.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_lines_are_read_as_systemd_reads_them(void **state)
{
	static const struct {
		const char *text;
		const char *first; /* NULL = nothing */
	} rows[] = {
		{"A=b", "A=b"},
		{"A=b\r\n", "A=b"},
		{"  A=b c  \n", "A=b c"},
		{"export A=b", "A=b"},
		{"export   A=b", "A=b"},
		{"A=", "A="},
		{"A= ", "A="},
		{"A=\"b c\"", "A=b c"},
		{"A=\" \\\"b\\\\ $x \"", "A= \"b\\ $x "},
		{"A='\"b\\'", "A=\"b\\"},
		{"A=b # no comment", "A=b # no comment"},
		{"_a9=$B", "_a9=$B"},
		{"A=b=c", "A=b=c"},
		{"# A=b\n; A=b\n\n   \n", NULL},
		{"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char why[ENVIRONMENT_FILE_WHY_BYTES] = "";
		char **pairs = NULL;
		assert_int_equal(environment_file_parse(
					 "/f", rows[i].text, strlen(rows[i].text), &pairs, why),
			0);
		if (rows[i].first == NULL)
			assert_null(pairs[0]);
		else
			assert_string_equal(pairs[0], rows[i].first);
		command_free(pairs);
	}
}

static void test_what_is_none_is_said_with_its_line(void **state)
{
	static const struct {
		const char *text;
		size_t length;
		const char *why;
	} rows[] = {
#define ROW(text, why) {text, sizeof(text) - 1, why}
		ROW("A", "/f:1: not understood: expected NAME=value"),
		ROW("A=1\n\nB C=2\n", "/f:3: not understood: expected NAME=value"),
		ROW("=1", "/f:1: not understood: expected NAME=value"),
		ROW("1A=1", "/f:1: not understood: expected NAME=value"),
		ROW("export", "/f:1: not understood: expected NAME=value"),
		ROW("A =1", "/f:1: not understood: expected NAME=value"),
		ROW("A=\"b", "/f:1: a quote without its end, or with something behind it: expected "
			     "NAME=\"value\""),
		ROW("A='b'c", "/f:1: a quote without its end, or with something behind it: "
			      "expected NAME=\"value\""),
		ROW("A=\"", "/f:1: a quote without its end, or with something behind it: expected "
			    "NAME=\"value\""),
		ROW("A=\"\\",
			"/f:1: a quote without its end, or with something behind it: expected "
			"NAME=\"value\""),
		ROW("A=1\0", "/f:1: a NUL: expected text"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char why[ENVIRONMENT_FILE_WHY_BYTES] = "";
		char **pairs = NULL;
		assert_int_equal(
			environment_file_parse("/f", rows[i].text, rows[i].length, &pairs, why),
			-EINVAL);
		assert_string_equal(why, rows[i].why);
	}
}

static void test_nothing_but_a_file_of_some_size_is_waited_for(void **state)
{
	char folder[] = "/tmp/spillway-environment-XXXXXX";
	char path[64];
	char why[ENVIRONMENT_FILE_WHY_BYTES];
	char **pairs = NULL;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/f", folder);
	assert_int_equal(environment_file_read(path, &pairs, why), -ENOENT);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(environment_file_read(path, &pairs, why), -ENOTSUP);
	assert_non_null(strstr(why, "Not a regular file"));
	unlink(path);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(ftruncate(fileno(file), (off_t)1 << 40), 0);
	fclose(file);
	assert_int_equal(environment_file_read(path, &pairs, why), -EFBIG);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_are_read_as_systemd_reads_them),
		cmocka_unit_test(test_what_is_none_is_said_with_its_line),
		cmocka_unit_test(test_nothing_but_a_file_of_some_size_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
