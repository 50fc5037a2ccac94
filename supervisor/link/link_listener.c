/* Hands a link's file to processes that have lost the descriptor. */
#include "supervisor/link/link_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/base/random.h"

#define ACCEPTS_PER_CALL LINK_LISTENER_CONNECTIONS

struct listener_key {
	char token[LINK_TOKEN_CHARS]; /* no NUL */
	bool used;
	int fd[LINK_FILES];
};

struct connection {
	int fd; /* -1 = none */
	uint64_t since_ms;
};

struct link_listener {
	int listen_fd;
	int epoll_fd;
	int reserve_fd;     /* for a moment -1 */
	bool paused;        /* nobody waits for listen_fd */
	bool full;          /* and that was said */
	uint32_t accepted;  /* since period_ms */
	uint64_t period_ms; /* it stays paused for the rest of the period when these are too many */
	char name[64];
	struct listener_key *key; /* unused ones among them */
	size_t key_count;
	struct connection connection[LINK_LISTENER_CONNECTIONS];
};

static int watch_fd(struct link_listener *listener, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	return epoll_ctl(listener->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int name_listener(struct link_listener *listener, const char *name)
{
	uint64_t random;
	if (name != NULL)
		return snprintf(listener->name, sizeof listener->name, "%s", name) <
				       (int)sizeof listener->name
			       ? 0
			       : -ENAMETOOLONG;
	int error = random_fill(&random, sizeof random);
	if (error != 0)
		return error;
	snprintf(listener->name, sizeof listener->name, "spillway-%ld-%016llx", (long)getpid(),
		(unsigned long long)random);
	return 0;
}

static int listen_at_name(struct link_listener *listener)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(listener->name);
	memcpy(address.sun_path + 1, listener->name, length);
	listener->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener->listen_fd < 0)
		return -errno;
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
	if (bind(listener->listen_fd, (struct sockaddr *)&address, size) != 0 ||
		listen(listener->listen_fd, LINK_LISTENER_CONNECTIONS) != 0)
		return -errno;
	return watch_fd(listener, listener->listen_fd);
}

int link_listener_open(const char *name, struct link_listener **listener)
{
	struct link_listener *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->listen_fd = -1;
	made->reserve_fd = -1;
	for (size_t i = 0; i < LINK_LISTENER_CONNECTIONS; i++)
		made->connection[i].fd = -1;
	made->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int error = made->epoll_fd >= 0 ? name_listener(made, name) : -errno;
	if (error == 0)
		error = listen_at_name(made);
	if (error == 0) {
		made->reserve_fd = fcntl(made->epoll_fd, F_DUPFD_CLOEXEC, 0);
		error = made->reserve_fd >= 0 ? 0 : -errno;
	}
	if (error != 0) {
		link_listener_close(made);
		return error;
	}
	*listener = made;
	return 0;
}

static void hang_up(struct connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
}

void link_listener_close(struct link_listener *listener)
{
	if (listener == NULL)
		return;
	for (size_t i = 0; i < LINK_LISTENER_CONNECTIONS; i++)
		hang_up(&listener->connection[i]);
	if (listener->listen_fd >= 0)
		close(listener->listen_fd);
	if (listener->epoll_fd >= 0)
		close(listener->epoll_fd);
	if (listener->reserve_fd >= 0)
		close(listener->reserve_fd);
	free(listener->key);
	free(listener);
}

const char *link_listener_name(const struct link_listener *listener)
{
	return listener->name;
}

int link_listener_fd(const struct link_listener *listener)
{
	return listener->epoll_fd;
}

static int grow(struct link_listener *listener)
{
	size_t count = listener->key_count == 0 ? 4 : 2 * listener->key_count;
	struct listener_key *key = realloc(listener->key, count * sizeof *key);
	if (key == NULL)
		return -ENOMEM;
	listener->key = key;
	while (listener->key_count < count)
		key[listener->key_count++].used = false;
	return 0;
}

int link_listener_add(struct link_listener *listener, const char *token, const int fd[LINK_FILES])
{
	size_t i = 0;
	while (i < listener->key_count && listener->key[i].used)
		i++;
	if (i == listener->key_count && grow(listener) != 0)
		return -ENOMEM;
	listener->key[i].used = true;
	memcpy(listener->key[i].token, token, LINK_TOKEN_CHARS);
	memcpy(listener->key[i].fd, fd, sizeof listener->key[i].fd);
	return 0;
}

static bool same_token(const char *a, const char *b)
{
	unsigned difference = 0;
	for (size_t i = 0; i < LINK_TOKEN_CHARS; i++)
		difference |= (unsigned)(a[i] ^ b[i]);
	return difference == 0;
}

