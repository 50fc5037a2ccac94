/* Bytes as what a client sends over the control socket. */
#include "tests/fuzz/targets.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/control/control.h"
#include "supervisor/fleet/fleet_private.h"
#include "tests/support/fake_fleet.h"
#include "tests/support/turned_loop.h"

/*
 * A fleet on fakes, and a client that sends the bytes in two parts (the first byte says where they
 * are cut), reads what comes, and leaves.  Then another one asks for the status, and must be told.
 */

struct client {
	const char *path;
	const uint8_t *bytes;
	size_t count;
	size_t cut;
	int fd;
	const char *wrong;
};

static const char services[] = "[service:web]\ncommand = web\nshim = off\n"
			       "[service:db]\ncommand = db\nshim = off\nautostart = false\n";

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void send_part(const struct client *client, size_t from, size_t to)
{
	ssize_t sent =
		to > from ? send(client->fd, client->bytes + from, to - from, MSG_NOSIGNAL) : 0;
	(void)sent;
}

/* What came, up to one less than size; ends in NUL. */
static void receive(int fd, char *answer, size_t size)
{
	ssize_t got = recv(fd, answer, size - 1, 0);
	answer[got > 0 ? got : 0] = '\0';
}

static bool is_answer(const char *answer)
{
	static const char begin[] = "HTTP/";
	/* 0.9 has no head. */
	return answer[0] == '\0' || strncmp(answer, begin, sizeof begin - 1) == 0 ||
	       answer[0] == '{' || answer[0] == '<' || answer[0] == '#';
}

static void leave(struct client *client)
{
	close(client->fd);
	client->fd = -1;
}

static bool step(void *context, unsigned number)
{
	static const char status[] = "GET /v1/status HTTP/1.0\r\n\r\n";
	static char answer[1 << 16];
	struct client *client = context;
	switch (number) {
	case 0:
	case 4:
		client->fd = connect_to(client->path);
		client->wrong = client->fd < 0 ? "nobody listens" : NULL;
		break;
	case 1:
		send_part(client, 0, client->cut);
		break;
	case 2:
		send_part(client, client->cut, client->count);
		break;
	case 3:
		receive(client->fd, answer, sizeof answer);
		leave(client);
		client->wrong = is_answer(answer) ? NULL : "what came is no answer";
		break;
	case 5:
		client->bytes = (const uint8_t *)status;
		send_part(client, 0, sizeof status - 1);
		break;
	default:
		receive(client->fd, answer, sizeof answer);
		leave(client);
		if (strstr(answer, " 200 OK\r\n") == NULL)
			client->wrong = "the next one is not told the status";
		return false;
	}
	return client->wrong == NULL;
}

static const char *ask(struct loop *loop, const char *path, const uint8_t *bytes, size_t count)
{
	struct client client = {.path = path, .fd = -1};
	if (count > 0) {
		client.bytes = bytes + 1;
		client.count = count - 1;
		client.cut = bytes[0] * client.count / 255;
	}
	turned_loop_run(loop, step, &client);
	if (client.fd >= 0)
		close(client.fd);
	return client.wrong;
}

const char *control_bytes_play(const uint8_t *bytes, size_t count)
{
	char path[CONTROL_PATH_BYTES];
	const char *wrong = "no control socket";
	int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	fake_fleet_setup(NULL);
	fake_fleet_start(services);
	/* A fleet goes to the root; the caller's files are here. */
	if (fchdir(here) != 0)
		wrong = "no way back";
	close(here);
	struct fleet *fleet = fake_fleet.fleet;
	snprintf(path, sizeof path, "%.80s.sock", fake_fleet.file);
	if (fleet_control_open(fleet, path, &fleet->control) == 0)
		wrong = ask(fleet->loop, path, bytes, count);
	fake_fleet_teardown(NULL);
	return wrong;
}
