#ifndef SUPERVISOR_CGROUP_BRAKE_WORKER_H
#define SUPERVISOR_CGROUP_BRAKE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * memory.high, memory.max and cgroup.freeze of the leaves, written by a thread.
 *
 * Lowering memory.high reclaims inside the write, for as long as the kernel
 * finds it worth while, so the loop must not do it.  O_NONBLOCK, which newer kernels
 * honour by not reclaiming, is set as well.
 *
 * The deadline belongs to the thread and not to policy: at until_ms it gives the leaf
 * its configured memory.high back even when nobody has called since.  A brake that
 * stays on hangs a service, which is worse than no brake; a service that stays frozen is worse
 * still.  What the deadline is for a thread that hangs, brake_guard.h is for a supervisor that was
 * killed or stopped.
 *
 * The thread starts with the first limit that is to be written.
 */

struct brake_worker;

int brake_worker_open(struct brake_worker **worker);

/* Lifts every brake and ends the thread and the guard. */
void brake_worker_close(struct brake_worker *worker);

/* The number of a slot for one file of a service, its own until brake_worker_forget().  0 or
 * -ENOMEM. */
int brake_worker_add(struct brake_worker *worker, size_t *number);

/* directory_fd is the leaf's, duplicated here.  normal_bytes is what to put back (UINT64_MAX =
 * "max"), until_ms on CLOCK_MONOTONIC.  Setting again moves value and deadline. */
int brake_worker_set(struct brake_worker *worker, size_t number, int directory_fd,
	uint64_t high_bytes, uint64_t normal_bytes, uint64_t until_ms);
void brake_worker_lift(struct brake_worker *worker, size_t number);

/* The same with cgroup.freeze, in a slot of its own, which is used for nothing else: what is in the
 * leaf stands still until the slot is lifted or the deadline is over. */
int brake_worker_freeze(
	struct brake_worker *worker, size_t number, int directory_fd, uint64_t until_ms);

/* Has memory.max written, which reclaims as well when it is lowered.  0 or -errno. */
int brake_worker_limit(
	struct brake_worker *worker, size_t number, int directory_fd, uint64_t max_bytes);

/* memory.high is configured to be that from now on.  Written at once, or when the brake is off.
 * 0 or -errno. */
int brake_worker_normal(
	struct brake_worker *worker, size_t number, int directory_fd, uint64_t normal_bytes);

/* -errno of the last write that failed since this was last asked, or 0. */
int brake_worker_error(struct brake_worker *worker, size_t number);

/* Lifts every brake and has the guard's process end, which the next brake starts again. */
void brake_worker_end_guard(struct brake_worker *worker);

/* Lifts and forgets: after it returns nothing of that service is held open, and the slot may be
 * another's. */
void brake_worker_forget(struct brake_worker *worker, size_t number);

/* On now, and how many were lifted by the deadline rather than by brake_worker_lift. */
bool brake_worker_is_on(struct brake_worker *worker, size_t number);
uint64_t brake_worker_expired_count(struct brake_worker *worker, size_t number);

#endif
