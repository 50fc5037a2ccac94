#ifndef TESTS_HEAP_LINES_H
#define TESTS_HEAP_LINES_H

#include <stdint.h>

/*
 * Counts what threads' accesses cost processors that do not share a cache.
 *
 * The heap is compiled with -fsanitize=thread and linked with lines.c instead of TSan's
 * runtime, so that each of its loads and stores is seen; those of the program are not.
 * A model stands for the caches: a line belongs to the thread that wrote it last, and
 * threads that read it since share it.  With threads that take turns the counts repeat.
 */
struct line_counts {
	uint64_t writes; /* of lines that another thread wrote last, or read since */
	uint64_t reads;  /* of lines that another thread wrote since this one had them */
	uint64_t locks;  /* taken */
};

/* Of all threads since the program began. */
void lines_read(struct line_counts *counts);

#endif
