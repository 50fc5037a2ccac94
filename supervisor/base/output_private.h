#ifndef SUPERVISOR_BASE_OUTPUT_PRIVATE_H
#define SUPERVISOR_BASE_OUTPUT_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "supervisor/base/rotating_file.h"

/* What the two threads of output.h and those who start them share.  For nobody else. */

#define OUTPUT_PIECE_BYTES ((size_t)16 << 10)

struct output {
	struct output *next;
	char *name;
	int read_fd; /* the reader's */
	int write_fd;
	struct rotating_file file; /* the writer's */
	bool is_failing;           /* the writer's: the last piece did not go into the file */
	bool is_stuck;             /* the writer's: it was said that it cannot be rotated */

	/* Under the lock: */
	struct rotating_file wanted; /* path NULL = as it is */
	bool is_to_reopen;
	bool is_over; /* nobody writes to it any more; after its last piece it is freed */
	uint64_t lost_bytes;
	size_t pieces; /* that are waiting */
};

struct piece {
	struct piece *next;
	struct output *output;
	size_t length;
	char bytes[];
};

/* One for all outputs, as there is one log. */
struct outputs {
	pthread_mutex_t lock;
	pthread_cond_t work; /* for the writer */
	pthread_cond_t room; /* for the reader, and for who stops it all */
	bool is_running;
	bool is_stopping;
	bool reader_is_done;
	bool writer_is_done;
	pthread_t reader;
	pthread_t writer;
	int epoll_fd;
	int wake_fd;
	struct output *first_output;
	struct piece *first;
	struct piece **last;
	size_t waiting_bytes;
	uint64_t writing_since_ms; /* 0 = the writer does not write */
	uint64_t pieces_written;
};

extern struct outputs outputs;

/* For a wait until then. */
static inline struct timespec output_timespec(uint64_t ms)
{
	return (struct timespec){
		.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
}

/* The threads.  The reader's argument is OUTPUT_PIECE_BYTES from malloc, which it frees. */
void *output_reader_run(void *argument);
void *output_writer_run(void *argument);

#endif
