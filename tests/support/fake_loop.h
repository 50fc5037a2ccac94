#ifndef TESTS_SUPPORT_FAKE_LOOP_H
#define TESTS_SUPPORT_FAKE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * supervisor/base/loop.c turned by hand, with a clock that stands still.
 *
 * The linker wraps the functions of loop.h (WRAP_loop in the Makefile).  The
 * real objects are made all the same, libevent's included, but never run: a
 * test moves the clock, which lets the timer expire, and fires a descriptor's
 * callback.  loop_run() returns at once, or runs what the test has set.
 */

#define FAKE_LOOP_WATCHES_MAX 2048

struct fake_loop {
	uint64_t now_ms;
	bool stopped;      /* loop_stop was called */
	bool timer_set;    /* and not expired since */
	uint64_t timer_ms; /* when it expires */
	uint64_t turns;    /* how often the timer has expired */
	/* The next so many loop_watch_new fail with -ENOMEM. */
	int refuse_watches;
	/* What loop_run does; NULL = nothing. */
	void (*run)(void *context);
	void *context;
};

extern struct fake_loop fake_loop;

void fake_loop_reset(uint64_t now_ms);

/* The clock goes on by so much; the timer expires at its time on the way, as often as it is set
 * again.  false: it was set to expire more than 10000 times, which is a loop that spins. */
bool fake_loop_pass(uint64_t ms);

/* Calls what waits for that descriptor.  false: nobody does. */
bool fake_loop_fire(int fd);

size_t fake_loop_watches(void);

#endif
