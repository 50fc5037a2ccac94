#ifndef SUPERVISOR_BASE_LOOP_H
#define SUPERVISOR_BASE_LOOP_H

#include <stdint.h>

/*
 * The one event loop.  libevent is seen by loop.c and nobody else: all others
 * hand over a descriptor, or a time, and a function.
 *
 * Descriptors are watched for reading, level-triggered.  What wants EPOLLPRI
 * (PSI triggers, memory.events) therefore gives an inner epoll descriptor with
 * the file inside; the wake of the outer loop is the event, since the inner
 * epoll_wait may well come back empty.  A callback has to take away what made
 * its descriptor readable, or it is called again at once.
 *
 * Everything runs in the one thread that called loop_run.  A callback may add,
 * set and free watches and timers, its own included.
 */

struct loop;
struct loop_watch;
struct loop_timer;

/* 0 or -errno. */
int loop_new(struct loop **loop);

/* Every watch and timer has to be freed before. */
void loop_free(struct loop *loop);

/* Runs until loop_stop.  0 or -errno. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* libevent's, for what has callbacks of its own (control/control.c). */
struct event_base;
struct event_base *loop_base(const struct loop *loop);

/* The descriptor stays the caller's, who frees the watch before closing it. */
int loop_watch_new(struct loop *loop, int fd, void (*ready)(void *context), void *context,
	struct loop_watch **watch);
void loop_watch_free(struct loop_watch *watch);

/* One shot; not running until it is set. */
int loop_timer_new(struct loop *loop, void (*expired)(void *context), void *context,
	struct loop_timer **timer);
void loop_timer_free(struct loop_timer *timer);

/* Replaces what was set before.  0 expires on the next turn; more than a day is
 * a day, so a callback looks at the clock itself. */
void loop_timer_set(struct loop_timer *timer, uint64_t in_ms);
void loop_timer_clear(struct loop_timer *timer);

/* CLOCK_MONOTONIC: every now_ms of the supervisor comes from here. */
uint64_t loop_now_ms(void);

#endif
