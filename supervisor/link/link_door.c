/* Hands a link's file to processes that have lost the descriptor. */
#include "supervisor/link/link_door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/base/log.h"

#define ACCEPTS_PER_CALL LINK_DOOR_VISITORS

struct door_key {
	char token[LINK_TOKEN_CHARS]; /* no NUL */
	bool used;
	int fd[LINK_FILES];
};

struct door_visitor {
	int fd; /* -1 = empty chair */
	uint64_t since_ms;
};

struct link_door {
	int listen_fd;
	int epoll_fd;
	int reserve_fd;     /* for a moment -1 */
	bool shut;          /* nobody waits for listen_fd */
	bool full;          /* and that was said */
	uint32_t visits;    /* since period_ms */
	uint64_t period_ms; /* it stays shut for the rest of the period when these are too many */
	char name[64];
	struct door_key *key; /* unused ones among them */
	size_t key_count;
	struct door_visitor visitor[LINK_DOOR_VISITORS];
};

static int watch_fd(struct link_door *door, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	return epoll_ctl(door->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int listen_at_name(struct link_door *door)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	uint64_t random;
	if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
		return -EIO;
	int length = snprintf(door->name, sizeof door->name, "spillway-%ld-%016llx", (long)getpid(),
		(unsigned long long)random);
	memcpy(address.sun_path + 1, door->name, (size_t)length);
	door->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (door->listen_fd < 0)
		return -errno;
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
	if (bind(door->listen_fd, (struct sockaddr *)&address, size) != 0 ||
		listen(door->listen_fd, LINK_DOOR_VISITORS) != 0)
		return -errno;
	return watch_fd(door, door->listen_fd);
}

int link_door_open(struct link_door **door)
{
	struct link_door *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->listen_fd = -1;
	made->reserve_fd = -1;
	for (size_t i = 0; i < LINK_DOOR_VISITORS; i++)
		made->visitor[i].fd = -1;
	made->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	int error = made->epoll_fd >= 0 ? listen_at_name(made) : -errno;
	if (error == 0) {
		made->reserve_fd = fcntl(made->epoll_fd, F_DUPFD_CLOEXEC, 0);
		error = made->reserve_fd >= 0 ? 0 : -errno;
	}
	if (error != 0) {
		link_door_close(made);
		return error;
	}
	*door = made;
	return 0;
}

static void dismiss(struct door_visitor *visitor)
{
	if (visitor->fd >= 0)
		close(visitor->fd);
	visitor->fd = -1;
}

void link_door_close(struct link_door *door)
{
	if (door == NULL)
		return;
	for (size_t i = 0; i < LINK_DOOR_VISITORS; i++)
		dismiss(&door->visitor[i]);
	if (door->listen_fd >= 0)
		close(door->listen_fd);
	if (door->epoll_fd >= 0)
		close(door->epoll_fd);
	if (door->reserve_fd >= 0)
		close(door->reserve_fd);
	free(door->key);
	free(door);
}

const char *link_door_name(const struct link_door *door)
{
	return door->name;
}

int link_door_fd(const struct link_door *door)
{
	return door->epoll_fd;
}

static int grow(struct link_door *door)
{
	size_t count = door->key_count == 0 ? 4 : 2 * door->key_count;
	struct door_key *key = realloc(door->key, count * sizeof *key);
	if (key == NULL)
		return -ENOMEM;
	door->key = key;
	while (door->key_count < count)
		key[door->key_count++].used = false;
	return 0;
}

int link_door_add(struct link_door *door, const char *token, const int fd[LINK_FILES])
{
	size_t i = 0;
	while (i < door->key_count && door->key[i].used)
		i++;
	if (i == door->key_count && grow(door) != 0)
		return -ENOMEM;
	door->key[i].used = true;
	memcpy(door->key[i].token, token, LINK_TOKEN_CHARS);
	memcpy(door->key[i].fd, fd, sizeof door->key[i].fd);
	return 0;
}

static bool same_token(const char *a, const char *b)
{
	unsigned difference = 0;
	for (size_t i = 0; i < LINK_TOKEN_CHARS; i++)
		difference |= (unsigned)(a[i] ^ b[i]);
	return difference == 0;
}

static struct door_key *find_key(struct link_door *door, const char *token)
{
	struct door_key *found = NULL;
	for (size_t i = 0; i < door->key_count; i++)
		if (door->key[i].used && same_token(door->key[i].token, token))
			found = &door->key[i];
	return found;
}

void link_door_remove(struct link_door *door, const char *token)
{
	struct door_key *key = find_key(door, token);
	if (key != NULL)
		key->used = false;
}

/* The chair that is empty, else the one taken longest ago, which is then free. */
static struct door_visitor *find_chair(struct link_door *door)
{
	struct door_visitor *oldest = &door->visitor[0];
	for (size_t i = 0; i < LINK_DOOR_VISITORS; i++) {
		struct door_visitor *visitor = &door->visitor[i];
		if (visitor->fd < 0)
			return visitor;
		if (visitor->since_ms < oldest->since_ms)
			oldest = visitor;
	}
	dismiss(oldest);
	return oldest;
}

/* Accepts the one who waits in the place of the descriptor in reserve, and hangs up.  false: even
 * that was refused. */
static bool send_away(struct link_door *door)
{
	if (door->reserve_fd >= 0)
		close(door->reserve_fd);
	int fd = accept4(door->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	bool done = fd >= 0 || errno == EAGAIN || errno == ECONNABORTED || errno == EINTR;
	door->reserve_fd = fcntl(door->epoll_fd, F_DUPFD_CLOEXEC, 0);
	return done;
}

static void shut(struct link_door *door)
{
	if (!door->shut)
		door->shut = epoll_ctl(door->epoll_fd, EPOLL_CTL_DEL, door->listen_fd, NULL) == 0;
}

static void refuse(struct link_door *door, int error)
{
	if (!door->full)
		log_warn("link: %s: processes that lost their link stay without", strerror(error));
	door->full = true;
	if (!send_away(door))
		shut(door);
}

static bool is_visited_too_often(struct link_door *door, uint64_t now_ms)
{
	if (now_ms - door->period_ms >= LINK_DOOR_PERIOD_MS) {
		door->period_ms = now_ms;
		door->visits = 0;
	}
	return door->visits >= LINK_DOOR_VISITS;
}

void link_door_open_again(struct link_door *door, uint64_t now_ms)
{
	if (door->shut && !is_visited_too_often(door, now_ms) &&
		watch_fd(door, door->listen_fd) == 0)
		door->shut = false;
}

static void let_in(struct link_door *door, uint64_t now_ms)
{
	for (size_t i = 0; i < ACCEPTS_PER_CALL; i++) {
		if (is_visited_too_often(door, now_ms)) {
			shut(door);
			return;
		}
		int fd = accept4(door->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
				      errno == ENOBUFS)) {
			refuse(door, errno);
			return;
		}
		if (fd < 0)
			return;
		door->full = false;
		door->visits++;
		struct door_visitor *chair = find_chair(door);
		if (watch_fd(door, fd) != 0) {
			close(fd);
			continue;
		}
		*chair = (struct door_visitor){fd, now_ms};
	}
}

static void hand_over(int visitor_fd, const int fd[LINK_FILES])
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
	/* Who does not take it at once is not waited for. */
	sendmsg(visitor_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* false = still nothing said. */
static bool answer(struct link_door *door, int fd)
{
	char token[LINK_TOKEN_CHARS];
	ssize_t length = recv(fd, token, sizeof token, MSG_DONTWAIT | MSG_TRUNC);
	if (length < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (length == (ssize_t)sizeof token) {
		const struct door_key *key = find_key(door, token);
		if (key != NULL)
			hand_over(fd, key->fd);
	}
	return true;
}

void link_door_serve(struct link_door *door, uint64_t now_ms)
{
	let_in(door, now_ms);
	for (size_t i = 0; i < LINK_DOOR_VISITORS; i++) {
		struct door_visitor *visitor = &door->visitor[i];
		if (visitor->fd < 0)
			continue;
		if (answer(door, visitor->fd) ||
			now_ms - visitor->since_ms >= LINK_DOOR_PATIENCE_MS)
			dismiss(visitor);
	}
}
