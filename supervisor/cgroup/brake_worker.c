/* The thread that writes memory.high, memory.max and cgroup.freeze, and what it tells the guard. */

#include "supervisor/cgroup/brake_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/cgroup/brake_guard.h"
#include "supervisor/base/clock.h"
#include "supervisor/base/thread.h"

/*
 * Slots of which each holds one file at a value for a time, under one lock, which is never held
 * across a write.  For cgroup.freeze the values are 1 and 0 bytes.
 * While a slot is busy its file is in the thread's hands: nobody else closes it.
 *
 *   due:  wanted differs from written, or until_ms has passed while on
 *   once: what is to be written once, into a file that is closed then; memory.high among it only
 *         where no brake has opened that file before
 */
enum once_kind { ONCE_MAX, ONCE_HIGH, ONCES };

struct once {
	int fd; /* -1 = nothing */
	uint64_t bytes;
};

struct brake_slot {
	bool taken;
	size_t number;
	int file_fd; /* -1 = never set */
	struct once once[ONCES];
	int error; /* of the last write of a limit that failed, until it is asked for */
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
	bool runs; /* the thread, from the first write on */
	bool stop;
	bool end_guard;           /* as soon as no brake is on and none is to be lifted */
	struct brake_guard guard; /* under the lock as well, since nothing of it waits */
	struct brake_slot **slot; /* each at one address for good: the thread holds on to one */
	size_t slot_count;
};

/* 0 or -errno.  Where the leaf is gone by now nothing is limited any more either. */
static int write_limit(int fd, uint64_t bytes)
{
	char text[32];
	int length = bytes == UINT64_MAX
			     ? snprintf(text, sizeof text, "max\n")
			     : snprintf(text, sizeof text, "%llu\n", (unsigned long long)bytes);
	if (pwrite(fd, text, (size_t)length, 0) >= 0 || errno == ENODEV)
		return 0;
	return -errno;
}

