#include "supervisor/link/link_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "shim/protocol.h"

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

static const char token_a[] = "00112233445566778899aabbccddeeff";
static const char token_b[] = "ffeeddccbbaa99887766554433221100";

struct house {
	struct link_listener *listener;
	int file[2][LINK_FILES];
};

static int setup(void **state)
{
	static struct house house;
	assert_int_equal(link_listener_open(NULL, &house.listener), 0);
	for (int i = 0; i < 2 * LINK_FILES; i++) {
		house.file[i / LINK_FILES][i % LINK_FILES] = memfd_create("file", MFD_CLOEXEC);
		assert_true(house.file[i / LINK_FILES][i % LINK_FILES] >= 0);
	}
	assert_int_equal(link_listener_add(house.listener, token_a, house.file[0]), 0);
	assert_int_equal(link_listener_add(house.listener, token_b, house.file[1]), 0);
	*state = &house;
	return 0;
}

static int teardown(void **state)
{
	struct house *house = *state;
	link_listener_close(house->listener);
	for (int i = 0; i < 2 * LINK_FILES; i++)
		close(house->file[i / LINK_FILES][i % LINK_FILES]);
	return 0;
}

static int connect_to(const struct house *house)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *name = link_listener_name(house->listener);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(fd >= 0);
	memcpy(address.sun_path + 1, name, strlen(name));
	assert_int_equal(
		connect(fd, (struct sockaddr *)&address,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
		0);
	return fd;
}

/* The first descriptor that came, the others in rest; -1: the other side hung up without any. */
static int receive_all(int fd, int rest[LINK_FILES - 1])
{
	char byte;
	int received[LINK_FILES] = {-1, -1};
	union {
		char bytes[CMSG_SPACE(sizeof received)];
		struct cmsghdr aligned;
	} control;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes};
	if (recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1)
		return -1;
	struct cmsghdr *part = CMSG_FIRSTHDR(&message);
	if (part != NULL && part->cmsg_type == SCM_RIGHTS &&
		part->cmsg_len == CMSG_LEN(sizeof received))
		memcpy(received, CMSG_DATA(part), sizeof received);
	memcpy(rest, received + 1, sizeof received - sizeof received[0]);
	return received[0];
}

static int receive(int fd)
{
	int rest[LINK_FILES - 1];
	int first = receive_all(fd, rest);
	if (first >= 0)
		close(rest[0]);
	return first;
}

static bool same_file(int a, int b)
{
	struct stat one;
	struct stat other;
	return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino;
}

static void test_the_token_brings_its_own_files(void **state)
{
	struct house *house = *state;
	int fd = connect_to(house);
	struct pollfd ready = {.fd = link_listener_fd(house->listener), .events = POLLIN};
	assert_int_equal(poll(&ready, 1, 0), 1);
	assert_int_equal(send(fd, token_b, LINK_TOKEN_CHARS, 0), LINK_TOKEN_CHARS);
	link_listener_serve(house->listener, 1);
	int slots;
	int header = receive_all(fd, &slots);
	assert_true(header >= 0 && slots >= 0);
	assert_true(same_file(header, house->file[1][LINK_FILE_HEADER]));
	assert_true(same_file(slots, house->file[1][LINK_FILE_SLOTS]));
	assert_int_equal(poll(&ready, 1, 0), 0);
	close(header);
	close(slots);
	close(fd);
}

/* Else the loop, which waits for the listener level-triggered, would turn without end. */
static void test_without_descriptors_a_visitor_is_sent_away(void **state)
{
	struct house *house = *state;
	struct pollfd ready = {.fd = link_listener_fd(house->listener), .events = POLLIN};
	struct rlimit limit;
	int connection[2] = {connect_to(house), connect_to(house)};
	int lowest = dup(0);
	assert_true(lowest >= 0);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	struct rlimit none = {.rlim_cur = (rlim_t)lowest, .rlim_max = limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (unsigned i = 0; i < 4 && poll(&ready, 1, 0) > 0; i++)
		link_listener_serve(house->listener, 1);
	int waiting = poll(&ready, 1, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(waiting, 0);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(receive(connection[i]), -1);
		close(connection[i]);
	}
	/* When there are some again, the listener is as it was. */
	link_listener_resume(house->listener, 0);
	int fd = connect_to(house);
	assert_int_equal(send(fd, token_a, LINK_TOKEN_CHARS, 0), LINK_TOKEN_CHARS);
	link_listener_serve(house->listener, 1);
	int got = receive(fd);
	assert_true(got >= 0);
	close(got);
	close(fd);
}

static void test_who_is_slow_is_served_at_the_next_call(void **state)
{
	struct house *house = *state;
	int fd = connect_to(house);
	link_listener_serve(house->listener, 1);
	assert_int_equal(send(fd, token_a, LINK_TOKEN_CHARS, 0), LINK_TOKEN_CHARS);
	link_listener_serve(house->listener, 100);
	int got = receive(fd);
	assert_true(got >= 0);
	close(got);
	close(fd);
}

static void test_wrong_short_and_long_tokens_are_refused(void **state)
{
	struct house *house = *state;
	char words[][64] = {"00112233445566778899aabbccddeefe", "0", "",
		"00112233445566778899aabbccddeeff0", "00112233445566778899AABBCCDDEEFF"};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		int fd = connect_to(house);
		send(fd, words[i], strlen(words[i]), MSG_NOSIGNAL);
		link_listener_serve(house->listener, 1);
		assert_int_equal(receive(fd), -1);
		close(fd);
	}
}

