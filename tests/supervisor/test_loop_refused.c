/* A loop with one allocation refused, libevent's own included: what was made works. */

#include "supervisor/base/loop.h"

#include <errno.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/refused.h"

REFUSED_MALLOC

struct turn {
	struct loop *loop;
	struct loop_timer *timer;
	struct loop_watch *watch;
	bool ready;
};

static void on_ready(void *context)
{
	struct turn *turn = context;
	turn->ready = true;
}

static void on_expired(void *context)
{
	struct turn *turn = context;
	loop_stop(turn->loop);
}

static int make(struct turn *turn, int fd)
{
	int error = loop_new(&turn->loop);
	if (error == 0)
		error = loop_timer_new(turn->loop, on_expired, turn, &turn->timer);
	if (error == 0)
		error = loop_watch_new(turn->loop, fd, on_ready, turn, &turn->watch);
	if (error == 0)
		loop_timer_set(turn->timer, 0);
	return error;
}

/* loop_timer_set says nothing of failure: once there is a timer it has to expire.  A test that
 * never returns has failed. */
static void test_a_loop_that_was_made_works(void **state)
{
	uint64_t at = 0;
	int pair[2];
	(void)state;
	assert_int_equal(pipe(pair), 0);
	assert_int_equal(write(pair[1], "", 1), 1);
	do {
		struct turn turn = {0};
		refused_begin(REFUSED_MEMORY, REFUSED_ONCE, ++at);
		refused.on = true;
		int error = make(&turn, pair[0]);
		refused.on = false;
		if (error == 0)
			assert_int_equal(loop_run(turn.loop), 0);
		else
			assert_int_equal(error, -ENOMEM);
		assert_true(error == 0 || refused.refused > 0);
		loop_watch_free(turn.watch);
		loop_timer_free(turn.timer);
		loop_free(turn.loop);
	} while (refused.refused > 0);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_loop_that_was_made_works),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
