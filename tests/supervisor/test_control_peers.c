#include "supervisor/control/control_peers.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define FDS 16

/* Both ends of connections, whose peer is our own user. */
static int near_end[FDS];
static int far_end[FDS];

static int setup(void **state)
{
	static struct control_peers peers;
	peers = (struct control_peers){.most = 4, .most_of_peer = 4};
	for (int i = 0; i < FDS; i++) {
		int ends[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
		near_end[i] = ends[0];
		far_end[i] = ends[1];
	}
	*state = &peers;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < FDS; i++) {
		close(near_end[i]);
		close(far_end[i]);
	}
	return 0;
}

static void admit(struct control_peers *peers, int from, int count)
{
	for (int i = from; i < from + count; i++)
		assert_int_equal(control_peers_admit(peers, near_end[i]), -1);
}

static void test_the_one_that_came_first_goes_for_one_too_many(void **state)
{
	struct control_peers *peers = *state;
	admit(peers, 0, 4);
	assert_int_equal(control_peers_admit(peers, near_end[4]), near_end[0]);
	assert_int_equal(control_peers_admit(peers, near_end[5]), near_end[1]);
	assert_int_equal(peers->count, 4);
}

static void test_one_that_has_asked_stays_longer(void **state)
{
	struct control_peers *peers = *state;
	admit(peers, 0, 4);
	control_peers_asks(peers, near_end[0]);
	control_peers_answered(peers, near_end[0]);
	assert_int_equal(control_peers_admit(peers, near_end[4]), near_end[1]);
}

static void test_one_that_waits_for_its_answer_stays(void **state)
{
	struct control_peers *peers = *state;
	admit(peers, 0, 4);
	control_peers_asks(peers, near_end[0]);
	for (int i = 4; i < 12; i++)
		assert_int_not_equal(control_peers_admit(peers, near_end[i]), near_end[0]);
}

static void test_where_all_wait_the_newcomer_goes(void **state)
{
	struct control_peers *peers = *state;
	admit(peers, 0, 4);
	for (int i = 0; i < 4; i++)
		control_peers_asks(peers, near_end[i]);
	assert_int_equal(control_peers_admit(peers, near_end[4]), near_end[4]);
	assert_int_equal(peers->count, 4);
	control_peers_answered(peers, near_end[2]);
	assert_int_equal(control_peers_admit(peers, near_end[4]), near_end[2]);
}

static void test_those_that_have_ended_make_room(void **state)
{
	struct control_peers *peers = *state;
	admit(peers, 0, 4);
	/* Another connection has its number now. */
	assert_true(dup2(near_end[8], near_end[1]) >= 0);
	admit(peers, 4, 1);
	close(near_end[2]);
	near_end[2] = -1;
	admit(peers, 5, 1);
	assert_int_equal(control_peers_admit(peers, near_end[6]), near_end[0]);
}

/* A connection over TCP from that address of ours, whose both ends are made. */
static void connect_from(uint32_t host, int ends[2])
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
	socklen_t size = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &size), 0);
	ends[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(ends[1], (struct sockaddr *)&from, sizeof from), 0);
	assert_int_equal(connect(ends[1], (struct sockaddr *)&at, sizeof at), 0);
	ends[0] = accept(listener, NULL, NULL);
	assert_true(ends[0] >= 0);
	close(listener);
}

static void test_who_has_too_many_loses_his_own(void **state)
{
	struct control_peers *peers = *state;
	int many[4][2];
	int other[2];
	peers->most = 8;
	peers->most_of_peer = 3;
	connect_from(INADDR_LOOPBACK + 1, other);
	assert_int_equal(control_peers_admit(peers, other[0]), -1);
	for (int i = 0; i < 4; i++) {
		connect_from(INADDR_LOOPBACK, many[i]);
		assert_int_equal(control_peers_admit(peers, many[i][0]), i < 3 ? -1 : many[0][0]);
	}
	assert_int_equal(peers->count, 4);
	for (int i = 0; i < 4; i++) {
		close(many[i][0]);
		close(many[i][1]);
	}
	close(other[0]);
	close(other[1]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_the_one_that_came_first_goes_for_one_too_many),
		TEST(test_one_that_has_asked_stays_longer),
		TEST(test_one_that_waits_for_its_answer_stays),
		TEST(test_where_all_wait_the_newcomer_goes),
		TEST(test_those_that_have_ended_make_room),
		TEST(test_who_has_too_many_loses_his_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
