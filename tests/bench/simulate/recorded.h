#ifndef TESTS_BENCH_SIMULATE_RECORDED_H
#define TESTS_BENCH_SIMULATE_RECORDED_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A recorded life (shim/trace_format.h), of which nothing is believed: a file that breaks off
 * within a record, makes a block where one is, frees one twice, or asks for what no program has is
 * told on stderr in a line.  Frees of what is from before the recording are left out, and counted
 * on stderr.  Threads are played by one; calloc is malloc, since nobody touches the blocks.
 */
struct recorded {
	const char *path;
	unsigned char *bytes;
	size_t length;
	double seconds;
};

bool recorded_read(const char *path, struct recorded *recorded);
bool recorded_play(const struct recorded *recorded);

#endif
