#include "shim/link_socket.h"

#include "shim/protocol.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FETCH_MS 100

/* The descriptor in the one answer that waits in s, or -errno. */
static int answer_receive(int s)
{
	char byte;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	struct cmsghdr *part;
	int fd;

	if (recvmsg(s, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) < 0)
		return -errno;
	part = CMSG_FIRSTHDR(&message);
	if (part == NULL || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS ||
		part->cmsg_len != CMSG_LEN(sizeof fd))
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(part), sizeof fd);
	return fd;
}

int link_socket_fetch(const char *name, const char *token)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	struct pollfd ready = {.events = POLLIN};
	int s;
	int fd;

	if (length == 0 || length > sizeof address.sun_path - 1)
		return -EINVAL;
	memcpy(address.sun_path + 1, name, length);
	s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0)
		return -errno;
	if (connect(s, (struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length)) != 0 ||
		send(s, token, LINK_TOKEN_CHARS, MSG_NOSIGNAL) != (ssize_t)LINK_TOKEN_CHARS) {
		fd = -errno;
		goto out;
	}
	ready.fd = s;
	fd = poll(&ready, 1, FETCH_MS) == 1 ? answer_receive(s) : -ETIMEDOUT;
out:
	close(s);
	return fd;
}
