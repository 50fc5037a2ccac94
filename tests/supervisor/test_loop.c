#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "supervisor/base/loop.h"

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

struct seen {
	struct loop *loop;
	struct loop_timer *timer;
	struct loop_watch *watch;
	int ends[2];
	int count;
	int stop_at;
};

static struct seen seen;

static int set_up(void **state)
{
	(void)state;
	seen = (struct seen){.ends = {-1, -1}};
	return loop_new(&seen.loop) || pipe2(seen.ends, O_CLOEXEC | O_NONBLOCK);
}

static int tear_down(void **state)
{
	(void)state;
	loop_watch_free(seen.watch);
	loop_timer_free(seen.timer);
	loop_free(seen.loop);
	close(seen.ends[0]);
	close(seen.ends[1]);
	return 0;
}

static void count(void *context)
{
	struct seen *s = context;
	if (++s->count == s->stop_at)
		loop_stop(s->loop);
	else if (s->timer != NULL)
		loop_timer_set(s->timer, 0);
}

static void free_oneself(void *context)
{
	struct seen *s = context;
	s->count++;
	loop_watch_free(s->watch);
	s->watch = NULL;
	loop_stop(s->loop);
}

static void test_a_timer_expires_once_and_can_be_set_again(void **state)
{
	(void)state;
	seen.stop_at = 3;
	assert_int_equal(loop_timer_new(seen.loop, count, &seen, &seen.timer), 0);
	uint64_t begin_ms = loop_now_ms();
	loop_timer_set(seen.timer, 3600000);
	loop_timer_set(seen.timer, 20);
	assert_int_equal(loop_run(seen.loop), 0);
	assert_int_equal(seen.count, 3);
	/* Not after an hour, or this would not come to its end. */
	assert_true(loop_now_ms() - begin_ms >= 19);
}

static void test_a_cleared_timer_does_not_expire(void **state)
{
	(void)state;
	struct loop_timer *other;
	seen.stop_at = 1;
	assert_int_equal(loop_timer_new(seen.loop, count, &seen, &other), 0);
	assert_int_equal(loop_timer_new(seen.loop, count, &seen, &seen.timer), 0);
	loop_timer_set(other, 0);
	loop_timer_clear(other);
	loop_timer_set(seen.timer, 5);
	assert_int_equal(loop_run(seen.loop), 0);
	assert_int_equal(seen.count, 1);
	loop_timer_free(other);
}

static void test_a_watch_is_called_until_the_descriptor_is_empty(void **state)
{
	(void)state;
	seen.stop_at = 2;
	assert_int_equal(write(seen.ends[1], "x", 1), 1);
	assert_int_equal(loop_watch_new(seen.loop, seen.ends[0], count, &seen, &seen.watch), 0);
	assert_int_equal(loop_run(seen.loop), 0);
	assert_int_equal(seen.count, 2);
}

static void test_a_watch_may_free_itself(void **state)
{
	(void)state;
	assert_int_equal(write(seen.ends[1], "x", 1), 1);
	assert_int_equal(
		loop_watch_new(seen.loop, seen.ends[0], free_oneself, &seen, &seen.watch), 0);
	assert_int_equal(loop_run(seen.loop), 0);
	assert_int_equal(seen.count, 1);
	assert_null(seen.watch);
}

static void test_an_inner_epoll_wakes_it(void **state)
{
	(void)state;
	int inner = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	assert_int_equal(epoll_ctl(inner, EPOLL_CTL_ADD, seen.ends[0], &event), 0);
	assert_int_equal(write(seen.ends[1], "x", 1), 1);
	assert_int_equal(loop_watch_new(seen.loop, inner, free_oneself, &seen, &seen.watch), 0);
	assert_int_equal(loop_run(seen.loop), 0);
	assert_int_equal(seen.count, 1);
	close(inner);
}

static void test_a_loop_stopped_before_it_ran_does_not_run(void **state)
{
	(void)state;
	loop_stop(seen.loop);
	assert_int_equal(loop_run(seen.loop), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_timer_expires_once_and_can_be_set_again),
		TEST(test_a_cleared_timer_does_not_expire),
		TEST(test_a_watch_is_called_until_the_descriptor_is_empty),
		TEST(test_a_watch_may_free_itself),
		TEST(test_an_inner_epoll_wakes_it),
		TEST(test_a_loop_stopped_before_it_ran_does_not_run),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
