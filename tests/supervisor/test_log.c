#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "tests/support/said.h"

static char text[8192];

/* Stderr is a pipe while the lines are written. */
struct capture {
	int saved;
	int read_end;
};

static struct capture capture_begin(void)
{
	int ends[2];
	struct capture capture = {.saved = dup(STDERR_FILENO)};
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	capture.read_end = ends[0];
	return capture;
}

static void capture_end(struct capture capture)
{
	dup2(capture.saved, STDERR_FILENO);
	close(capture.saved);
	ssize_t got = read(capture.read_end, text, sizeof text - 1);
	text[got > 0 ? got : 0] = '\0';
	close(capture.read_end);
}

static bool matches(const char *pattern)
{
	regex_t compiled;
	assert_int_equal(regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB), 0);
	bool found = regexec(&compiled, text, 0, NULL, 0) == 0;
	regfree(&compiled);
	return found;
}

static void test_a_line_has_time_level_and_text(void **state)
{
	(void)state;
	struct capture capture = capture_begin();
	log_warn("%s: %d left", "web", 3);
	capture_end(capture);
	assert_true(matches("^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "
			    "warn spillway: web: 3 left\n$"));
}

/* By the clock that the log reads: time() lags behind it by up to a tick. */
static void date_now(char date[32])
{
	struct timespec now;
	struct tm calendar;

	clock_gettime(CLOCK_REALTIME, &now);
	strftime(date, 32, "%Y-%m-%dT%H:%M:%S", gmtime_r(&now.tv_sec, &calendar));
}

static void test_the_date_is_that_of_the_calendar(void **state)
{
	(void)state;
	char before[32];
	char after[32];
	struct capture capture = capture_begin();
	date_now(before);
	log_info("x");
	date_now(after);
	capture_end(capture);
	assert_true(strncmp(text, before, strlen(before)) >= 0);
	assert_true(strncmp(text, after, strlen(after)) <= 0);
}

static void test_what_is_above_the_level_is_left_out(void **state)
{
	(void)state;
	struct capture capture = capture_begin();
	log_debug("one");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("two");
	log_error("three");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("four");
	log_set_level(LOG_LEVEL_INFO);
	capture_end(capture);
	assert_null(strstr(text, "one"));
	assert_null(strstr(text, "two"));
	assert_non_null(strstr(text, "three"));
	assert_non_null(strstr(text, "four"));
}

static void test_control_characters_cannot_make_a_second_line(void **state)
{
	(void)state;
	struct capture capture = capture_begin();
	log_info("a\nb\rc\x1b[31md\x7f");
	capture_end(capture);
	assert_true(matches("spillway: a\\?b\\?c\\?\\[31md\\?\n$"));
}

static void test_a_long_line_is_cut_and_says_so(void **state)
{
	(void)state;
	char lengthy[2 * LOG_LINE_BYTES];
	memset(lengthy, 'x', sizeof lengthy - 1);
	lengthy[sizeof lengthy - 1] = '\0';
	struct capture capture = capture_begin();
	log_info("%s", lengthy);
	capture_end(capture);
	assert_true(strlen(text) <= LOG_LINE_BYTES);
	assert_true(matches("xxx\\.\\.\\.\n$"));
}

static void test_errno_survives_and_is_printed(void **state)
{
	(void)state;
	struct capture capture = capture_begin();
	errno = EXDEV;
	log_info("%m");
	int after = errno;
	errno = ENOTDIR;
	close(STDERR_FILENO);
	log_info("into a closed descriptor");
	int closed = errno;
	capture_end(capture);
	assert_int_equal(after, EXDEV);
	assert_int_equal(closed, ENOTDIR);
	assert_non_null(strstr(text, strerror(EXDEV)));
}

struct talk {
	atomic_uint lines;
	atomic_bool is_over;
};

static void *talk(void *argument)
{
	struct talk *talk = argument;
	while (!atomic_load(&talk->is_over)) {
		log_warn("from another thread");
		atomic_fetch_add(&talk->lines, 1);
	}
	return NULL;
}

static void hear(void *context, enum log_level level, const char *heard)
{
	unsigned *count = context;
	assert_int_equal(level, LOG_LEVEL_WARN);
	assert_string_equal(heard, "from this thread");
	++*count;
}

static void wait_for_lines(struct talk *talk, unsigned more)
{
	unsigned before = atomic_load(&talk->lines);
	while (atomic_load(&talk->lines) - before < more)
		sched_yield();
}

/* As a thread does that hung in a disk and was left behind. */
static void test_another_thread_may_log_while_the_log_stops(void **state)
{
	(void)state;
	unsigned heard = 0;
	for (int round = 0; round < 50; round++) {
		struct talk talking = {0};
		pthread_t thread;
		said_begin();
		assert_int_equal(log_start(), 0);
		assert_int_equal(pthread_create(&thread, NULL, talk, &talking), 0);
		wait_for_lines(&talking, 1);
		log_listen(hear, &heard);
		log_warn("from this thread");
		wait_for_lines(&talking, 1);
		log_listen(NULL, NULL);
		log_stop();
		wait_for_lines(&talking, 1);
		atomic_store(&talking.is_over, true);
		pthread_join(thread, NULL);
		said_end();
	}
	assert_int_equal(heard, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_line_has_time_level_and_text),
		cmocka_unit_test(test_the_date_is_that_of_the_calendar),
		cmocka_unit_test(test_what_is_above_the_level_is_left_out),
		cmocka_unit_test(test_control_characters_cannot_make_a_second_line),
		cmocka_unit_test(test_a_long_line_is_cut_and_says_so),
		cmocka_unit_test(test_errno_survives_and_is_printed),
		cmocka_unit_test(test_another_thread_may_log_while_the_log_stops),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
