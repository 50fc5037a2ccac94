/* What the service manager that has started us hears: the messages, when, and what is tried again.
 */
#include "supervisor/base/manager.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static int ear = -1;
static char name[64];

/* A manager's socket, of either kind. */
static void listen_at(const char *text)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(text);
	memcpy(address.sun_path, text, length);
	if (text[0] == '@')
		address.sun_path[0] = '\0';
	ear = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(ear >= 0);
	assert_int_equal(bind(ear, (struct sockaddr *)&address,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)),
		0);
}

static int setup(void **state)
{
	(void)state;
	snprintf(name, sizeof name, "@spillway-test-manager-%d", (int)getpid());
	listen_at(name);
	setenv("NOTIFY_SOCKET", name, 1);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(ear);
	return 0;
}

/* The next message; "" = there is none. */
static const char *heard(void)
{
	static char text[512];
	ssize_t length = recv(ear, text, sizeof text - 1, 0);
	text[length > 0 ? length : 0] = '\0';
	return text;
}

static void test_nobody_is_told_without_an_address(void **state)
{
	struct manager manager;
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	setenv("WATCHDOG_USEC", "1000000", 1);
	assert_int_equal(manager_open(&manager), 0);
	assert_int_equal(manager_step(&manager, MANAGER_READY, "up", 0), 0);
	assert_true(manager_deadline_ms(&manager) == UINT64_MAX);
	assert_string_equal(getenv("WATCHDOG_USEC"), "1000000");
	manager_close(&manager);
}

static void test_services_do_not_find_its_address(void **state)
{
	struct manager manager;
	(void)state;
	setenv("WATCHDOG_USEC", "1000000", 1);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(manager_open(&manager), 0);
	assert_null(getenv("NOTIFY_SOCKET"));
	assert_null(getenv("WATCHDOG_USEC"));
	assert_null(getenv("WATCHDOG_PID"));
	/* It was another's watchdog. */
	assert_true(manager.watchdog_ms == 0);
	manager_close(&manager);
}

static void test_an_address_of_another_kind_is_refused(void **state)
{
	static const char *const wrong[] = {"vsock:2:1234", "run/notify", "/", "@"};
	struct manager manager;
	char path[200];
	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		setenv("NOTIFY_SOCKET", wrong[i], 1);
		assert_int_equal(manager_open(&manager), -EAFNOSUPPORT);
		assert_int_equal(manager.fd, -1);
		assert_null(getenv("NOTIFY_SOCKET"));
	}
	memset(path, '/', sizeof path);
	path[sizeof path - 1] = '\0';
	setenv("NOTIFY_SOCKET", path, 1);
	assert_int_equal(manager_open(&manager), -ENAMETOOLONG);
}

static void test_a_state_is_told_once(void **state)
{
	struct manager manager;
	(void)state;
	assert_int_equal(manager_open(&manager), 0);
	assert_int_equal(manager_step(&manager, MANAGER_BUSY, "0 up", 1000), 0);
	assert_string_equal(heard(), "STATUS=0 up");
	assert_int_equal(manager_step(&manager, MANAGER_READY, "2 up", 1001), 0);
	assert_string_equal(heard(), "READY=1\nSTATUS=2 up");
	assert_int_equal(manager_step(&manager, MANAGER_READY, "2 up", 5000), 0);
	assert_int_equal(manager_step(&manager, MANAGER_BUSY, "2 up", 6000), 0);
	assert_int_equal(manager_step(&manager, MANAGER_READY, "2 up", 7000), 0);
	assert_string_equal(heard(), "");
	assert_int_equal(manager_step(&manager, MANAGER_STOPPING, "1 there", 7001), 0);
	assert_string_equal(heard(), "STOPPING=1\nSTATUS=1 there");
	assert_string_equal(heard(), "");
	manager_close(&manager);
}

static void test_a_status_alone_is_told_once_a_second(void **state)
{
	struct manager manager;
	(void)state;
	assert_int_equal(manager_open(&manager), 0);
	manager_step(&manager, MANAGER_READY, "a", 1000);
	assert_string_equal(heard(), "READY=1\nSTATUS=a");
	manager_step(&manager, MANAGER_READY, "b", 1100);
	assert_string_equal(heard(), "");
	assert_true(manager_deadline_ms(&manager) == 2000);
	manager_step(&manager, MANAGER_READY, "c", 2000);
	assert_string_equal(heard(), "STATUS=c");
	assert_true(manager_deadline_ms(&manager) == UINT64_MAX);
	manager_close(&manager);
}

static void test_a_reload_is_told_even_when_it_is_over(void **state)
{
	struct manager manager;
	(void)state;
	assert_int_equal(manager_open(&manager), 0);
	manager_reloads(&manager, 5);
	manager_step(&manager, MANAGER_READY, "a", 1000);
	assert_string_equal(heard(), "READY=1\nSTATUS=a");
	manager_reloads(&manager, 123456);
	manager_step(&manager, MANAGER_READY, "a", 1001);
	assert_string_equal(heard(), "RELOADING=1\nMONOTONIC_USEC=123456");
	assert_string_equal(heard(), "READY=1\nSTATUS=a");
	manager_reloads(&manager, 234567);
	manager_step(&manager, MANAGER_BUSY, "a", 1002);
	assert_string_equal(heard(), "RELOADING=1\nMONOTONIC_USEC=234567");
	manager_step(&manager, MANAGER_BUSY, "a", 1003);
	assert_string_equal(heard(), "");
	manager_step(&manager, MANAGER_READY, "a", 1004);
	assert_string_equal(heard(), "READY=1\nSTATUS=a");
	manager_close(&manager);
}

static void test_the_watchdog_hears_of_us_twice_in_its_time(void **state)
{
	struct manager manager;
	char pid[16];
	(void)state;
	snprintf(pid, sizeof pid, "%d", (int)getpid());
	setenv("WATCHDOG_USEC", "3000000", 1);
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(manager_open(&manager), 0);
	manager_step(&manager, MANAGER_BUSY, "", 1000);
	assert_string_equal(heard(), "WATCHDOG=1");
	assert_true(manager_deadline_ms(&manager) == 2500);
	manager_step(&manager, MANAGER_BUSY, "", 2499);
	assert_string_equal(heard(), "");
	manager_step(&manager, MANAGER_BUSY, "", 2500);
	assert_string_equal(heard(), "WATCHDOG=1");
	manager_close(&manager);
}

static void test_what_could_not_be_sent_is_sent_later(void **state)
{
	struct manager manager;
	(void)state;
	assert_int_equal(manager_open(&manager), 0);
	close(ear);
	assert_int_equal(manager_step(&manager, MANAGER_READY, "a", 1000), -ECONNREFUSED);
	assert_true(manager_deadline_ms(&manager) == 2000);
	assert_int_equal(manager_step(&manager, MANAGER_READY, "a", 1500), 0);
	/* Said once. */
	assert_int_equal(manager_step(&manager, MANAGER_READY, "a", 2000), 0);
	listen_at(name);
	assert_int_equal(manager_step(&manager, MANAGER_READY, "b", 3000), 0);
	assert_string_equal(heard(), "READY=1\nSTATUS=b");
	assert_true(manager_deadline_ms(&manager) == UINT64_MAX);
	manager_close(&manager);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_nobody_is_told_without_an_address, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_services_do_not_find_its_address, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_an_address_of_another_kind_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_state_is_told_once, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_status_alone_is_told_once_a_second, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_reload_is_told_even_when_it_is_over, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_the_watchdog_hears_of_us_twice_in_its_time, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_what_could_not_be_sent_is_sent_later, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