static void test_a_removed_token_is_refused(void **state)
{
	struct house *house = *state;
	link_listener_remove(house->listener, token_a);
	int fd = connect_to(house);
	send(fd, token_a, LINK_TOKEN_CHARS, 0);
	link_listener_serve(house->listener, 1);
	assert_int_equal(receive(fd), -1);
	close(fd);
}

static void test_silent_visitors_are_shown_out(void **state)
{
	struct house *house = *state;
	char byte;
	int fd = connect_to(house);
	link_listener_serve(house->listener, 1000);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	link_listener_serve(house->listener, 1000 + LINK_LISTENER_TIMEOUT_MS);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	close(fd);
}

static void test_a_crowd_of_silent_visitors_does_not_keep_others_out(void **state)
{
	struct house *house = *state;
	int crowd[LINK_LISTENER_CONNECTIONS * 2];
	for (size_t i = 0; i < sizeof crowd / sizeof crowd[0]; i++) {
		crowd[i] = connect_to(house);
		link_listener_serve(house->listener, 1 + i);
	}
	int fd = connect_to(house);
	send(fd, token_a, LINK_TOKEN_CHARS, 0);
	link_listener_serve(house->listener, 100);
	int got = receive(fd);
	assert_true(got >= 0);
	close(got);
	close(fd);
	for (size_t i = 0; i < sizeof crowd / sizeof crowd[0]; i++)
		close(crowd[i]);
}

static void test_visitors_that_leave_at_once_are_survived(void **state)
{
	struct house *house = *state;
	for (unsigned i = 0; i < 100; i++) {
		int fd = connect_to(house);
		send(fd, token_a, LINK_TOKEN_CHARS, 0);
		close(fd);
		link_listener_serve(house->listener, i);
	}
	test_the_token_brings_its_own_files(state);
}

/* As many links as there are services. */
static void test_any_number_of_keys_is_known(void **state)
{
	struct house *house = *state;
	char token[LINK_TOKEN_CHARS + 1];
	link_listener_remove(house->listener, token_b);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(token, sizeof token, "%0*u", (int)LINK_TOKEN_CHARS, i);
		assert_int_equal(link_listener_add(house->listener, token, house->file[0]), 0);
	}
	assert_int_equal(link_listener_add(house->listener, token_b, house->file[1]), 0);
	test_the_token_brings_its_own_files(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* A process that knocks for ever is not let in for ever, and others are when the second is over. */
static void test_visits_are_limited_in_time(void **state)
{
	struct house *house = *state;
	struct pollfd ready = {.fd = link_listener_fd(house->listener), .events = POLLIN};
	unsigned accepted = 0;
	while (accepted < 10 * LINK_LISTENER_ACCEPTS) {
		int fd = connect_to(house);
		close(fd);
		if (poll(&ready, 1, 0) == 0)
			break;
		link_listener_serve(house->listener, 5000);
		accepted++;
	}
	assert_in_range(accepted, LINK_LISTENER_ACCEPTS, 2 * LINK_LISTENER_ACCEPTS);
	link_listener_resume(house->listener, 5500);
	assert_int_equal(poll(&ready, 1, 0), 0);
	link_listener_resume(house->listener, 5000 + LINK_LISTENER_PERIOD_MS);
	assert_int_equal(poll(&ready, 1, 0), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_token_brings_its_own_files),
		TEST(test_without_descriptors_a_visitor_is_sent_away),
		TEST(test_who_is_slow_is_served_at_the_next_call),
		TEST(test_wrong_short_and_long_tokens_are_refused),
		TEST(test_a_removed_token_is_refused),
		TEST(test_silent_visitors_are_shown_out),
		TEST(test_a_crowd_of_silent_visitors_does_not_keep_others_out),
		TEST(test_visitors_that_leave_at_once_are_survived),
		TEST(test_any_number_of_keys_is_known),
		TEST(test_visits_are_limited_in_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
