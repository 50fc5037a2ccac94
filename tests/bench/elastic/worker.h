#ifndef TESTS_BENCH_ELASTIC_WORKER_H
#define TESTS_BENCH_ELASTIC_WORKER_H

#include "tests/bench/demo/histogram.h"
#include "tests/bench/elastic/burst.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The server's threads.  Each holds half of the live set, 48 MiB, in a table of places, and has a
 * request every ms: 512 blocks that live as long as the request, and one that takes the place of
 * another in the live set, one time in eight in the other worker's half: so that some blocks are
 * freed by another thread than the one that allocated them.  Half of the replacements are in an
 * eighth of the places: some blocks live for a second, most for many.  In a burst a request also
 * takes blocks that stay, or frees some of these, picked at random.
 *
 * Blocks that live as long as a request are as in bench-idle.  Those that stay have 64 bytes to 64
 * KiB, each power of two as often as the next, and one in a thousand 100 to 256 KiB.  Every byte
 * is written.  Which of two blocks of a place is freed by whom may differ from run to run, where
 * both workers replace it at once; everything else is the same with every allocator.
 *
 * What is told as a request's latency is the time it took, not the time that it waited for the one
 * before it, or for a processor to wake up on.
 */

#define WORKERS 2U

struct places {
	_Atomic(void *) *blocks;
	size_t count;
	size_t room;
};

struct worker {
	pthread_t thread;
	uint64_t seed;
	struct places places;
	void **burst_blocks;
	size_t burst_count;
	size_t burst_room;
	size_t burst_free_step; /* blocks that a request frees when the burst is being freed */
	/* As requested; negative when it freed more of another's than the others of its own. */
	_Atomic int64_t live_bytes;
	uint64_t blocks;
	/* Of nanoseconds, whatever the histogram calls them. */
	struct histogram calm;
	struct histogram burst;
	uint64_t late_max_ns; /* behind the time when a request was due */
	uint64_t burst_end_ns[BURSTS_MAX];
	uint32_t flat_requests;
	uint64_t flat_ns;
	uint64_t cpu_ns; /* of requests, and of going to sleep and waking up between them */
};

/* What all of them share; set before they start. */
struct service {
	struct worker workers[WORKERS];
	struct burst bursts[BURSTS_MAX];
	size_t burst_count;
	uint32_t requests;
	_Atomic unsigned running; /* workers that have not served all of them */
	pthread_barrier_t filled; /* the live set is there */
	pthread_barrier_t flat;   /* the paced part is over */
	pthread_barrier_t start;  /* start_ns is set */
	uint64_t start_ns;
};

extern struct service service;

/* Allocates the worker's tables: live bytes as all others are. */
void worker_init(struct worker *worker, uint64_t seed);
/* Fills its half of the live set, then serves all requests when they are due; then for ten seconds
 * as many as it can, one burst among them. */
void *worker_run(void *arg);

/* When request number is due. */
static inline uint64_t worker_due_ns(uint32_t number)
{
	return service.start_ns + number * (1000000000ULL / REQUESTS_PER_S);
}

#endif
