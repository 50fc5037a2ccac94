/* Fetches the link's files from the supervisor's listener. */
#include "shim/link_socket.h"

#include "shim/kernel.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#define FETCH_NS 100000000

/* The descriptors in the one answer that waits in s: 0 or -errno. */
static int answer_receive(int s, int fd[LINK_FILES])
{
	enum { FDS_BYTES = LINK_FILES * sizeof(int) };
	char byte;
	union {
		char bytes[CMSG_SPACE(FDS_BYTES)];
		struct cmsghdr aligned;
	} control = {{0}};
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes,
	};
	struct cmsghdr *part;
	long got;

	got = kernel_call(SYS_recvmsg, s, (long)&message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT, 0, 0, 0);
	if (got < 0)
		return (int)got;
	part = CMSG_FIRSTHDR(&message);
	if (part == NULL || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS ||
		part->cmsg_len != CMSG_LEN(FDS_BYTES))
		return -EPROTO;
	memcpy(fd, CMSG_DATA(part), FDS_BYTES);
	return 0;
}

/* As whom the listener was made: the name is free for everybody once its owner is gone. */
static int listener_read(int s, uint32_t *listener)
{
	struct ucred peer = {.uid = UINT32_MAX};
	socklen_t size = sizeof peer;
	long result = kernel_call(
		SYS_getsockopt, s, SOL_SOCKET, SO_PEERCRED, (long)&peer, (long)&size, 0);

	if (result == 0)
		*listener = peer.uid;
	return (int)result;
}

int link_socket_fetch(const char *name, const char *token, int fd[LINK_FILES], uint32_t *listener)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(name);
	struct pollfd ready = {.events = POLLIN};
	struct timespec timeout = {.tv_nsec = FETCH_NS};
	long result;
	int s;

	if (length == 0 || length > sizeof address.sun_path - 1)
		return -EINVAL;
	memcpy(address.sun_path + 1, name, length);
	s = (int)kernel_call(
		SYS_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0, 0, 0);
	if (s < 0)
		return s;
	result = kernel_call(SYS_connect, s, (long)&address,
		(long)(offsetof(struct sockaddr_un, sun_path) + 1 + length), 0, 0, 0);
	if (result == 0)
		result = listener_read(s, listener);
	if (result == 0)
		result = kernel_call(
			SYS_sendto, s, (long)token, LINK_TOKEN_CHARS, MSG_NOSIGNAL, 0, 0);
	if (result == LINK_TOKEN_CHARS) {
		ready.fd = s;
		result = kernel_call(SYS_ppoll, (long)&ready, 1, (long)&timeout, 0, 0, 0) == 1
				 ? answer_receive(s, fd)
				 : -ETIMEDOUT;
	} else if (result >= 0) {
		result = -EPROTO;
	}
	kernel_close(s);
	return (int)result;
}
