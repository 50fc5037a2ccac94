/* The event loop turned by hand: callbacks are called when a test says so. */

#include "tests/support/fake_loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/base/loop.h"

#define EXPIRES_MAX 10000

struct watch {
	struct loop_watch *handle;
	int fd;
	void (*ready)(void *context);
	void *context;
};

struct fake_loop fake_loop;

static struct watch watches[FAKE_LOOP_WATCHES_MAX];
static size_t watch_count;
static void (*timer_expired)(void *context);
static void *timer_context;

uint64_t __wrap_loop_now_ms(void);
int __wrap_loop_run(struct loop *loop);
void __wrap_loop_stop(struct loop *loop);
int __wrap_loop_timer_new(struct loop *loop, void (*expired)(void *context), void *context,
	struct loop_timer **timer);
void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t in_ms);
int __wrap_loop_watch_new(struct loop *loop, int fd, void (*ready)(void *context), void *context,
	struct loop_watch **watch);
void __wrap_loop_watch_free(struct loop_watch *watch);
int __real_loop_timer_new(struct loop *loop, void (*expired)(void *context), void *context,
	struct loop_timer **timer);
void __real_loop_timer_set(struct loop_timer *timer, uint64_t in_ms);
int __real_loop_watch_new(struct loop *loop, int fd, void (*ready)(void *context), void *context,
	struct loop_watch **watch);
void __real_loop_watch_free(struct loop_watch *watch);

void fake_loop_reset(uint64_t now_ms)
{
	fake_loop = (struct fake_loop){.now_ms = now_ms};
	watch_count = 0;
	timer_expired = NULL;
}

bool fake_loop_pass(uint64_t ms)
{
	uint64_t until_ms = fake_loop.now_ms + ms;
	for (unsigned i = 0; i < EXPIRES_MAX; i++) {
		if (!fake_loop.timer_set || fake_loop.timer_ms > until_ms || fake_loop.stopped) {
			fake_loop.now_ms = until_ms;
			return true;
		}
		fake_loop.timer_set = false;
		if (fake_loop.timer_ms > fake_loop.now_ms)
			fake_loop.now_ms = fake_loop.timer_ms;
		fake_loop.turns++;
		timer_expired(timer_context);
	}
	return false;
}

bool fake_loop_fire(int fd)
{
	for (size_t i = 0; i < watch_count; i++) {
		if (watches[i].fd != fd)
			continue;
		watches[i].ready(watches[i].context);
		return true;
	}
	return false;
}

size_t fake_loop_watches(void)
{
	return watch_count;
}

uint64_t __wrap_loop_now_ms(void)
{
	return fake_loop.now_ms;
}

int __wrap_loop_run(struct loop *loop)
{
	(void)loop;
	if (fake_loop.run != NULL)
		fake_loop.run(fake_loop.context);
	return 0;
}

void __wrap_loop_stop(struct loop *loop)
{
	(void)loop;
	fake_loop.stopped = true;
}

int __wrap_loop_timer_new(
	struct loop *loop, void (*expired)(void *context), void *context, struct loop_timer **timer)
{
	timer_expired = expired;
	timer_context = context;
	return __real_loop_timer_new(loop, expired, context, timer);
}

void __wrap_loop_timer_set(struct loop_timer *timer, uint64_t in_ms)
{
	__real_loop_timer_set(timer, in_ms);
	fake_loop.timer_set = true;
	fake_loop.timer_ms = fake_loop.now_ms + in_ms;
}

int __wrap_loop_watch_new(struct loop *loop, int fd, void (*ready)(void *context), void *context,
	struct loop_watch **watch)
{
	if (fake_loop.refuse_watches > 0) {
		fake_loop.refuse_watches--;
		return -ENOMEM;
	}
	if (watch_count == FAKE_LOOP_WATCHES_MAX) {
		fprintf(stderr, "fake_loop: too many watches\n");
		abort();
	}
	int error = __real_loop_watch_new(loop, fd, ready, context, watch);
	if (error == 0)
		watches[watch_count++] = (struct watch){*watch, fd, ready, context};
	return error;
}

void __wrap_loop_watch_free(struct loop_watch *watch)
{
	for (size_t i = 0; i < watch_count; i++) {
		if (watches[i].handle != watch)
			continue;
		watches[i] = watches[--watch_count];
		break;
	}
	__real_loop_watch_free(watch);
}
