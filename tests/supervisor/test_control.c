/* The control socket with a handler of the test's, and clients in the same process. */
#include "supervisor/control/control.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/said.h"
#include "tests/support/turned_loop.h"

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define CLIENTS (CONTROL_MOST + 8)

struct world {
	struct loop *loop;
	struct control *control;
	char folder[64];
	char path[CONTROL_PATH_BYTES];
	int client[CLIENTS];
	/* Of the handler: */
	struct control_request *held; /* "/hold" is answered later, or is a stream */
	unsigned requests;
	unsigned gone;
	char target[64];
	bool is_post;
	char level[16];
};

static void on_request(void *context, struct control_request *request)
{
	struct world *world = context;
	const char *level = json_string_value(json_object_get(control_body(request), "level"));
	world->requests++;
	world->is_post = control_is_post(request);
	snprintf(world->target, sizeof world->target, "%s", control_target(request));
	snprintf(world->level, sizeof world->level, "%s", level != NULL ? level : "");
	if (strcmp(world->target, "/hold") == 0)
		world->held = request;
	else
		control_reply(request, 200, json_pack("{s:s}", "said", world->target));
}

static void on_gone(void *context, struct control_request *request)
{
	struct world *world = context;
	world->gone++;
	if (world->held == request)
		world->held = NULL;
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof *world);
	const struct control_handler handler = {
		.request = on_request, .gone = on_gone, .context = world};
	said_begin();
	for (size_t i = 0; i < CLIENTS; i++)
		world->client[i] = -1;
	snprintf(world->folder, sizeof world->folder, "/tmp/spillway-test.XXXXXX");
	assert_non_null(mkdtemp(world->folder));
	snprintf(world->path, sizeof world->path, "%s/run/app.sock", world->folder);
	assert_int_equal(loop_new(&world->loop), 0);
	assert_int_equal(control_open(world->loop, world->path, &handler, &world->control), 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	char run[80];
	for (size_t i = 0; i < CLIENTS; i++)
		if (world->client[i] >= 0)
			close(world->client[i]);
	control_close(world->control);
	loop_free(world->loop);
	assert_int_equal(access(world->path, F_OK), -1);
	snprintf(run, sizeof run, "%s/run", world->folder);
	assert_int_equal(rmdir(run), 0);
	assert_int_equal(rmdir(world->folder), 0);
	free(world);
	said_end();
	return 0;
}

static void connect_client(struct world *world, size_t client)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", world->path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
	world->client[client] = fd;
}

static void say(const struct world *world, size_t client, const char *text)
{
	assert_int_equal(send(world->client[client], text, strlen(text), MSG_NOSIGNAL),
		(ssize_t)strlen(text));
}

static void get(const struct world *world, size_t client, const char *path)
{
	char text[128];
	snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n\r\n", path);
	say(world, client, text);
}

/* What has come, which ends in NUL; NULL: the other end has closed it. */
static const char *heard(const struct world *world, size_t client)
{
	static char text[1 << 16];
	ssize_t got = recv(world->client[client], text, sizeof text - 1, 0);
	text[got > 0 ? got : 0] = '\0';
	return got == 0 || (got < 0 && errno == ECONNRESET) ? NULL : text;
}

static bool hears(const struct world *world, size_t client, const char *words)
{
	const char *text = heard(world, client);
	return text != NULL && strstr(text, words) != NULL;
}

static bool request_steps(void *context, unsigned number)
{
	struct world *world = context;
	switch (number) {
	case 0:
		connect_client(world, 0);
		say(world, 0,
			"POST /v1/x?y=1 HTTP/1.1\r\nContent-Length: "
			"17\r\n\r\n{\"level\":\"eager\"}");
		return true;
	case 1:
		assert_string_equal(world->target, "/v1/x");
		assert_true(world->is_post);
		assert_string_equal(world->level, "eager");
		assert_true(hears(world, 0, "{\"said\":\"/v1/x\"}"));
		/* The connection serves another one. */
		get(world, 0, "/v1/y");
		return true;
	case 2:
		assert_false(world->is_post);
		assert_true(hears(world, 0, "HTTP/1.1 200 "));
		say(world, 0, "POST /v1/z HTTP/1.1\r\nContent-Length: 2\r\n\r\n[]");
		return true;
	default:
		assert_true(hears(world, 0, "the body is no JSON object"));
		assert_int_equal(world->requests, 2);
		return false;
	}
}

