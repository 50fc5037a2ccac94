/* Writes the log's lines in a thread of its own; what a line looks like is log.c's. */

#include "supervisor/base/log_writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/base/thread.h"

/* Stands before each line in the buffer. */
struct line_head {
	uint64_t lost_before; /* lines that were dropped between the line before and this one */
	size_t length;
};

/*
 * One lock, which is never held across a write.
 *
 *   first, used   the buffer is a ring; both are set back to 0 when it is empty, so that a log that
 *                 is read touches its first pages only
 *   lost          lines that were dropped after the last one in the buffer, or could not be written
 *   failing       the last write failed: no line about lost ones until one gets through
 *   busy          the thread has a line in its hands
 */
struct log_writer {
	pthread_mutex_t lock;
	pthread_cond_t work;  /* the thread waits for it */
	pthread_cond_t quiet; /* log_writer_close waits for it */
	pthread_t thread;
	int fd;
	log_writer_lost say_lost;
	bool runs; /* the thread */
	bool stop;
	bool busy;
	bool failing;
	bool left_behind; /* the thread frees it */
	uint64_t lost;
	uint64_t written;
	size_t first;
	size_t used;
	char buffer[]; /* of LOG_WRITER_BYTES, left as it comes */
};

static void copy_in(struct log_writer *writer, const void *bytes, size_t length)
{
	size_t at = (writer->first + writer->used) % LOG_WRITER_BYTES;
	size_t straight = LOG_WRITER_BYTES - at < length ? LOG_WRITER_BYTES - at : length;
	memcpy(writer->buffer + at, bytes, straight);
	memcpy(writer->buffer, (const char *)bytes + straight, length - straight);
	writer->used += length;
}

static void copy_out(struct log_writer *writer, void *bytes, size_t length)
{
	size_t at = writer->first;
	size_t straight = LOG_WRITER_BYTES - at < length ? LOG_WRITER_BYTES - at : length;
	memcpy(bytes, writer->buffer + at, straight);
	memcpy((char *)bytes + straight, writer->buffer, length - straight);
	writer->used -= length;
	writer->first = writer->used == 0 ? 0 : (at + length) % LOG_WRITER_BYTES;
}

static void put_locked(struct log_writer *writer, const char *line, size_t length)
{
	if (LOG_WRITER_BYTES - writer->used < sizeof(struct line_head) + length) {
		writer->lost++;
	} else {
		struct line_head head = {.length = length};
		if (!writer->failing) {
			head.lost_before = writer->lost;
			writer->lost = 0;
		}
		copy_in(writer, &head, sizeof head);
		copy_in(writer, line, length);
	}
	pthread_cond_signal(&writer->work);
}

/* Whole or not at all, as far as the kernel allows.  Whoever else has the description may have made
 * it non-blocking. */
static bool write_whole(int fd, const char *line, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, line, length);
		if (written > 0) {
			line += written;
			length -= (size_t)written;
			continue;
		}
		if (written < 0 && errno == EAGAIN) {
			struct pollfd room = {.fd = fd, .events = POLLOUT};
			poll(&room, 1, -1);
		} else if (written == 0 || errno != EINTR) {
			return false;
		}
	}
	return true;
}

/* The next thing to write, which is a line of the buffer or one about those that are lost: then
 * *lost is their count and head->length 0.  false: nothing. */
static bool take_locked(
	struct log_writer *writer, struct line_head *head, char *line, uint64_t *lost)
{
	*head = (struct line_head){0};
	*lost = 0;
	if (writer->used > 0) {
		copy_out(writer, head, sizeof *head);
		copy_out(writer, line, head->length);
		*lost = head->lost_before;
	} else if (writer->lost > 0 && !writer->failing) {
		*lost = writer->lost;
		writer->lost = 0;
	} else {
		return false;
	}
	return true;
}

