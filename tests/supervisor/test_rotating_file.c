#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/base/rotating_file.h"

static char folder[64];
static char path[80];

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/spillway-test.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/log", folder);
	return 0;
}

static int teardown(void **state)
{
	char name[96];
	(void)state;
	unlink(path);
	for (int i = 1; i < 5; i++) {
		snprintf(name, sizeof name, "%s.%d", path, i);
		unlink(name);
	}
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

/* What that file holds; "-": it is not there.  number 0 is the newest. */
static const char *text_of(int number)
{
	static char text[256];
	char name[96];
	snprintf(name, sizeof name, number == 0 ? "%s" : "%s.%d", path, number);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return "-";
	ssize_t length = read(fd, text, sizeof text - 1);
	assert_true(length >= 0);
	text[length] = '\0';
	close(fd);
	return text;
}

static void put(struct rotating_file *file, const char *text)
{
	size_t written;
	assert_int_equal(rotating_file_write(file, text, strlen(text), &written), 0);
	assert_int_equal(written, strlen(text));
}

static void test_it_is_rotated_between_lines(void **state)
{
	struct rotating_file file;
	(void)state;
	assert_int_equal(rotating_file_init(&file, path, 10, 2), 0);
	put(&file, "one\ntwo\nthree\n");
	assert_string_equal(text_of(0), "three\n");
	assert_string_equal(text_of(1), "one\ntwo\n");
	assert_string_equal(text_of(2), "-");
	put(&file, "fo");
	put(&file, "ur\nfive\nsix\n");
	assert_string_equal(text_of(0), "five\nsix\n");
	/* It came in two pieces, and was not cut. */
	assert_string_equal(text_of(1), "three\nfour\n");
	assert_string_equal(text_of(2), "one\ntwo\n");
	assert_string_equal(text_of(3), "-");
	rotating_file_fini(&file);
}

static void test_what_has_no_end_is_cut(void **state)
{
	static char endless[10001];
	struct rotating_file file;
	struct stat status;
	(void)state;
	memset(endless, 'x', sizeof endless - 1);
	assert_int_equal(rotating_file_init(&file, path, 4, 1), 0);
	put(&file, "abcdefghij\nk\n");
	assert_string_equal(text_of(0), "k\n");
	assert_string_equal(text_of(1), "abcdefghij\n");
	file.max_bytes = 5000;
	put(&file, endless);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, 5000);
	rotating_file_fini(&file);
}

static void test_without_backups_it_begins_anew(void **state)
{
	struct rotating_file file;
	(void)state;
	assert_int_equal(rotating_file_init(&file, path, 4, 0), 0);
	put(&file, "one\ntwo\n");
	assert_string_equal(text_of(0), "two\n");
	assert_string_equal(text_of(1), "-");
	rotating_file_fini(&file);
}

static void test_without_a_size_it_grows(void **state)
{
	struct rotating_file file;
	(void)state;
	assert_int_equal(rotating_file_init(&file, path, 0, 3), 0);
	put(&file, "one\n");
	rotating_file_fini(&file);
	/* And what was there stays. */
	assert_int_equal(rotating_file_init(&file, path, 0, 3), 0);
	put(&file, "two\n");
	assert_string_equal(text_of(0), "one\ntwo\n");
	rotating_file_fini(&file);
}

static void test_one_of_ours_follows_nothing(void **state)
{
	struct rotating_file file;
	char victim[96];
	(void)state;
	snprintf(victim, sizeof victim, "%s.1", path);
	assert_int_equal(close(open(victim, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
	assert_int_equal(symlink(victim, path), 0);
	assert_int_equal(rotating_file_init(&file, path, 0, 0), 0);
	file.is_ours = true;
	put(&file, "one\n");
	assert_string_equal(text_of(1), "");
	assert_string_equal(text_of(0), "one\n");
	/* Opened again it goes on. */
	rotating_file_close(&file);
	put(&file, "two\n");
	assert_string_equal(text_of(0), "one\ntwo\n");
	rotating_file_fini(&file);
}

static void test_what_others_did_to_it_is_seen(void **state)
{
	struct rotating_file file;
	char moved[96];
	(void)state;
	assert_int_equal(rotating_file_init(&file, path, 10, 1), 0);
	put(&file, "one\ntwo\n");
	/* Made shorter: there is room again. */
	assert_int_equal(truncate(path, 0), 0);
	put(&file, "three\n");
	assert_string_equal(text_of(0), "three\n");
	assert_string_equal(text_of(1), "-");
	/* Rotated by somebody else. */
	snprintf(moved, sizeof moved, "%s.4", path);
	assert_int_equal(rename(path, moved), 0);
	put(&file, "x\n");
	assert_string_equal(text_of(0), "x\n");
	assert_string_equal(text_of(4), "three\n");
	rotating_file_fini(&file);
	/* One without a limit goes on with the file that it has, until it is told. */
	assert_int_equal(rotating_file_init(&file, path, 0, 1), 0);
	put(&file, "y\n");
	assert_int_equal(rename(path, moved), 0);
	put(&file, "z\n");
	assert_string_equal(text_of(0), "-");
	rotating_file_close(&file);
	put(&file, "0\n");
	assert_string_equal(text_of(0), "0\n");
	assert_string_equal(text_of(4), "x\ny\nz\n");
	rotating_file_fini(&file);
}

static void test_what_fails_is_tried_again(void **state)
{
	struct rotating_file file;
	size_t written;
	(void)state;
	assert_int_equal(rotating_file_init(&file, "/dev/full", 10, 1), 0);
	assert_int_equal(rotating_file_write(&file, "one\n", 4, &written), -ENOSPC);
	assert_int_equal(written, 0);
	rotating_file_fini(&file);
	char below[96];
	snprintf(below, sizeof below, "%s/log", path);
	assert_int_equal(rotating_file_init(&file, below, 10, 1), 0);
	assert_int_equal(rotating_file_write(&file, "one\n", 4, &written), -ENOENT);
	assert_int_equal(mkdir(path, 0700), 0);
	put(&file, "two\n");
	unlink(below);
	rmdir(path);
	rotating_file_fini(&file);
}

static void test_a_fifo_is_not_waited_for(void **state)
{
	struct rotating_file file;
	size_t written;
	char text[8] = "";
	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(rotating_file_init(&file, path, 2, 1), 0);
	assert_int_equal(rotating_file_write(&file, "one\n", 4, &written), -ENXIO);
	int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(reader >= 0);
	put(&file, "one\n");
	assert_int_equal(read(reader, text, sizeof text), 4);
	assert_string_equal(text, "one\n");
	close(reader);
	rotating_file_fini(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_it_is_rotated_between_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_has_no_end_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_without_backups_it_begins_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_a_size_it_grows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_of_ours_follows_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_others_did_to_it_is_seen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_fails_is_tried_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_fifo_is_not_waited_for, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
