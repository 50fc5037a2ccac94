#ifndef TESTS_SUPPORT_HEAP_CROWD_H
#define TESTS_SUPPORT_HEAP_CROWD_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Threads at one heap.  There are seats, each with a model of its own
 * (heap_model.h), on which one thread after the other sits down, performs some
 * operations, and ends: blocks outlive the threads that made them.  Over a shelf
 * blocks go from seat to seat.  Meanwhile thieves scavenge at every level and
 * look at the figures, one of them walks every invariant, and the process
 * forks: a child must find a whole heap and be able to use it.
 *
 * A life is some rounds of that.  Each has weather of its own: calls of the
 * kernel that fail, no fence, no advice, a clock that leaps, a gate.  Between
 * rounds the heap is quiet, and it is compared with all models together; when
 * the life ends all is freed and the heap must be empty.
 *
 * Everything that is chosen follows from the seed.  With one seat and no thief
 * that is all there is, and a life repeats exactly, on a fresh heap.
 */
struct heap_crowd {
	uint64_t seed;
	unsigned seats;
	unsigned thieves;
	unsigned rounds;
	unsigned operations; /* of each seat, in a round */
	bool forks;
};

#define HEAP_CROWD_SEATS_MAX 8U
#define HEAP_CROWD_THIEVES_MAX 4U

/* NULL, or what is wrong.  No other thread is in the heap before or after. */
const char *heap_crowd_live(const struct heap_crowd *crowd);

#endif
