/* The thread that takes from pipes what services write. */
#include "supervisor/base/output_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "supervisor/base/clock.h"
#include "supervisor/base/log.h"
#include "supervisor/base/output.h"

#define EVENTS 16
/* What is taken at the end from one whose processes live on and write. */
#define REST_BYTES ((size_t)1 << 20)

/* Waits for room for so many bytes while the writer gets on; false: there is none. */
static bool wait_for_room_locked(size_t length)
{
	while (outputs.waiting_bytes + length > OUTPUT_QUEUE_BYTES) {
		uint64_t since_ms = outputs.writing_since_ms;
		struct timespec until = output_timespec(since_ms + OUTPUT_PATIENCE_MS);
		if (since_ms == 0)
			pthread_cond_wait(&outputs.room, &outputs.lock);
		else if (clock_now_ms() >= since_ms + OUTPUT_PATIENCE_MS)
			return false;
		else
			pthread_cond_timedwait(&outputs.room, &outputs.lock, &until);
	}
	return true;
}

static void hand_over(struct output *output, const char *bytes, size_t length)
{
	bool is_news = false;
	struct piece *piece = malloc(sizeof *piece + length);
	pthread_mutex_lock(&outputs.lock);
	if (piece != NULL && wait_for_room_locked(length)) {
		*piece = (struct piece){.output = output, .length = length};
		memcpy(piece->bytes, bytes, length);
		*outputs.last = piece;
		outputs.last = &piece->next;
		outputs.waiting_bytes += length;
		output->pieces++;
		pthread_cond_signal(&outputs.work);
		piece = NULL;
	} else {
		is_news = output->lost_bytes == 0;
		output->lost_bytes += length;
	}
	pthread_mutex_unlock(&outputs.lock);
	if (is_news)
		log_warn("%s: the disk has taken nothing for %u ms: what is written is lost",
			output->name, OUTPUT_PATIENCE_MS);
	free(piece);
}

/* The last process that could write has closed it. */
static void end(struct output *output)
{
	epoll_ctl(outputs.epoll_fd, EPOLL_CTL_DEL, output->read_fd, NULL);
	close(output->read_fd);
	output->read_fd = -1;
	pthread_mutex_lock(&outputs.lock);
	output->is_over = true;
	pthread_cond_signal(&outputs.work);
	pthread_mutex_unlock(&outputs.lock);
}

/* One piece: 1; 0: there was none; -1: nor will there be, and the output is not ours any more. */
static int take(struct output *output, char *buffer)
{
	ssize_t got;
	do
		got = read(output->read_fd, buffer, OUTPUT_PIECE_BYTES);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		hand_over(output, buffer, (size_t)got);
	else if (got == 0)
		end(output);
	return got > 0 ? 1 : got == 0 ? -1 : 0;
}

static struct output *find_open(void)
{
	pthread_mutex_lock(&outputs.lock);
	struct output *output = outputs.first_output;
	while (output != NULL && output->is_over)
		output = output->next;
	pthread_mutex_unlock(&outputs.lock);
	return output;
}

/* All that is in the pipes: the processes have ended, or are let go. */
static void take_the_rest(char *buffer)
{
	struct output *output;
	while ((output = find_open()) != NULL) {
		size_t left = REST_BYTES / OUTPUT_PIECE_BYTES;
		int taken = 1;
		while (taken > 0 && left-- > 0)
			taken = take(output, buffer);
		if (taken >= 0)
			end(output);
	}
}

static bool is_stopping(void)
{
	pthread_mutex_lock(&outputs.lock);
	bool is = outputs.is_stopping;
	pthread_mutex_unlock(&outputs.lock);
	return is;
}

void *output_reader_run(void *argument)
{
	char *buffer = argument;
	struct epoll_event events[EVENTS];
	while (!is_stopping()) {
		int count = epoll_wait(outputs.epoll_fd, events, EVENTS, -1);
		for (int i = 0; i < count; i++)
			if (events[i].data.ptr != NULL)
				take(events[i].data.ptr, buffer);
	}
	take_the_rest(buffer);
	free(buffer);
	pthread_mutex_lock(&outputs.lock);
	outputs.reader_is_done = true;
	pthread_cond_broadcast(&outputs.work);
	pthread_mutex_unlock(&outputs.lock);
	return NULL;
}
