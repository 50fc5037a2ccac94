/* A process that was noted is found only while it is that one, and its end is told. */
#include "supervisor/fleet/service_left.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/config.h"
#include "supervisor/fleet/service.h"

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

static struct left_service noted;

static int setup(void **state)
{
	(void)state;
	noted = (struct left_service){.pid = fork()};
	assert_true(noted.pid >= 0);
	if (noted.pid == 0)
		for (;;)
			pause();
	noted.start_ticks = service_left_start_ticks(noted.pid);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kill(noted.pid, SIGKILL);
	waitpid(noted.pid, NULL, 0);
	return 0;
}

static void test_it_is_found_signalled_and_seen_to_end(void **state)
{
	struct service_left *left;
	(void)state;
	assert_int_equal(service_left_open(&noted, &left), 0);
	assert_true(service_left_owns_group(left));
	struct pollfd end = {.fd = left->pid_fd, .events = POLLIN};
	assert_int_equal(poll(&end, 1, 0), 0);
	service_left_signal(left, SIGKILL);
	assert_int_equal(poll(&end, 1, -1), 1);
	service_left_free(left);
	/* A zombie is none. */
	assert_int_equal(service_left_open(&noted, &left), -ESRCH);
}

static void test_another_with_its_number_is_not_taken_for_it(void **state)
{
	struct service_left *left;
	(void)state;
	noted.start_ticks++;
	assert_int_equal(service_left_open(&noted, &left), -ESRCH);
	noted.start_ticks = 0;
	assert_int_equal(service_left_open(&noted, &left), -ESRCH);
}

static void test_the_mark_is_of_what_makes_the_process(void **state)
{
	char word[3][4] = {"a", "b", "ab"};
	char *argv[] = {word[0], word[1], NULL};
	char *joined[] = {word[2], NULL};
	char *list[] = {word[2], NULL};
	struct config_service config = {.argv = argv};
	uint64_t mark = service_left_mark(&config);
	(void)state;
	config.memory_max.bytes = 1;
	config.stopsignal = SIGINT;
	assert_true(service_left_mark(&config) == mark);
	config.argv = joined;
	assert_true(service_left_mark(&config) != mark);
	config.argv = argv;
	config.environment = list;
	assert_true(service_left_mark(&config) != mark);
	config.environment = NULL;
	config.directory = word[2];
	assert_true(service_left_mark(&config) != mark);
	config.directory = NULL;
	config.user = word[2];
	assert_true(service_left_mark(&config) != mark);
	config.user = NULL;
	config.shim = CONFIG_SHIM_OFF;
	assert_true(service_left_mark(&config) != mark);
}

/* The mark stands for what service_same_process() compares. */
static void test_what_restarts_a_service_changes_its_mark(void **state)
{
	static const char *const changes[] = {"directory = /\n", "user = u\n",
		"environment = A=1\n", "environment_file = /a\n", "environment_file = /b\n",
		"type = oneshot\n", "notify = systemd\n", "notify = systemd\nwatchdog = 1s\n",
		"notify = fd:3\n", "notify = fd:4\n", "notify = port:1\n", "notify = exec:x\n",
		"oom_score_adj = 0\n", "umask = 000\n", "no_new_privs = yes\n",
		"capabilities = none\n", "capabilities = CHOWN\n", "stdout_logfile = /x\n",
		"stdout_logfile = NONE\n", "shim = off\n", "memory_max = 1G\n",
		"stopsignal = INT\n", "pidfile = /x\n", "cpu_max = 1\n", ""};
	enum { COUNT = sizeof changes / sizeof changes[0] };
	static struct config config[COUNT];
	static struct config_errors errors;
	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		char text[128];
		int length =
			snprintf(text, sizeof text, "[service:web]\ncommand = x\n%s", changes[i]);
		assert_int_equal(config_load_text(text, (size_t)length, &config[i], &errors), 0);
	}
	for (size_t i = 0; i < COUNT; i++)
		for (size_t j = 0; j < COUNT; j++) {
			const struct config_service *a = config[i].services;
			const struct config_service *b = config[j].services;
			if (service_same_process(a, b) !=
				(service_left_mark(a) == service_left_mark(b)))
				fail_msg("%s and %s", changes[i], changes[j]);
		}
	for (size_t i = 0; i < COUNT; i++)
		config_free(&config[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_it_is_found_signalled_and_seen_to_end, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_another_with_its_number_is_not_taken_for_it, setup, teardown),
		cmocka_unit_test(test_the_mark_is_of_what_makes_the_process),
		cmocka_unit_test(test_what_restarts_a_service_changes_its_mark),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
