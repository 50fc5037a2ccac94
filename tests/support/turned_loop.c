/* The real loop, turned without waiting. */
#include "tests/support/turned_loop.h"

#include <stdio.h>
#include <stdlib.h>

#include <stdint.h>

/* A connection is accepted, read, answered and closed, one after another. */
#define TURNS 10U

int __real_loop_run(struct loop *loop);
void __real_loop_stop(struct loop *loop);
int __real_loop_timer_new(struct loop *loop, void (*expired)(void *context), void *context,
	struct loop_timer **timer);
void __real_loop_timer_set(struct loop_timer *timer, uint64_t in_ms);

struct turning {
	struct loop *loop;
	struct loop_timer *timer;
	bool (*step)(void *context, unsigned number);
	void *context;
	unsigned turns;
	unsigned number;
};

static void on_turn(void *context)
{
	struct turning *turning = context;
	bool goes_on = true;
	if (turning->turns++ % TURNS == 0)
		goes_on = turning->step(turning->context, turning->number++);
	if (goes_on)
		__real_loop_timer_set(turning->timer, 0);
	else
		__real_loop_stop(turning->loop);
}

void turned_loop_run(struct loop *loop, bool (*step)(void *context, unsigned number), void *context)
{
	struct turning turning = {.loop = loop, .step = step, .context = context};
	if (__real_loop_timer_new(loop, on_turn, &turning, &turning.timer) != 0) {
		fprintf(stderr, "turned_loop: no timer\n");
		abort();
	}
	__real_loop_timer_set(turning.timer, 0);
	__real_loop_run(loop);
	loop_timer_free(turning.timer);
}