static struct listener_key *find_key(struct link_listener *listener, const char *token)
{
	struct listener_key *found = NULL;
	for (size_t i = 0; i < listener->key_count; i++)
		if (listener->key[i].used && same_token(listener->key[i].token, token))
			found = &listener->key[i];
	return found;
}

void link_listener_remove(struct link_listener *listener, const char *token)
{
	struct listener_key *key = find_key(listener, token);
	if (key != NULL)
		key->used = false;
}

/* A place that is free, else that of the oldest connection, which is closed. */
static struct connection *find_place(struct link_listener *listener)
{
	struct connection *oldest = &listener->connection[0];
	for (size_t i = 0; i < LINK_LISTENER_CONNECTIONS; i++) {
		struct connection *connection = &listener->connection[i];
		if (connection->fd < 0)
			return connection;
		if (connection->since_ms < oldest->since_ms)
			oldest = connection;
	}
	hang_up(oldest);
	return oldest;
}

/* Accepts the connection that waits with the descriptor in reserve, and closes it.  false: even
 * that failed. */
static bool reject(struct link_listener *listener)
{
	if (listener->reserve_fd >= 0)
		close(listener->reserve_fd);
	int fd = accept4(listener->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	bool done = fd >= 0 || errno == EAGAIN || errno == ECONNABORTED || errno == EINTR;
	listener->reserve_fd = fcntl(listener->epoll_fd, F_DUPFD_CLOEXEC, 0);
	return done;
}

static void pause_accepting(struct link_listener *listener)
{
	if (!listener->paused)
		listener->paused = epoll_ctl(listener->epoll_fd, EPOLL_CTL_DEL, listener->listen_fd,
					   NULL) == 0;
}

static void refuse(struct link_listener *listener, int error)
{
	if (!listener->full)
		log_warn("link: %s: processes that lost their link stay without", strerror(error));
	listener->full = true;
	if (!reject(listener))
		pause_accepting(listener);
}

static bool is_over_its_rate(struct link_listener *listener, uint64_t now_ms)
{
	if (now_ms - listener->period_ms >= LINK_LISTENER_PERIOD_MS) {
		listener->period_ms = now_ms;
		listener->accepted = 0;
	}
	return listener->accepted >= LINK_LISTENER_ACCEPTS;
}

void link_listener_resume(struct link_listener *listener, uint64_t now_ms)
{
	if (listener->paused && !is_over_its_rate(listener, now_ms) &&
		watch_fd(listener, listener->listen_fd) == 0)
		listener->paused = false;
}

static void accept_all(struct link_listener *listener, uint64_t now_ms)
{
	for (size_t i = 0; i < ACCEPTS_PER_CALL; i++) {
		if (is_over_its_rate(listener, now_ms)) {
			pause_accepting(listener);
			return;
		}
		int fd = accept4(listener->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
				      errno == ENOBUFS)) {
			refuse(listener, errno);
			return;
		}
		if (fd < 0)
			return;
		listener->full = false;
		listener->accepted++;
		struct connection *place = find_place(listener);
		if (watch_fd(listener, fd) != 0) {
			close(fd);
			continue;
		}
		*place = (struct connection){fd, now_ms};
	}
}

static void send_files(int connection_fd, const int fd[LINK_FILES])
{
	enum { FDS_BYTES = LINK_FILES * sizeof(int) };
	char byte = 1;
	union {
		char bytes[CMSG_SPACE(FDS_BYTES)];
		struct cmsghdr aligned;
	} control = {.bytes = {0}};
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	struct cmsghdr *part = CMSG_FIRSTHDR(&message);
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(FDS_BYTES);
	memcpy(CMSG_DATA(part), fd, FDS_BYTES);
	/* A process that does not take it at once is not waited for. */
	sendmsg(connection_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* false = nothing was sent yet. */
static bool answer(struct link_listener *listener, int fd)
{
	char token[LINK_TOKEN_CHARS];
	ssize_t length = recv(fd, token, sizeof token, MSG_DONTWAIT | MSG_TRUNC);
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (length == (ssize_t)sizeof token) {
		const struct listener_key *key = find_key(listener, token);
		if (key != NULL)
			send_files(fd, key->fd);
	}
	return true;
}

void link_listener_serve(struct link_listener *listener, uint64_t now_ms)
{
	accept_all(listener, now_ms);
	for (size_t i = 0; i < LINK_LISTENER_CONNECTIONS; i++) {
		struct connection *connection = &listener->connection[i];
		if (connection->fd < 0)
			continue;
		if (answer(listener, connection->fd) ||
			now_ms - connection->since_ms >= LINK_LISTENER_TIMEOUT_MS)
			hang_up(connection);
	}
}

bool link_listener_is_paused(const struct link_listener *listener)
{
	return listener->paused;
}
