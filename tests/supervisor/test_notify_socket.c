/* What services tell by systemd's protocol: the datagrams, and the kernel's word of who sent them.
 */
#include "supervisor/fleet/notify_socket.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct notify_message parsed(const char *text, size_t length)
{
	struct notify_message message = {.sender = 0};
	notify_message_parse(text, length, &message);
	return message;
}

#define PARSED(text) parsed(text, sizeof(text) - 1)

static void test_every_assignment_is_understood(void **state)
{
	(void)state;
	struct notify_message all =
		PARSED("READY=1\nRELOADING=1\nSTOPPING=1\nSTATUS=up, and well\nWATCHDOG=1\n"
		       "MAINPID=4711\nEXTEND_TIMEOUT_USEC=2500000\n");
	assert_true(all.is_ready && all.is_reloading && all.is_stopping && all.is_alive);
	assert_true(all.has_status && !all.is_trouble);
	assert_string_equal(all.status, "up, and well");
	assert_int_equal(all.main_pid, 4711);
	assert_int_equal(all.extend_ms, 2500);
	assert_true(PARSED("WATCHDOG=trigger").is_trouble);
	assert_true(PARSED("X=1\n\n\nREADY=1").is_ready);
	assert_string_equal(PARSED("STATUS=").status, "");
}

static bool is_something(const struct notify_message *message)
{
	return message->is_ready || message->is_reloading || message->is_stopping ||
	       message->is_alive || message->is_trouble || message->has_status ||
	       message->status[0] != '\0' || message->main_pid != 0 || message->extend_ms != 0;
}

static void test_what_is_none_changes_nothing(void **state)
{
	static const char *const texts[] = {"", "\n", "READY", "READY=", "READY=0", "READY=11",
		" READY=1", "ready=1", "XREADY=1", "READY=1 ", "MAINPID=", "MAINPID=0", "MAINPID=1",
		"MAINPID=-5", "MAINPID=99999999999999999999", "MAINPID=12x", "MAINPID=+5",
		"WATCHDOG=2", "EXTEND_TIMEOUT_USEC=-1", "EXTEND_TIMEOUT_USEC=18446744073709551616",
		"EXTEND_TIMEOUT_USEC=x", "BARRIER=1", "FDSTORE=1", "ERRNO=2"};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct notify_message message = parsed(texts[i], strlen(texts[i]));
		if (is_something(&message))
			fail_msg("%s was something", texts[i]);
	}
	/* A NUL ends a line's text, not the datagram. */
	assert_false(PARSED("READY=\0001\n").is_ready);
	assert_true(PARSED("X\0Y\nREADY=1").is_ready);
}

static void test_a_status_is_cut_and_made_printable(void **state)
{
	char text[3000] = "STATUS=\x1b[2J\xff\t";
	(void)state;
	assert_string_equal(parsed(text, strlen(text)).status, "?[2J??");
	memset(text + 7, 'x', sizeof text - 7);
	struct notify_message message = parsed(text, sizeof text);
	assert_int_equal(strlen(message.status), NOTIFY_STATUS_BYTES - 1);
}

/* No text breaks anything: the sanitizers watch. */
static void test_noise_is_survived(void **state)
{
	static const char *const parts[] = {"READY=1", "STATUS=", "MAINPID=", "\n", "=", "\0", "9",
		"WATCHDOG=", "trigger", "EXTEND_TIMEOUT_USEC=", "\xff"};
	(void)state;
	unsigned seed = 1;
	for (int round = 0; round < 20000; round++) {
		char text[256];
		size_t length = 0;
		while (length < 200) {
			seed = seed * 1103515245U + 12345U;
			const char *part = parts[(seed >> 16) % (sizeof parts / sizeof parts[0])];
			size_t bytes = *part == '\0' ? 1 : strlen(part);
			/* NOLINTNEXTLINE(bugprone-not-null-terminated-result) */
			memcpy(text + length, part, bytes);
			length += bytes;
			if ((seed >> 8) % 7 == 0)
				break;
		}
		struct notify_message message = parsed(text, length);
		assert_true(strlen(message.status) < NOTIFY_STATUS_BYTES);
	}
}

static void send_to(const char *name, const char *text, int with_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {.iov_base = (char *)(uintptr_t)text, .iov_len = strlen(text)};
	memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
	struct msghdr header = {.msg_name = &address,
		.msg_namelen = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name)),
		.msg_iov = &part,
		.msg_iovlen = 1};
	if (with_fd >= 0) {
		header.msg_control = control;
		header.msg_controllen = sizeof control;
		struct cmsghdr *item = CMSG_FIRSTHDR(&header);
		item->cmsg_level = SOL_SOCKET;
		item->cmsg_type = SCM_RIGHTS;
		item->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(item), &with_fd, sizeof with_fd);
	}
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(sendmsg(fd, &header, 0), strlen(text));
	close(fd);
}

static void test_the_kernel_says_who_sent_it(void **state)
{
	struct notify_message message;
	char name[NOTIFY_NAME_BYTES];
	char other[NOTIFY_NAME_BYTES];
	int fd;
	int other_fd;
	(void)state;
	assert_int_equal(notify_socket_open(&fd, name), 0);
	assert_int_equal(notify_socket_open(&other_fd, other), 0);
	assert_string_not_equal(name, other);
	assert_int_equal(notify_socket_read(fd, &message), 0);
	send_to(name, "READY=1", -1);
	assert_int_equal(notify_socket_read(fd, &message), 1);
	assert_true(message.is_ready);
	assert_int_equal(message.sender, getpid());
	assert_int_equal(message.user, getuid());
	assert_int_equal(notify_socket_read(other_fd, &message), 0);
	close(fd);
	close(other_fd);
}

/* systemd-notify waits until its end of a pipe that it sends along is closed by us. */
static void test_descriptors_that_come_along_are_closed(void **state)
{
	struct notify_message message;
	char name[NOTIFY_NAME_BYTES];
	int ends[2];
	int fd;
	char byte;
	(void)state;
	assert_int_equal(notify_socket_open(&fd, name), 0);
	assert_int_equal(pipe(ends), 0);
	send_to(name, "BARRIER=1", ends[1]);
	close(ends[1]);
	assert_int_equal(notify_socket_read(fd, &message), 1);
	assert_int_equal(message.sender, getpid());
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_assignment_is_understood),
		cmocka_unit_test(test_what_is_none_changes_nothing),
		cmocka_unit_test(test_a_status_is_cut_and_made_printable),
		cmocka_unit_test(test_noise_is_survived),
		cmocka_unit_test(test_the_kernel_says_who_sent_it),
		cmocka_unit_test(test_descriptors_that_come_along_are_closed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
