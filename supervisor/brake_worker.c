#include "supervisor/brake_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "config/config.h"

#define STACK_BYTES ((size_t)64 << 10)

/*
 * One slot per service, under one lock, which is never held across a write.
 * While a slot is busy its file is in the thread's hands: nobody else closes it.
 *
 *   due:  wanted differs from written, or until_ms has passed while on
 */
struct brake_slot {
	int file_fd; /* -1 = never set */
	bool on;
	bool due;
	bool busy;
	uint64_t high_bytes;
	uint64_t normal_bytes;
	uint64_t until_ms;
	uint64_t expired_count;
};

struct brake_worker {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* the thread waits for it */
	pthread_cond_t quiet; /* brake_worker_forget waits for it */
	pthread_t thread;
	bool stop;
	struct brake_slot slot[CONFIG_SERVICES_MAX];
};

static uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void write_high(int fd, uint64_t bytes)
{
	char text[32];
	int length = bytes == UINT64_MAX
			     ? snprintf(text, sizeof text, "max\n")
			     : snprintf(text, sizeof text, "%llu\n", (unsigned long long)bytes);
	/* The leaf may be gone by now; then nothing is braked any more either. */
	ssize_t ignored = pwrite(fd, text, (size_t)length, 0);
	(void)ignored;
}

static void lift_locked(struct brake_slot *slot)
{
	if (!slot->on)
		return;
	slot->on = false;
	slot->due = true;
}

/* The next slot with something to write; sets *wake_ms to the earliest deadline otherwise. */
static struct brake_slot *next_due_locked(struct brake_worker *worker, uint64_t *wake_ms)
{
	uint64_t now_ms = clock_ms();
	*wake_ms = UINT64_MAX;
	for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++) {
		struct brake_slot *slot = &worker->slot[i];
		if (slot->on && slot->until_ms <= now_ms) {
			lift_locked(slot);
			slot->expired_count++;
		}
		if (slot->due)
			return slot;
		if (slot->on && slot->until_ms < *wake_ms)
			*wake_ms = slot->until_ms;
	}
	return NULL;
}

static void wait_locked(struct brake_worker *worker, uint64_t wake_ms)
{
	if (wake_ms == UINT64_MAX) {
		pthread_cond_wait(&worker->work, &worker->lock);
		return;
	}
	struct timespec until = {
		.tv_sec = (time_t)(wake_ms / 1000), .tv_nsec = (long)(wake_ms % 1000) * 1000000};
	pthread_cond_timedwait(&worker->work, &worker->lock, &until);
}

static void *brake_worker_run(void *argument)
{
	struct brake_worker *worker = argument;
	pthread_mutex_lock(&worker->lock);
	for (;;) {
		uint64_t wake_ms;
		struct brake_slot *slot = next_due_locked(worker, &wake_ms);
		if (slot == NULL) {
			if (worker->stop)
				break;
			wait_locked(worker, wake_ms);
			continue;
		}
		uint64_t bytes = slot->on ? slot->high_bytes : slot->normal_bytes;
		int fd = slot->file_fd;
		slot->due = false;
		slot->busy = true;
		pthread_mutex_unlock(&worker->lock);
		write_high(fd, bytes);
		pthread_mutex_lock(&worker->lock);
		slot->busy = false;
		pthread_cond_broadcast(&worker->quiet);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

static int start_thread(struct brake_worker *worker)
{
	pthread_attr_t attributes;
	pthread_condattr_t monotonic;
	sigset_t all;
	sigset_t before;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->work, &monotonic);
	pthread_cond_init(&worker->quiet, NULL);
	pthread_condattr_destroy(&monotonic);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = pthread_create(&worker->thread, &attributes, brake_worker_run, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return -error;
}

int brake_worker_open(struct brake_worker **worker)
{
	struct brake_worker *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++)
		made->slot[i].file_fd = -1;
	int error = start_thread(made);
	if (error != 0) {
		free(made);
		return error;
	}
	*worker = made;
	return 0;
}

void brake_worker_close(struct brake_worker *worker)
{
	if (worker == NULL)
		return;
	pthread_mutex_lock(&worker->lock);
	for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++)
		lift_locked(&worker->slot[i]);
	worker->stop = true;
	pthread_cond_signal(&worker->work);
	pthread_mutex_unlock(&worker->lock);
	pthread_join(worker->thread, NULL);
	for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++)
		if (worker->slot[i].file_fd >= 0)
			close(worker->slot[i].file_fd);
	pthread_cond_destroy(&worker->work);
	pthread_cond_destroy(&worker->quiet);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

int brake_worker_set(struct brake_worker *worker, size_t service, int directory_fd,
	uint64_t high_bytes, uint64_t normal_bytes, uint64_t until_ms)
{
	struct brake_slot *slot = &worker->slot[service];
	int error = 0;
	pthread_mutex_lock(&worker->lock);
	if (slot->file_fd < 0) {
		slot->file_fd =
			openat(directory_fd, "memory.high", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (slot->file_fd < 0)
			error = -errno;
	}
	if (error == 0) {
		slot->on = true;
		slot->due = true;
		slot->high_bytes = high_bytes;
		slot->normal_bytes = normal_bytes;
		slot->until_ms = until_ms;
		pthread_cond_signal(&worker->work);
	}
	pthread_mutex_unlock(&worker->lock);
	return error;
}

void brake_worker_lift(struct brake_worker *worker, size_t service)
{
	pthread_mutex_lock(&worker->lock);
	lift_locked(&worker->slot[service]);
	pthread_cond_signal(&worker->work);
	pthread_mutex_unlock(&worker->lock);
}

void brake_worker_forget(struct brake_worker *worker, size_t service)
{
	struct brake_slot *slot = &worker->slot[service];
	pthread_mutex_lock(&worker->lock);
	lift_locked(slot);
	pthread_cond_signal(&worker->work);
	while (slot->due || slot->busy)
		pthread_cond_wait(&worker->quiet, &worker->lock);
	if (slot->file_fd >= 0)
		close(slot->file_fd);
	*slot = (struct brake_slot){.file_fd = -1};
	pthread_mutex_unlock(&worker->lock);
}

bool brake_worker_is_on(struct brake_worker *worker, size_t service)
{
	pthread_mutex_lock(&worker->lock);
	bool on = worker->slot[service].on;
	pthread_mutex_unlock(&worker->lock);
	return on;
}

uint64_t brake_worker_expired_count(struct brake_worker *worker, size_t service)
{
	pthread_mutex_lock(&worker->lock);
	uint64_t count = worker->slot[service].expired_count;
	pthread_mutex_unlock(&worker->lock);
	return count;
}
