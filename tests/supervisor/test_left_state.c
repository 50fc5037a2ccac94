/* What is noted for a later supervisor: written, read, and refused where it is none. */
#include "supervisor/fleet/left_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define TOKEN "0123456789abcdef0123456789abcdef"
#define LINK "3:200:1:17:201:1:18:spillway-1-abc:" TOKEN
#define HEAD "spillway 1\nboot 1-2\npids 42\nlistener spillway-1-abc\nbase /sys/fs/cgroup/a b\n"

static int parse(const char *text, struct left_state *state)
{
	char *copy = strdup(text);
	assert_non_null(copy);
	int error = left_state_parse(copy, state);
	free(copy);
	return error;
}

static void test_what_is_written_is_read(void **state)
{
	static const char text[] = HEAD "service web 17 99 18446744073709551615 web " LINK " " LINK
					"\nservice db 18 100 7 - - -\n";
	struct left_state read;
	char *written = NULL;
	size_t length = 0;
	(void)state;
	assert_int_equal(parse(text, &read), 0);
	assert_string_equal(read.base, "/sys/fs/cgroup/a b");
	assert_int_equal(read.count, 2);
	assert_int_equal(read.service[0].pid, 17);
	assert_int_equal(read.service[0].start_ticks, 99);
	assert_string_equal(read.service[0].leaf, "web");
	assert_string_equal(left_state_token(&read.service[0]), TOKEN);
	assert_string_equal(read.service[1].leaf, "");
	assert_null(left_state_token(&read.service[1]));
	FILE *stream = open_memstream(&written, &length);
	assert_non_null(stream);
	left_state_format(&read, stream);
	fclose(stream);
	assert_string_equal(written, text);
	free(written);
	left_state_free(&read);
}

static void test_anything_else_is_refused_as_a_whole(void **state)
{
	static const char *const texts[] = {"", "\n", "spillway 2\n", "spillway 1\nboot\n",
		HEAD "service\n", HEAD "service web\n", HEAD "service web 1 9 9 - - -\n",
		HEAD "service web 0 9 9 - - -\n", HEAD "service web -5 9 9 - - -\n",
		HEAD "service web 99999999999 9 9 - - -\n", HEAD "service web 5x 9 9 - - -\n",
		HEAD "service web 5 9 9 - - - -\n", HEAD "service web 5 9 9 - -\n",
		HEAD "service  5 9 9 - - -\n", HEAD "service web 5 18446744073709551616 9 - - -\n",
		HEAD "other\n", HEAD "\n\n",
		HEAD "service 012345678901234567890123456789012345678901234567890123456789012345 "
		     "5 9 9 - - -\n"};
	struct left_state read;
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		if (parse(texts[i], &read) != -EINVAL)
			fail_msg("text %zu was taken", i);
		assert_int_equal(read.count, 0);
		assert_null(read.service);
	}
}

static void test_no_cut_off_text_is_more_than_it_was(void **state)
{
	static const char text[] = HEAD "service web 17 99 5 web " LINK " " LINK "\n";
	char cut[sizeof text];
	struct left_state read;
	(void)state;
	for (size_t i = 0; i < sizeof text; i++) {
		memcpy(cut, text, i);
		cut[i] = '\0';
		if (parse(cut, &read) == 0)
			assert_true(read.count <= 1);
		left_state_free(&read);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_anything_else_is_refused_as_a_whole),
		cmocka_unit_test(test_no_cut_off_text_is_more_than_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