static struct once *pending_locked(struct brake_slot *slot)
{
	for (size_t i = 0; i < ONCES; i++)
		if (slot->once[i].fd >= 0)
			return &slot->once[i];
	return NULL;
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
	uint64_t now_ms = clock_now_ms();
	*wake_ms = UINT64_MAX;
	for (size_t i = 0; i < worker->slot_count; i++) {
		struct brake_slot *slot = worker->slot[i];
		if (slot->on && slot->until_ms <= now_ms) {
			lift_locked(slot);
			slot->expired_count++;
		}
		if (slot->due || pending_locked(slot) != NULL)
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

/* Releases the lock meanwhile.  is_limit: a failure is to be told of; without a brake a service
 * only goes on faster. */
static void write_locked(
	struct brake_worker *worker, struct brake_slot *slot, int fd, uint64_t bytes, bool is_limit)
{
	slot->busy = true;
	pthread_mutex_unlock(&worker->lock);
	int error = write_limit(fd, bytes);
	pthread_mutex_lock(&worker->lock);
	slot->busy = false;
	if (error != 0 && is_limit)
		slot->error = error;
	pthread_cond_broadcast(&worker->quiet);
}

static void write_once_locked(
	struct brake_worker *worker, struct brake_slot *slot, struct once *once)
{
	int fd = once->fd;
	once->fd = -1;
	write_locked(worker, slot, fd, once->bytes, true);
	close(fd);
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
			if (worker->end_guard)
				brake_guard_close(&worker->guard);
			worker->end_guard = false;
			wait_locked(worker, wake_ms);
			continue;
		}
		struct once *once = pending_locked(slot);
		if (once != NULL) {
			write_once_locked(worker, slot, once);
			continue;
		}
		slot->due = false;
		write_locked(worker, slot, slot->file_fd,
			slot->on ? slot->high_bytes : slot->normal_bytes, !slot->on);
		/* Whatever goes wrong here, the guard writes the configured value once more. */
		if (!slot->on)
			brake_guard_clear(&worker->guard, slot->number);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

/* 0 or -errno: what is asked for cannot be written. */
static int start_locked(struct brake_worker *worker)
{
	int error = worker->runs ? 0 : thread_start(&worker->thread, brake_worker_run, worker);
	worker->runs = error == 0;
	return error;
}

static void init_locks(struct brake_worker *worker)
{
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&worker->lock, NULL);
	pthread_cond_init(&worker->work, &monotonic);
	pthread_cond_init(&worker->quiet, NULL);
	pthread_condattr_destroy(&monotonic);
}

int brake_worker_open(struct brake_worker **worker)
{
	struct brake_worker *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->guard = BRAKE_GUARD_NONE;
	init_locks(made);
	*worker = made;
	return 0;
}

void brake_worker_close(struct brake_worker *worker)
{
	if (worker == NULL)
		return;
	pthread_mutex_lock(&worker->lock);
	for (size_t i = 0; i < worker->slot_count; i++)
		lift_locked(worker->slot[i]);
	worker->stop = true;
	pthread_cond_signal(&worker->work);
	bool runs = worker->runs;
	pthread_mutex_unlock(&worker->lock);
	if (runs)
		pthread_join(worker->thread, NULL);
	brake_guard_close(&worker->guard);
	for (size_t i = 0; i < worker->slot_count; i++) {
		if (worker->slot[i]->file_fd >= 0)
			close(worker->slot[i]->file_fd);
		free(worker->slot[i]);
	}
	free(worker->slot);
	pthread_cond_destroy(&worker->work);
	pthread_cond_destroy(&worker->quiet);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

static struct brake_slot empty_slot(size_t number)
{
	return (struct brake_slot){.number = number,
		.file_fd = -1,
		.once = {[ONCE_MAX] = {.fd = -1}, [ONCE_HIGH] = {.fd = -1}}};
}

/* One more at the end; 0 or -ENOMEM. */
static int grow_locked(struct brake_worker *worker)
{
	size_t count = worker->slot_count;
	struct brake_slot **grown =
		realloc(worker->slot, (count + 1) * sizeof(struct brake_slot *));
	if (grown == NULL)
		return -ENOMEM;
	worker->slot = grown;
	grown[count] = malloc(sizeof *grown[count]);
	if (grown[count] == NULL)
		return -ENOMEM;
	*grown[count] = empty_slot(count);
	worker->slot_count++;
	return 0;
}

int brake_worker_add(struct brake_worker *worker, size_t *number)
{
	size_t i = 0;
	pthread_mutex_lock(&worker->lock);
	while (i < worker->slot_count && worker->slot[i]->taken)
		i++;
	int error = i < worker->slot_count ? 0 : grow_locked(worker);
	if (error == 0) {
		worker->slot[i]->taken = true;
		*number = i;
	}
	pthread_mutex_unlock(&worker->lock);
	return error;
}

static int tell_guard_locked(struct brake_worker *worker, const struct brake_guard_order *order)
{
	int error = brake_guard_set(&worker->guard, order);
	if (error != -EPIPE)
		return error;
	brake_guard_close(&worker->guard);
	error = brake_guard_open(&worker->guard);
	for (size_t i = 0; error == 0 && i < worker->slot_count; i++) {
		const struct brake_slot *slot = worker->slot[i];
		struct brake_guard_order again = {.slot = i,
			.file_fd = slot->file_fd,
			.normal_bytes = slot->normal_bytes,
			.until_ms = slot->until_ms};
		if (slot->on && i != order->slot)
			error = brake_guard_set(&worker->guard, &again);
	}
	return error == 0 ? brake_guard_set(&worker->guard, order) : error;
}

static int set_once_locked(struct once *once, int directory_fd, const char *file, uint64_t bytes)
{
	if (once->fd < 0)
		once->fd = openat(directory_fd, file, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	once->bytes = bytes;
	return once->fd >= 0 ? 0 : -errno;
}

/* What holds a slot's file at a value for a time. */
struct hold {
	const char *file;
	uint64_t bytes;
	uint64_t normal_bytes;
	uint64_t until_ms;
};

static int hold_locked(struct brake_worker *worker, struct brake_slot *slot, int directory_fd,
	const struct hold *hold)
{
	if (slot->file_fd < 0) {
		slot->file_fd = openat(directory_fd, hold->file, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
		if (slot->file_fd < 0)
			return -errno;
	}
	struct brake_guard_order order = {.slot = slot->number,
		.file_fd = slot->file_fd,
		.normal_bytes = hold->normal_bytes,
		.until_ms = hold->until_ms};
	int error = tell_guard_locked(worker, &order);
	if (error != 0)
		return error;
	worker->end_guard = false;
	slot->on = true;
	slot->due = true;
	slot->high_bytes = hold->bytes;
	slot->normal_bytes = hold->normal_bytes;
	slot->until_ms = hold->until_ms;
	pthread_cond_signal(&worker->work);
	return 0;
}

static int hold(
	struct brake_worker *worker, size_t number, int directory_fd, const struct hold *hold)
{
	pthread_mutex_lock(&worker->lock);
	int error = start_locked(worker);
	if (error == 0)
		error = hold_locked(worker, worker->slot[number], directory_fd, hold);
	pthread_mutex_unlock(&worker->lock);
	return error;
}

int brake_worker_set(struct brake_worker *worker, size_t number, int directory_fd,
	uint64_t high_bytes, uint64_t normal_bytes, uint64_t until_ms)
{
	const struct hold high = {"memory.high", high_bytes, normal_bytes, until_ms};
	return hold(worker, number, directory_fd, &high);
}

int brake_worker_freeze(
	struct brake_worker *worker, size_t number, int directory_fd, uint64_t until_ms)
{
	const struct hold frozen = {"cgroup.freeze", 1, 0, until_ms};
	return hold(worker, number, directory_fd, &frozen);
}

int brake_worker_normal(
	struct brake_worker *worker, size_t number, int directory_fd, uint64_t normal_bytes)
{
	struct brake_slot *slot = worker->slot[number];
	pthread_mutex_lock(&worker->lock);
	int error = start_locked(worker);
	if (error == 0 && slot->file_fd < 0)
		error = set_once_locked(
			&slot->once[ONCE_HIGH], directory_fd, "memory.high", normal_bytes);
	slot->normal_bytes = normal_bytes;
	slot->due = slot->file_fd >= 0;
	if (slot->on) {
		struct brake_guard_order order = {.slot = number,
			.file_fd = slot->file_fd,
			.normal_bytes = normal_bytes,
			.until_ms = slot->until_ms};
		/* Without a guard that knows the new value there is no brake. */
		if (tell_guard_locked(worker, &order) != 0)
			lift_locked(slot);
	}
	pthread_cond_signal(&worker->work);
	pthread_mutex_unlock(&worker->lock);
	return error;
}

int brake_worker_error(struct brake_worker *worker, size_t number)
{
	struct brake_slot *slot = worker->slot[number];
	pthread_mutex_lock(&worker->lock);
	int error = slot->error;
	slot->error = 0;
	pthread_mutex_unlock(&worker->lock);
	return error;
}

int brake_worker_limit(
	struct brake_worker *worker, size_t number, int directory_fd, uint64_t max_bytes)
{
	struct brake_slot *slot = worker->slot[number];
	pthread_mutex_lock(&worker->lock);
	int error = start_locked(worker);
	if (error == 0)
		error = set_once_locked(
			&slot->once[ONCE_MAX], directory_fd, "memory.max", max_bytes);
	pthread_cond_signal(&worker->work);
	pthread_mutex_unlock(&worker->lock);
	return error;
}

void brake_worker_lift(struct brake_worker *worker, size_t number)
{
	pthread_mutex_lock(&worker->lock);
	lift_locked(worker->slot[number]);
	pthread_cond_signal(&worker->work);
	pthread_mutex_unlock(&worker->lock);
}

void brake_worker_forget(struct brake_worker *worker, size_t number)
{
	struct brake_slot *slot = worker->slot[number];
	pthread_mutex_lock(&worker->lock);
	lift_locked(slot);
	pthread_cond_signal(&worker->work);
	while (slot->due || slot->busy || pending_locked(slot) != NULL)
		pthread_cond_wait(&worker->quiet, &worker->lock);
	brake_guard_forget(&worker->guard, number);
	if (slot->file_fd >= 0)
		close(slot->file_fd);
	*slot = empty_slot(number);
	pthread_mutex_unlock(&worker->lock);
}

void brake_worker_end_guard(struct brake_worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	for (size_t i = 0; i < worker->slot_count; i++)
		lift_locked(worker->slot[i]);
	worker->end_guard = worker->guard.fd >= 0;
	pthread_cond_signal(&worker->work);
	pthread_mutex_unlock(&worker->lock);
}

bool brake_worker_is_on(struct brake_worker *worker, size_t number)
{
	pthread_mutex_lock(&worker->lock);
	bool on = worker->slot[number]->on;
	pthread_mutex_unlock(&worker->lock);
	return on;
}

uint64_t brake_worker_expired_count(struct brake_worker *worker, size_t number)
{
	pthread_mutex_lock(&worker->lock);
	uint64_t count = worker->slot[number]->expired_count;
	pthread_mutex_unlock(&worker->lock);
	return count;
}
