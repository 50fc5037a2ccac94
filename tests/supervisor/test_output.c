#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/base/output.h"
#include "tests/support/patience.h"
#include "tests/support/said.h"

#define STOP_MS 60000U

static char folder[64];
static char path[80];
static char other[80];

static int setup(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/spillway-test.XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/log", folder);
	snprintf(other, sizeof other, "%s/other", folder);
	said_begin();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	output_stop_all(STOP_MS);
	said_end();
	unlink(path);
	unlink(other);
	assert_int_equal(rmdir(folder), 0);
	return 0;
}

static bool holds(const char *name, const char *wanted)
{
	char text[256];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
	if (fd >= 0)
		close(fd);
	if (length < 0)
		return false;
	text[length] = '\0';
	return strcmp(text, wanted) == 0;
}

/* Whatever else it holds. */
static bool ends_with(const char *name, const char *wanted)
{
	char text[1024];
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd >= 0 ? read(fd, text, sizeof text) : -1;
	ssize_t least = (ssize_t)strlen(wanted);
	if (fd >= 0)
		close(fd);
	return length >= least && memcmp(text + length - least, wanted, (size_t)least) == 0;
}

static struct output *begin(const char *name)
{
	const struct output_file file = {.path = name, .max_bytes = 0};
	struct output *output = NULL;
	assert_int_equal(output_new("web: stdout", &file, false, &output), 0);
	return output;
}

static void put(const struct output *output, const char *text)
{
	ssize_t length = (ssize_t)strlen(text);
	assert_int_equal(write(output_fd(output), text, (size_t)length), length);
}

static void test_what_is_written_lands_in_the_file(void **state)
{
	struct output *output = begin(path);
	(void)state;
	assert_true(WAIT_UNTIL(60, holds(path, "")));
	put(output, "one\n");
	put(output, "two\n");
	assert_true(WAIT_UNTIL(60, holds(path, "one\ntwo\n")));
	output_free(output);
}

static void test_the_end_writes_what_is_left(void **state)
{
	static char block[60000];
	struct output *output = begin(path);
	int copy = dup(output_fd(output));
	struct stat status;
	(void)state;
	memset(block, 'x', sizeof block);
	assert_int_equal(write(copy, block, sizeof block), sizeof block);
	output_free(output);
	/* Somebody still has the pipe: that is not waited for. */
	output_stop_all(STOP_MS);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, sizeof block);
	close(copy);
	/* And all can begin again. */
	output = begin(other);
	put(output, "again\n");
	output_free(output);
	output_stop_all(STOP_MS);
	assert_true(holds(other, "again\n"));
}

static void test_a_file_can_be_another(void **state)
{
	struct output *output = begin(path);
	const struct output_file file = {.path = other};
	(void)state;
	put(output, "one\n");
	assert_true(WAIT_UNTIL(60, holds(path, "one\n")));
	assert_int_equal(output_set(output, &file), 0);
	assert_true(WAIT_UNTIL(60, holds(other, "")));
	put(output, "two\n");
	assert_true(WAIT_UNTIL(60, holds(other, "two\n")));
	assert_true(holds(path, "one\n"));
	output_free(output);
}

static void test_a_file_that_cannot_be_renamed_is_said_once(void **state)
{
	const struct output_file file = {.path = path, .max_bytes = 8, .backups = 1};
	struct output *output = NULL;
	char backup[96];
	char within[112];
	(void)state;
	/* A folder with something in it is no place for a file. */
	snprintf(backup, sizeof backup, "%s.1", path);
	snprintf(within, sizeof within, "%s/x", backup);
	assert_int_equal(mkdir(backup, 0700), 0);
	assert_int_equal(mkdir(within, 0700), 0);
	assert_int_equal(output_new("web: stdout", &file, false, &output), 0);
	put(output, "one 456\ntwo 456\nthree 6\nfour 56\n");
	assert_true(WAIT_UNTIL(60, holds(path, "one 456\ntwo 456\nthree 6\nfour 56\n")));
	put(output, "five 56\n");
	assert_true(WAIT_UNTIL(60, ends_with(path, "five 56\n")));
	assert_int_equal(said("log: cannot be rotated at 8 bytes: "), 1);
	assert_int_equal(rmdir(within), 0);
	assert_int_equal(rmdir(backup), 0);
	put(output, "six 456\n");
	assert_true(WAIT_UNTIL(60, holds(path, "six 456\n")));
	assert_true(WAIT_UNTIL(60, said("log: rotated again") == 1));
	output_free(output);
	unlink(backup);
}

