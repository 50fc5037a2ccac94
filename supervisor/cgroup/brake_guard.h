#ifndef SUPERVISOR_CGROUP_BRAKE_GUARD_H
#define SUPERVISOR_CGROUP_BRAKE_GUARD_H

#include <stddef.h>
#include <stdint.h>

/*
 * A process that lifts the brakes when the supervisor cannot, and thaws what is frozen.
 *
 * A brake is memory.high below the usage, or cgroup.freeze, whose configured value is 0.  When the
 * supervisor is killed or stopped while one is on, nobody takes it off, and the service is
 * throttled for ever.  The guard is told of each brake before it goes on.  It gives memory.high its
 * configured value back when
 *   - the supervisor's end of the socket is closed, which the kernel does for a killed one;
 *   - the deadline of the brake is over by BRAKE_GUARD_GRACE_MS, as when the supervisor is
 *     stopped.
 * It ends when the socket is closed.  No brake goes on without a guard.
 *
 * Why a process, and not the shims: a service may have no shim, its scavenger may be
 * throttled with it, and a shim that may write memory.high could put a brake on as well.
 *
 * What it is made of: a fork, so that its pages are shared with the supervisor's until that writes
 * to them.  It has its own session (no terminal and no signal to our group reaches it),
 * blocks all signals, stands in "/", and keeps no descriptor but the socket and the files
 * that it is given.  It is a child of the supervisor and is reaped like any
 * other, so brake_guard_close() comes before the last sweep, which waits for all children.
 *
 * The first brake starts it, so that a supervisor that never brakes has no such child.  A guard
 * that was killed is replaced at the next brake; the caller then tells it again of all brakes
 * that are on.
 */

#define BRAKE_GUARD_GRACE_MS 1000

struct brake_guard {
	int fd; /* -1 = there is none */
};

#define BRAKE_GUARD_NONE ((struct brake_guard){-1})

struct brake_guard_order {
	size_t slot;
	int file_fd;           /* memory.high or cgroup.freeze, open for writing; duplicated */
	uint64_t normal_bytes; /* UINT64_MAX = "max"; of cgroup.freeze 0 */
	uint64_t until_ms;     /* CLOCK_MONOTONIC */
};

int brake_guard_open(struct brake_guard *guard);
void brake_guard_close(struct brake_guard *guard);

/* None of these waits for the guard.  0 or -errno; -EPIPE: it is dead. */
int brake_guard_set(const struct brake_guard *guard, const struct brake_guard_order *order);
int brake_guard_clear(const struct brake_guard *guard, size_t slot);

/* As clear, and the guard closes its file. */
int brake_guard_forget(const struct brake_guard *guard, size_t slot);

#endif
