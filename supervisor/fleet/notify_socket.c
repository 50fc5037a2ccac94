/* Receives what services tell by systemd's notification protocol. */
#include "supervisor/fleet/notify_socket.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "supervisor/base/random.h"

/* What is longer is cut by the kernel; systemd's own limit is the same. */
#define DATAGRAM_BYTES 4096
#define PID_MOST (4 << 20)

int notify_socket_open(int *fd, char name[static NOTIFY_NAME_BYTES])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	uint64_t random[2];
	int on = 1;
	int error = random_fill(random, sizeof random);
	if (error != 0)
		return error;
	snprintf(name, NOTIFY_NAME_BYTES, "@spillway-notify-%016" PRIx64 "%016" PRIx64, random[0],
		random[1]);
	size_t length = strlen(name);
	memcpy(address.sun_path + 1, name + 1, length - 1);
	int made = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (made < 0)
		return -errno;
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	if (setsockopt(made, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
		bind(made, (struct sockaddr *)&address, size) != 0) {
		error = -errno;
		close(made);
		return error;
	}
	*fd = made;
	return 0;
}

/* The value of NAME=value; NULL = the line is another. */
static const char *value_of(const char *line, const char *name)
{
	size_t length = strlen(name);
	return strncmp(line, name, length) == 0 && line[length] == '=' ? line + length + 1 : NULL;
}

static bool is_one(const char *value)
{
	return value != NULL && strcmp(value, "1") == 0;
}

/* Digits alone; 0 = it is none, or more than the most. */
static uint64_t number(const char *value, uint64_t most)
{
	char *end;
	if (value == NULL || *value < '0' || *value > '9')
		return 0;
	errno = 0;
	unsigned long long read = strtoull(value, &end, 10);
	return *end == '\0' && errno == 0 && read <= most ? read : 0;
}

static void take_status(struct notify_message *message, const char *value)
{
	size_t length = 0;
	for (; *value != '\0' && length < NOTIFY_STATUS_BYTES - 1; value++)
		message->status[length++] = *value >= ' ' && *value <= '~' ? *value : '?';
	message->status[length] = '\0';
	message->has_status = true;
}

static void take_line(struct notify_message *message, const char *line)
{
	const char *status = value_of(line, "STATUS");
	const char *watchdog = value_of(line, "WATCHDOG");
	uint64_t pid = number(value_of(line, "MAINPID"), PID_MOST);
	uint64_t extend_us = number(value_of(line, "EXTEND_TIMEOUT_USEC"), UINT32_MAX * 1000ULL);
	message->is_ready = message->is_ready || is_one(value_of(line, "READY"));
	message->is_reloading = message->is_reloading || is_one(value_of(line, "RELOADING"));
	message->is_stopping = message->is_stopping || is_one(value_of(line, "STOPPING"));
	message->is_alive = message->is_alive || is_one(watchdog);
	if (watchdog != NULL && strcmp(watchdog, "trigger") == 0)
		message->is_trouble = true;
	if (status != NULL)
		take_status(message, status);
	if (pid > 1)
		message->main_pid = (pid_t)pid;
	if (extend_us != 0)
		message->extend_ms = extend_us / 1000;
}

void notify_message_parse(const char *text, size_t length, struct notify_message *message)
{
	char line[DATAGRAM_BYTES + 1];
	for (size_t at = 0; at < length;) {
		const char *end = memchr(text + at, '\n', length - at);
		size_t line_length = end != NULL ? (size_t)(end - text) - at : length - at;
		if (line_length < sizeof line) {
			memcpy(line, text + at, line_length);
			line[line_length] = '\0';
			take_line(message, line);
		}
		at += line_length + 1;
	}
}

int notify_socket_read(int fd, struct notify_message *message)
{
	char text[DATAGRAM_BYTES];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec part = {.iov_base = text, .iov_len = sizeof text};
	struct msghdr header = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	*message = (struct notify_message){.sender = 0};
	ssize_t length = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (length < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	for (struct cmsghdr *item = CMSG_FIRSTHDR(&header); item != NULL;
		item = CMSG_NXTHDR(&header, item)) {
		struct ucred sender;
		if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_CREDENTIALS)
			continue;
		memcpy(&sender, CMSG_DATA(item), sizeof sender);
		message->sender = sender.pid;
		message->user = sender.uid;
	}
	notify_message_parse(text, (size_t)length, message);
	return 1;
}