/* How many lines are lost with this write. */
static uint64_t write_taken(
	struct log_writer *writer, const struct line_head *head, const char *line, uint64_t lost)
{
	char text[LOG_WRITER_LINE_BYTES];
	uint64_t failed = 0;
	if (lost > 0 && !write_whole(writer->fd, text, writer->say_lost(text, sizeof text, lost)))
		failed += lost;
	if (head->length > 0 && !write_whole(writer->fd, line, head->length))
		failed++;
	return failed;
}

static void free_writer(struct log_writer *writer)
{
	pthread_cond_destroy(&writer->work);
	pthread_cond_destroy(&writer->quiet);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
}

static void *log_writer_run(void *argument)
{
	struct log_writer *writer = argument;
	char line[LOG_WRITER_LINE_BYTES];
	pthread_mutex_lock(&writer->lock);
	for (;;) {
		struct line_head head;
		uint64_t lost;
		if (!take_locked(writer, &head, line, &lost)) {
			if (writer->stop)
				break;
			pthread_cond_wait(&writer->work, &writer->lock);
			continue;
		}
		writer->busy = true;
		pthread_mutex_unlock(&writer->lock);
		uint64_t failed = write_taken(writer, &head, line, lost);
		pthread_mutex_lock(&writer->lock);
		writer->busy = false;
		writer->failing = failed > 0;
		writer->lost += failed;
		writer->written++;
		pthread_cond_signal(&writer->quiet);
	}
	bool left_behind = writer->left_behind;
	pthread_mutex_unlock(&writer->lock);
	if (left_behind)
		free_writer(writer);
	return NULL;
}

bool log_writer_put(struct log_writer *writer, const char *line, size_t length)
{
	int saved_errno = errno;
	pthread_mutex_lock(&writer->lock);
	if (!writer->runs)
		writer->runs = thread_start(&writer->thread, log_writer_run, writer) == 0;
	bool runs = writer->runs;
	if (runs)
		put_locked(writer, line, length);
	pthread_mutex_unlock(&writer->lock);
	errno = saved_errno;
	return runs;
}

static void init_locks(struct log_writer *writer)
{
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->work, NULL);
	pthread_cond_init(&writer->quiet, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

int log_writer_open(int fd, log_writer_lost lost, struct log_writer **writer)
{
	struct log_writer *made = malloc(sizeof *made + LOG_WRITER_BYTES);
	if (made == NULL)
		return -ENOMEM;
	*made = (struct log_writer){.fd = fd, .say_lost = lost};
	init_locks(made);
	*writer = made;
	return 0;
}

static struct timespec clock_after(uint32_t wait_ms)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += wait_ms / 1000;
	until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return until;
}

static bool pending_locked(const struct log_writer *writer)
{
	return writer->busy || writer->used > 0 || (writer->lost > 0 && !writer->failing);
}

void log_writer_close(struct log_writer *writer, uint32_t wait_ms)
{
	if (writer == NULL)
		return;
	pthread_mutex_lock(&writer->lock);
	struct timespec until = clock_after(wait_ms);
	uint64_t written = writer->written;
	bool late = false;
	writer->stop = true;
	pthread_cond_signal(&writer->work);
	while (pending_locked(writer) && !late) {
		late = pthread_cond_timedwait(&writer->quiet, &writer->lock, &until) == ETIMEDOUT;
		if (writer->written == written)
			continue;
		written = writer->written;
		until = clock_after(wait_ms);
		late = false;
	}
	writer->left_behind = pending_locked(writer);
	if (writer->left_behind) {
		writer->used = 0;
		writer->first = 0;
		writer->lost = 0;
		writer->failing = true;
		pthread_detach(writer->thread);
		pthread_mutex_unlock(&writer->lock);
		return;
	}
	bool runs = writer->runs;
	pthread_mutex_unlock(&writer->lock);
	if (runs)
		pthread_join(writer->thread, NULL);
	free_writer(writer);
}
