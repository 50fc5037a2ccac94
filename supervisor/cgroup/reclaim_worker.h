#ifndef SUPERVISOR_CGROUP_RECLAIM_WORKER_H
#define SUPERVISOR_CGROUP_RECLAIM_WORKER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * memory.reclaim of a cgroup, written by a thread.
 *
 * The kernel reclaims inside the write, for as long as it finds something, so neither the loop nor
 * the thread that lifts brakes in time (brake_worker.h) may do it.  Pieces of
 * RECLAIM_WORKER_PIECE_BYTES are written one after the other, so that the deadline holds although a
 * write cannot be interrupted, until the bytes are reclaimed, the kernel finds no more, or the
 * deadline is over.  One request is under way at a time.
 */

#define RECLAIM_WORKER_PIECE_BYTES (UINT64_C(4) << 20)

/* before and after: memory.current right before the first write and right after the last. */
struct reclaim_result {
	int error; /* 0; -EAGAIN: the kernel found less; -ETIMEDOUT; or what a write failed with */
	uint64_t before_bytes;
	uint64_t after_bytes;
	uint64_t took_ms;
};

struct reclaim_worker;

/* 0 or -errno. */
int reclaim_worker_open(struct reclaim_worker **worker);

/* Waits for the piece that is under way. */
void reclaim_worker_close(struct reclaim_worker *worker);

/* directory_fd is the cgroup's; it is not kept.  until_ms on CLOCK_MONOTONIC.  0; -EBUSY while one
 * is under way or its result was not taken; -ENOENT where the kernel has no memory.reclaim; or
 * -errno. */
int reclaim_worker_start(
	struct reclaim_worker *worker, int directory_fd, uint64_t bytes, uint64_t until_ms);

/* The result of what was started last, once; false while it is under way or nothing was. */
bool reclaim_worker_take(struct reclaim_worker *worker, struct reclaim_result *result);

#endif
