/* The event loop, which is libevent's. */
#include "supervisor/base/loop.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include <event2/event.h>

#include "supervisor/base/clock.h"

#define A_DAY_S (UINT64_C(24) * 3600)

struct loop {
	struct event_base *base;
	bool stopped; /* libevent forgets a break that came before it ran */
};

struct loop_watch {
	struct event *event;
	void (*ready)(void *context);
	void *context;
};

struct loop_timer {
	struct event *event;
	void (*expired)(void *context);
	void *context;
};

int loop_new(struct loop **loop)
{
	struct event_config *settings = NULL;
	struct loop *made = calloc(1, sizeof *made);
	int error = -ENOMEM;
	if (made == NULL)
		goto out;
	settings = event_config_new();
	if (settings == NULL)
		goto out;
	/* Without it epoll's millisecond timeouts are rounded on the coarse clock,
	 * which is 4 ms wide: as much as a whole tick under pressure. */
	event_config_set_flag(settings, EVENT_BASE_FLAG_PRECISE_TIMER);
	event_config_set_flag(settings, EVENT_BASE_FLAG_NOLOCK);
	made->base = event_base_new_with_config(settings);
	if (made->base == NULL)
		goto out;
	*loop = made;
	made = NULL;
	error = 0;
out:
	if (settings != NULL)
		event_config_free(settings);
	free(made);
	return error;
}

void loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	event_base_free(loop->base);
	free(loop);
}

int loop_run(struct loop *loop)
{
	if (loop->stopped)
		return 0;
	return event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0 ? -EIO : 0;
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
	event_base_loopbreak(loop->base);
}

struct event_base *loop_base(const struct loop *loop)
{
	return loop->base;
}

static void on_ready(evutil_socket_t fd, short what, void *argument)
{
	struct loop_watch *watch = argument;
	(void)fd;
	(void)what;
	watch->ready(watch->context);
}

int loop_watch_new(struct loop *loop, int fd, void (*ready)(void *context), void *context,
	struct loop_watch **watch)
{
	int error = -ENOMEM;
	struct loop_watch *made = calloc(1, sizeof *made);
	if (made == NULL)
		return error;
	made->ready = ready;
	made->context = context;
	made->event = event_new(loop->base, fd, EV_READ | EV_PERSIST, on_ready, made);
	if (made->event == NULL)
		goto fail;
	errno = 0;
	if (event_add(made->event, NULL) != 0) {
		error = errno != 0 ? -errno : -EINVAL;
		goto fail;
	}
	*watch = made;
	return 0;
fail:
	loop_watch_free(made);
	return error;
}

void loop_watch_free(struct loop_watch *watch)
{
	if (watch == NULL)
		return;
	if (watch->event != NULL)
		event_free(watch->event);
	free(watch);
}

static void on_expired(evutil_socket_t fd, short what, void *argument)
{
	struct loop_timer *timer = argument;
	(void)fd;
	(void)what;
	timer->expired(timer->context);
}

int loop_timer_new(
	struct loop *loop, void (*expired)(void *context), void *context, struct loop_timer **timer)
{
	const struct timeval a_day = {.tv_sec = A_DAY_S};
	struct loop_timer *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->expired = expired;
	made->context = context;
	made->event = evtimer_new(loop->base, on_expired, made);
	/* Only the first event_add needs memory, for a place among the timers, and the place stays.
	 */
	if (made->event == NULL || event_add(made->event, &a_day) != 0) {
		loop_timer_free(made);
		return -ENOMEM;
	}
	event_del(made->event);
	*timer = made;
	return 0;
}

void loop_timer_free(struct loop_timer *timer)
{
	if (timer == NULL)
		return;
	if (timer->event != NULL)
		event_free(timer->event);
	free(timer);
}

void loop_timer_set(struct loop_timer *timer, uint64_t in_ms)
{
	if (in_ms > A_DAY_S * 1000)
		in_ms = A_DAY_S * 1000;
	struct timeval delay = {
		.tv_sec = (time_t)(in_ms / 1000),
		.tv_usec = (suseconds_t)(in_ms % 1000 * 1000),
	};
	/* Fails only for want of memory, and loop_timer_new has made sure of it. */
	event_add(timer->event, &delay);
}

void loop_timer_clear(struct loop_timer *timer)
{
	event_del(timer->event);
}

uint64_t loop_now_ms(void)
{
	return clock_now_ms();
}