static void test_requests_are_handed_over_and_answered(void **state)
{
	struct world *world = *state;
	struct stat status;
	assert_int_equal(stat(world->path, &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	turned_loop_run(world->loop, request_steps, world);
}

static bool limit_steps(void *context, unsigned number)
{
	struct world *world = context;
	char text[128];
	if (number == 0) {
		connect_client(world, 0);
		snprintf(text, sizeof text, "POST /v1/x HTTP/1.1\r\nContent-Length: %d\r\n\r\n",
			CONTROL_BODY_MOST + 1);
		say(world, 0, text);
		connect_client(world, 1);
		say(world, 1, "DELETE /v1/x HTTP/1.1\r\n\r\n");
		return true;
	}
	assert_true(hears(world, 0, " 413 "));
	assert_true(hears(world, 1, " 501 "));
	assert_int_equal(world->requests, 0);
	return false;
}

static void test_what_is_too_long_or_unknown_reaches_nobody(void **state)
{
	struct world *world = *state;
	turned_loop_run(world->loop, limit_steps, world);
}

static void say_line(struct world *world, const char *text)
{
	json_t *line = json_pack("{s:s}", "text", text);
	control_stream_line(world->held, line);
	json_decref(line);
}

static bool leaving_steps(void *context, unsigned number)
{
	struct world *world = context;
	switch (number) {
	case 0:
		connect_client(world, 0);
		get(world, 0, "/hold");
		return true;
	case 1:
		assert_non_null(world->held);
		control_stream(world->held);
		say_line(world, "news");
		return true;
	case 2:
		assert_true(hears(world, 0, "{\"text\":\"news\"}\n"));
		assert_int_equal(world->gone, 0);
		close(world->client[0]);
		world->client[0] = -1;
		return true;
	default:
		assert_int_equal(world->gone, 1);
		return false;
	}
}

static void test_a_client_that_leaves_its_stream_is_reported(void **state)
{
	struct world *world = *state;
	turned_loop_run(world->loop, leaving_steps, world);
}

/* More than a socket's buffer and what may wait for it. */
static void write_much(struct world *world)
{
	static char text[4097];
	memset(text, 'x', sizeof text - 1);
	for (int i = 0; i < 1000 && world->held != NULL; i++)
		say_line(world, text);
}

static bool slow_steps(void *context, unsigned number)
{
	struct world *world = context;
	switch (number) {
	case 0:
		connect_client(world, 0);
		get(world, 0, "/hold");
		return true;
	case 1:
		control_stream(world->held);
		write_much(world);
		return true;
	default:
		assert_null(world->held);
		assert_int_equal(world->gone, 1);
		return false;
	}
}

static void test_a_client_that_does_not_read_its_stream_is_cut_off(void **state)
{
	struct world *world = *state;
	turned_loop_run(world->loop, slow_steps, world);
}

/* The first waits for its answer, the second has asked last, all others have never said a word. */
static bool crowd_steps(void *context, unsigned number)
{
	struct world *world = context;
	if (number < CONTROL_MOST_OF_PEER) {
		connect_client(world, number);
		if (number == 0)
			get(world, 0, "/hold");
		return true;
	}
	switch (number - CONTROL_MOST_OF_PEER) {
	case 0:
		get(world, 1, "/v1/y");
		return true;
	case 1:
		assert_true(hears(world, 1, " 200 "));
		assert_int_equal(said("closed for the next"), 0);
		connect_client(world, CONTROL_MOST_OF_PEER);
		connect_client(world, CONTROL_MOST_OF_PEER + 1);
		return true;
	case 2:
		assert_null(heard(world, 2));
		assert_null(heard(world, 3));
		assert_string_equal(heard(world, 4), "");
		assert_int_equal(world->gone, 0);
		assert_int_equal(said("control: more connections than it takes"), 1);
		control_reply(world->held, 200, json_object());
		get(world, CONTROL_MOST_OF_PEER + 1, "/v1/new");
		return true;
	default:
		assert_true(hears(world, 0, " 200 "));
		assert_true(hears(world, CONTROL_MOST_OF_PEER + 1, "/v1/new"));
		return false;
	}
}

static void test_too_many_connections_cost_those_that_say_nothing(void **state)
{
	struct world *world = *state;
	turned_loop_run(world->loop, crowd_steps, world);
}

static void test_a_socket_in_use_is_not_taken_and_one_left_behind_is(void **state)
{
	struct world *world = *state;
	const struct control_handler handler = {.request = on_request, .gone = on_gone};
	struct control *other = NULL;
	assert_int_equal(control_open(world->loop, world->path, &handler, &other), -EADDRINUSE);
	char aside[CONTROL_PATH_BYTES];
	snprintf(aside, sizeof aside, "%.60s/aside", world->folder);
	assert_int_equal(rename(world->path, aside), 0);
	int left = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "%s", world->path);
	assert_int_equal(bind(left, (const struct sockaddr *)&address, sizeof address), 0);
	close(left);
	assert_int_equal(control_open(world->loop, world->path, &handler, &other), 0);
	control_close(other);
	assert_int_equal(rename(aside, world->path), 0);
}

static void test_the_usual_path_is_the_files_name(void **state)
{
	char path[CONTROL_PATH_BYTES];
	char name[200];
	(void)state;
	setenv("XDG_RUNTIME_DIR", "/run", 1);
	assert_int_equal(control_default_path("/etc/my.app.ini", path), 0);
	assert_string_equal(path, "/run/spillway/my.app.sock");
	assert_int_equal(control_default_path("plain", path), 0);
	assert_string_equal(path, "/run/spillway/plain.sock");
	memset(name, 'x', sizeof name - 1);
	name[sizeof name - 1] = '\0';
	assert_int_equal(control_default_path(name, path), -ENAMETOOLONG);
}

static void test_an_address_is_made_of_numbers_and_nobody_elses(void **state)
{
	struct world *world = *state;
	const struct control_handler handler = {.request = on_request, .gone = on_gone};
	struct control *public = NULL;
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof address;
	char text[32];
	assert_int_equal(
		control_open_public(world->loop, "localhost:1", &handler, &public), -EINVAL);
	int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(other, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(listen(other, 1), 0);
	assert_int_equal(getsockname(other, (struct sockaddr *)&address, &size), 0);
	snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(address.sin_port));
	assert_int_equal(control_open_public(world->loop, text, &handler, &public), -EADDRINUSE);
	close(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_requests_are_handed_over_and_answered),
		TEST(test_what_is_too_long_or_unknown_reaches_nobody),
		TEST(test_a_client_that_leaves_its_stream_is_reported),
		TEST(test_a_client_that_does_not_read_its_stream_is_cut_off),
		TEST(test_too_many_connections_cost_those_that_say_nothing),
		TEST(test_a_socket_in_use_is_not_taken_and_one_left_behind_is),
		cmocka_unit_test(test_the_usual_path_is_the_files_name),
		TEST(test_an_address_is_made_of_numbers_and_nobody_elses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
