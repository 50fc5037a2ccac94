#include "supervisor/link/pressure_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

struct provider {
	struct pressure_directory *directory;
	struct pressure_socket *socket;
};

static int setup(void **state)
{
	static struct provider provider;
	provider = (struct provider){0};
	assert_int_equal(pressure_socket_open(&provider.directory, &provider.socket), 0);
	*state = &provider;
	return 0;
}

static int teardown(void **state)
{
	struct provider *provider = *state;
	pressure_socket_close(provider->socket);
	pressure_directory_close(provider->directory);
	return 0;
}

/* As sd-event does: opened by path, an AF_UNIX stream socket. */
static int watch(const struct provider *provider)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = pressure_socket_path(provider->socket);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	memcpy(address.sun_path, path, strlen(path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	return fd;
}

/* The bytes that have come, read and discarded; 0: it is not readable. */
static ssize_t told(int fd)
{
	char bytes[64];
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	if (poll(&ready, 1, 0) == 0)
		return 0;
	assert_int_equal(ready.revents, POLLIN);
	return recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
}

static void test_a_watcher_is_told_when_the_level_rises_and_again_while_it_lasts(void **state)
{
	struct provider *provider = *state;
	int fd = watch(provider);
	pressure_socket_tell(provider->socket, LEVEL_CALM, 1000);
	assert_int_equal(told(fd), 0);
	pressure_socket_tell(provider->socket, LEVEL_LAZY, 1010);
	assert_int_equal(told(fd), 1);
	pressure_socket_tell(provider->socket, LEVEL_FULL, 1020);
	pressure_socket_tell(provider->socket, LEVEL_EAGER, 1009 + PRESSURE_AGAIN_MS);
	assert_int_equal(told(fd), 0);
	pressure_socket_tell(provider->socket, LEVEL_LAZY, 1010 + PRESSURE_AGAIN_MS);
	assert_int_equal(told(fd), 1);
	pressure_socket_tell(provider->socket, LEVEL_CALM, 1011 + PRESSURE_AGAIN_MS);
	assert_int_equal(told(fd), 0);
	pressure_socket_tell(provider->socket, LEVEL_LAZY, 1012 + PRESSURE_AGAIN_MS);
	assert_int_equal(told(fd), 1);
	close(fd);
}

static void test_every_watcher_is_told_and_a_late_one_at_once(void **state)
{
	struct provider *provider = *state;
	int early[2] = {watch(provider), watch(provider)};
	pressure_socket_tell(provider->socket, LEVEL_LAZY, 1000);
	assert_int_equal(told(early[0]), 1);
	assert_int_equal(told(early[1]), 1);
	int late = watch(provider);
	pressure_socket_tell(provider->socket, LEVEL_LAZY, 1001);
	assert_int_equal(told(late), 1);
	assert_int_equal(told(early[0]), 0);
	close(early[0]);
	close(early[1]);
	close(late);
}

static void test_what_a_watcher_writes_does_no_harm(void **state)
{
	struct provider *provider = *state;
	int fd = watch(provider);
	char much[4096] = {0};
	while (send(fd, much, sizeof much, MSG_NOSIGNAL) > 0)
		;
	assert_int_equal(errno, EAGAIN);
	pressure_socket_tell(provider->socket, LEVEL_LAZY, 1000);
	assert_int_equal(told(fd), 1);
	close(fd);
}

static void test_who_hung_up_makes_room(void **state)
{
	struct provider *provider = *state;
	int crowd[PRESSURE_CLIENTS];
	for (size_t i = 0; i < PRESSURE_CLIENTS; i++)
		crowd[i] = watch(provider);
	pressure_socket_tell(provider->socket, LEVEL_CALM, 1000);
	int next = watch(provider);
	pressure_socket_tell(provider->socket, LEVEL_LAZY, 1001);
	assert_int_equal(told(crowd[PRESSURE_CLIENTS - 1]), 1);
	assert_int_equal(told(next), 0);
	close(crowd[7]);
	pressure_socket_tell(provider->socket, LEVEL_LAZY, 1002);
	assert_int_equal(told(next), 1);
	close(next);
	for (size_t i = 0; i < PRESSURE_CLIENTS; i++)
		if (i != 7)
			close(crowd[i]);
}

static void test_others_may_connect_and_not_look_around(void **state)
{
	struct provider *provider = *state;
	char path[128];
	struct stat status;
	snprintf(path, sizeof path, "%s", pressure_socket_path(provider->socket));
	assert_int_equal(stat(path, &status), 0);
	assert_true(S_ISSOCK(status.st_mode));
	assert_int_equal(status.st_mode & 0777, 0666);
	assert_int_equal(stat(dirname(path), &status), 0);
	assert_int_equal(status.st_mode & 0777, 0711);
}

static void test_nothing_is_left(void **state)
{
	struct provider *provider = *state;
	char path[128];
	snprintf(path, sizeof path, "%s", pressure_socket_path(provider->socket));
	teardown(state);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(dirname(path), F_OK), -1);
	setup(state);
}

/* What a supervisor that was killed has left is removed by the next, which leaves ours alone. */
static void test_the_next_one_removes_what_a_killed_one_left(void **state)
{
	struct provider *provider = *state;
	struct provider next = {0};
	char path[128] = "";
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct provider killed = {0};
		if (pressure_socket_open(&killed.directory, &killed.socket) == 0)
			(void)!write(ends[1], pressure_socket_path(killed.socket),
				strlen(pressure_socket_path(killed.socket)));
		kill(getpid(), SIGKILL);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(read(ends[0], path, sizeof path - 1) > 0);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(pressure_socket_open(&next.directory, &next.socket), 0);
	pressure_directory_sweep(next.directory);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(dirname(path), F_OK), -1);
	assert_int_equal(access(pressure_socket_path(provider->socket), F_OK), 0);
	assert_int_equal(access(pressure_socket_path(next.socket), F_OK), 0);
	pressure_socket_close(next.socket);
	pressure_directory_close(next.directory);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_watcher_is_told_when_the_level_rises_and_again_while_it_lasts),
		TEST(test_every_watcher_is_told_and_a_late_one_at_once),
		TEST(test_what_a_watcher_writes_does_no_harm),
		TEST(test_who_hung_up_makes_room),
		TEST(test_others_may_connect_and_not_look_around),
		TEST(test_nothing_is_left),
		TEST(test_the_next_one_removes_what_a_killed_one_left),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
