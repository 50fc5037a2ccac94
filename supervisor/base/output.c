/* Pipes for what services write, and the two threads that put it into files. */
#include "supervisor/base/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/base/clock.h"
#include "supervisor/base/log.h"
#include "supervisor/base/output_private.h"
#include "supervisor/base/thread.h"

struct outputs outputs = {.lock = PTHREAD_MUTEX_INITIALIZER, .epoll_fd = -1, .wake_fd = -1};

static void init_conditions(void)
{
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&outputs.work, NULL);
	pthread_cond_init(&outputs.room, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

static void close_descriptors(void)
{
	if (outputs.epoll_fd >= 0)
		close(outputs.epoll_fd);
	if (outputs.wake_fd >= 0)
		close(outputs.wake_fd);
	outputs.epoll_fd = -1;
	outputs.wake_fd = -1;
}

static void wake_reader(void)
{
	const uint64_t one = 1;
	ssize_t ignored = write(outputs.wake_fd, &one, sizeof one);
	(void)ignored;
}

/* 0 or -errno. */
static int start_threads(void)
{
	struct epoll_event wake = {.events = EPOLLIN};
	char *buffer = malloc(OUTPUT_PIECE_BYTES);
	int error = buffer != NULL ? 0 : -ENOMEM;
	outputs.is_stopping = false;
	outputs.reader_is_done = false;
	outputs.writer_is_done = false;
	outputs.last = &outputs.first;
	outputs.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	outputs.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (error == 0 &&
		(outputs.epoll_fd < 0 || outputs.wake_fd < 0 ||
			epoll_ctl(outputs.epoll_fd, EPOLL_CTL_ADD, outputs.wake_fd, &wake) != 0))
		error = -errno;
	if (error == 0) {
		init_conditions();
		error = thread_start(&outputs.writer, output_writer_run, NULL);
	}
	if (error == 0) {
		error = thread_start(&outputs.reader, output_reader_run, buffer);
		if (error != 0) {
			pthread_mutex_lock(&outputs.lock);
			outputs.reader_is_done = true;
			pthread_cond_signal(&outputs.work);
			pthread_mutex_unlock(&outputs.lock);
			pthread_join(outputs.writer, NULL);
		}
	}
	if (error != 0) {
		free(buffer);
		close_descriptors();
		return error;
	}
	outputs.is_running = true;
	return 0;
}

static int file_init(struct rotating_file *to, const struct output_file *file)
{
	int error = rotating_file_init(to, file->path, file->max_bytes, file->backups);
	if (error == 0)
		to->is_ours = file->is_ours;
	return error;
}

/* Takes read_fd when it returns 0. */
static int add(const char *name, const struct output_file *file, int read_fd, int write_fd,
	struct output **output)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct output *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	*made = (struct output){.read_fd = read_fd, .write_fd = write_fd, .is_to_reopen = true};
	made->name = strdup(name);
	int error = made->name != NULL ? file_init(&made->file, file) : -ENOMEM;
	event.data.ptr = made;
	pthread_mutex_lock(&outputs.lock);
	if (error == 0 && epoll_ctl(outputs.epoll_fd, EPOLL_CTL_ADD, read_fd, &event) != 0)
		error = -errno;
	if (error == 0) {
		made->next = outputs.first_output;
		outputs.first_output = made;
		pthread_cond_signal(&outputs.work);
	}
	pthread_mutex_unlock(&outputs.lock);
	if (error == 0) {
		*output = made;
		return 0;
	}
	free(made->file.path);
	free(made->name);
	free(made);
	return error;
}

/* An end of that pipe that reads and writes; a descriptor or -errno. */
static int open_both_ways(int fd)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int both = open(path, O_RDWR | O_CLOEXEC);
	return both >= 0 ? both : -errno;
}

int output_new_from(
	const char *name, const struct output_file *file, int read_fd, struct output **output)
{
	int error = outputs.is_running ? 0 : start_threads();
	int write_fd = error == 0 ? open_both_ways(read_fd) : error;
	if (write_fd < 0)
		return write_fd;
	error = add(name, file, read_fd, write_fd, output);
	if (error != 0)
		close(write_fd);
	return error;
}

int output_new(
	const char *name, const struct output_file *file, bool survives, struct output **output)
{
	int ends[2];
	int error = outputs.is_running ? 0 : start_threads();
	if (error != 0)
		return error;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return -errno;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	int both = survives ? open_both_ways(ends[0]) : -1;
	if (both >= 0) {
		close(ends[1]);
		ends[1] = both;
	}
	error = add(name, file, ends[0], ends[1], output);
	if (error != 0) {
		close(ends[0]);
		close(ends[1]);
	}
	return error;
}

int output_fd(const struct output *output)
{
	return output->write_fd;
}

int output_set(struct output *output, const struct output_file *file)
{
	struct rotating_file wanted;
	int error = file_init(&wanted, file);
	if (error != 0)
		return error;
	pthread_mutex_lock(&outputs.lock);
	/* What goes on under its name is not begun anew. */
	wanted.was_opened = strcmp(wanted.path, output->file.path) == 0;
	free(output->wanted.path);
	output->wanted = wanted;
	pthread_cond_signal(&outputs.work);
	pthread_mutex_unlock(&outputs.lock);
	return 0;
}

void output_free(struct output *output)
{
	if (output == NULL)
		return;
	/* Once it is closed the threads may free the output: what we have done to it comes before.
	 */
	pthread_mutex_lock(&outputs.lock);
	int write_fd = output->write_fd;
	pthread_mutex_unlock(&outputs.lock);
	close(write_fd);
}

void output_reopen_all(void)
{
	if (!outputs.is_running)
		return;
	pthread_mutex_lock(&outputs.lock);
	for (struct output *output = outputs.first_output; output != NULL; output = output->next)
		output->is_to_reopen = true;
	pthread_cond_signal(&outputs.work);
	pthread_mutex_unlock(&outputs.lock);
}

void output_stop_all(uint32_t wait_ms)
{
	if (!outputs.is_running)
		return;
	pthread_mutex_lock(&outputs.lock);
	uint64_t written = outputs.pieces_written;
	uint64_t until_ms = clock_now_ms() + wait_ms;
	outputs.is_stopping = true;
	wake_reader();
	while (!outputs.writer_is_done && clock_now_ms() < until_ms) {
		struct timespec until = output_timespec(until_ms);
		pthread_cond_timedwait(&outputs.room, &outputs.lock, &until);
		if (outputs.pieces_written != written)
			until_ms = clock_now_ms() + wait_ms;
		written = outputs.pieces_written;
	}
	bool is_done = outputs.writer_is_done;
	pthread_mutex_unlock(&outputs.lock);
	outputs.is_running = false;
	if (!is_done) {
		log_warn("log files: a disk takes nothing; what was not written is lost");
		pthread_detach(outputs.reader);
		pthread_detach(outputs.writer);
		return;
	}
	pthread_join(outputs.reader, NULL);
	pthread_join(outputs.writer, NULL);
	close_descriptors();
}
