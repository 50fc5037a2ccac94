/* The thread that writes memory.reclaim. */
#include "supervisor/cgroup/reclaim_worker.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "supervisor/base/clock.h"
#include "supervisor/base/thread.h"
#include "supervisor/cgroup/cgroup_files.h"
#include "supervisor/policy/cgroup_text.h"

enum state { IDLE, ASKED, ANSWERED };

/* All but the lock is under it; the descriptors are the thread's while the state is ASKED. */
struct reclaim_worker {
	pthread_mutex_t lock;
	pthread_cond_t work;
	pthread_t thread;
	bool stop;
	enum state state;
	int reclaim_fd;
	int usage_fd;
	uint64_t bytes;
	uint64_t until_ms;
	struct reclaim_result result;
};

/* 0 where it cannot be read, as when the cgroup is gone. */
static uint64_t usage_bytes(int fd)
{
	char text[32];
	uint64_t bytes;
	int length = cgroup_files_read(fd, text, sizeof text);
	if (length < 0 || cgroup_text_u64(text, (size_t)length, &bytes) != 0)
		return 0;
	return bytes;
}

static int write_piece(int fd, uint64_t bytes)
{
	char text[32];
	int length = snprintf(text, sizeof text, "%" PRIu64 "\n", bytes);
	return pwrite(fd, text, (size_t)length, 0) >= 0 ? 0 : -errno;
}

static bool is_stopped(struct reclaim_worker *worker)
{
	pthread_mutex_lock(&worker->lock);
	bool stop = worker->stop;
	pthread_mutex_unlock(&worker->lock);
	return stop;
}

static int write_all(struct reclaim_worker *worker)
{
	int error = 0;
	for (uint64_t left = worker->bytes; left > 0 && error == 0;) {
		uint64_t piece =
			left < RECLAIM_WORKER_PIECE_BYTES ? left : RECLAIM_WORKER_PIECE_BYTES;
		if (is_stopped(worker) || clock_now_ms() >= worker->until_ms)
			return -ETIMEDOUT;
		error = write_piece(worker->reclaim_fd, piece);
		left -= piece;
	}
	return error;
}

static void reclaim(struct reclaim_worker *worker)
{
	uint64_t began_ms = clock_now_ms();
	uint64_t before_bytes = usage_bytes(worker->usage_fd);
	int error = write_all(worker);
	worker->result = (struct reclaim_result){
		.error = error,
		.before_bytes = before_bytes,
		.after_bytes = usage_bytes(worker->usage_fd),
		.took_ms = clock_now_ms() - began_ms,
	};
	close(worker->reclaim_fd);
	close(worker->usage_fd);
}

static void *reclaim_worker_run(void *argument)
{
	struct reclaim_worker *worker = argument;
	pthread_mutex_lock(&worker->lock);
	while (!worker->stop) {
		if (worker->state != ASKED) {
			pthread_cond_wait(&worker->work, &worker->lock);
			continue;
		}
		pthread_mutex_unlock(&worker->lock);
		reclaim(worker);
		pthread_mutex_lock(&worker->lock);
		worker->state = ANSWERED;
	}
	if (worker->state == ASKED) {
		close(worker->reclaim_fd);
		close(worker->usage_fd);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

int reclaim_worker_open(struct reclaim_worker **worker)
{
	struct reclaim_worker *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	pthread_mutex_init(&made->lock, NULL);
	pthread_cond_init(&made->work, NULL);
	int error = thread_start(&made->thread, reclaim_worker_run, made);
	if (error != 0) {
		free(made);
		return error;
	}
	*worker = made;
	return 0;
}

void reclaim_worker_close(struct reclaim_worker *worker)
{
	if (worker == NULL)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->stop = true;
	pthread_cond_signal(&worker->work);
	pthread_mutex_unlock(&worker->lock);
	pthread_join(worker->thread, NULL);
	pthread_cond_destroy(&worker->work);
	pthread_mutex_destroy(&worker->lock);
	free(worker);
}

static int open_files(struct reclaim_worker *worker, int directory_fd)
{
	worker->reclaim_fd = openat(directory_fd, "memory.reclaim", O_WRONLY | O_CLOEXEC);
	if (worker->reclaim_fd < 0)
		return -errno;
	worker->usage_fd = openat(directory_fd, "memory.current", O_RDONLY | O_CLOEXEC);
	if (worker->usage_fd >= 0)
		return 0;
	int error = -errno;
	close(worker->reclaim_fd);
	return error;
}

int reclaim_worker_start(
	struct reclaim_worker *worker, int directory_fd, uint64_t bytes, uint64_t until_ms)
{
	pthread_mutex_lock(&worker->lock);
	int error = worker->state == IDLE ? open_files(worker, directory_fd) : -EBUSY;
	if (error == 0) {
		worker->bytes = bytes;
		worker->until_ms = until_ms;
		worker->state = ASKED;
		pthread_cond_signal(&worker->work);
	}
	pthread_mutex_unlock(&worker->lock);
	return error;
}

bool reclaim_worker_take(struct reclaim_worker *worker, struct reclaim_result *result)
{
	pthread_mutex_lock(&worker->lock);
	bool answered = worker->state == ANSWERED;
	if (answered) {
		*result = worker->result;
		worker->state = IDLE;
	}
	pthread_mutex_unlock(&worker->lock);
	return answered;
}