static void test_renamed_files_are_let_go(void **state)
{
	struct output *output = begin(path);
	(void)state;
	put(output, "one\n");
	assert_true(WAIT_UNTIL(60, holds(path, "one\n")));
	assert_int_equal(rename(path, other), 0);
	output_reopen_all();
	assert_true(WAIT_UNTIL(60, holds(path, "")));
	put(output, "two\n");
	assert_true(WAIT_UNTIL(60, holds(path, "two\n")));
	assert_true(holds(other, "one\n"));
	output_free(output);
}

static void test_a_full_disk_is_said_and_stops_nobody(void **state)
{
	struct output *output = begin("/dev/full");
	const struct output_file file = {.path = path};
	(void)state;
	for (int i = 0; i < 100; i++) {
		put(output, "lost\n");
		assert_true(WAIT_UNTIL(
			60, said("web: stdout: /dev/full: No space left on device: what is written "
				 "is lost") == 1));
	}
	assert_int_equal(output_set(output, &file), 0);
	/* What still waited goes there as well. */
	assert_true(WAIT_UNTIL(60, access(path, F_OK) == 0));
	put(output, "kept\n");
	assert_true(WAIT_UNTIL(60, said("written again") == 1));
	assert_true(WAIT_UNTIL(60, ends_with(path, "kept\n")));
	assert_int_equal(said("No space left"), 1);
	output_free(output);
	output_stop_all(STOP_MS);
}

static void test_more_than_the_queue_holds_is_not_lost(void **state)
{
	static char block[32 << 10];
	struct output *output = begin(path);
	struct stat status;
	size_t total = 0;
	(void)state;
	memset(block, 'x', sizeof block);
	for (int i = 0; i < 64; i++) {
		assert_int_equal(write(output_fd(output), block, sizeof block), sizeof block);
		total += sizeof block;
	}
	output_free(output);
	output_stop_all(STOP_MS);
	assert_int_equal(stat(path, &status), 0);
	assert_int_equal(status.st_size, total);
}

static void test_a_pipe_that_survives_can_be_taken_over(void **state)
{
	const struct output_file file = {.path = path};
	struct output *output;
	char name[64];
	(void)state;
	assert_int_equal(output_new("web: stdout", &file, true, &output), 0);
	/* The process has it, and we are gone. */
	int process = dup(output_fd(output));
	output_free(output);
	output_stop_all(STOP_MS);
	assert_int_equal(write(process, "alone\n", 6), 6);
	snprintf(name, sizeof name, "/proc/self/fd/%d", process);
	int read_fd = open(name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(read_fd >= 0);
	assert_int_equal(output_new_from("web: stdout", &file, read_fd, &output), 0);
	assert_int_equal(write(process, "again\n", 6), 6);
	close(process);
	put(output, "next\n");
	assert_true(WAIT_UNTIL(60, holds(path, "alone\nagain\nnext\n")));
	output_free(output);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_what_is_written_lands_in_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_end_writes_what_is_left, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_can_be_another, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_file_that_cannot_be_renamed_is_said_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_renamed_files_are_let_go, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_full_disk_is_said_and_stops_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_more_than_the_queue_holds_is_not_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_pipe_that_survives_can_be_taken_over, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
