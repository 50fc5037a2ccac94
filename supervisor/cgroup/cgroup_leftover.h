#ifndef SUPERVISOR_CGROUP_CGROUP_LEFTOVER_H
#define SUPERVISOR_CGROUP_CGROUP_LEFTOVER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What a supervisor that was killed has left in its leaves, found by the next one.
 *
 *   - While a supervisor lives it holds a lock (flock) on its BASE directory.  The kernel
 *     releases it with the process.
 *   - Each leaf bears an attribute (user.spillway.owner) that says for which file its service
 *     was started.  A kernel that keeps no such attributes leaves nothing to be found.
 *
 * A leaf is a leftover when its BASE is not locked, it belongs to our user, and it was made for the
 * same file.  One that the caller does not keep is ended: its brake is lifted, its processes get
 * SIGTERM and, after CGROUP_LEFTOVER_TERM_MS, SIGKILL, and it is removed.  So is a BASE without
 * leaves whose supervisor is gone, whatever its file was.
 *
 * Ending waits, so it comes before the first service is started.
 */

/* With this the name of a BASE that we make begins. */
#define CGROUP_LEFTOVER_BASE "spillway-"

#define CGROUP_LEFTOVER_TERM_MS 3000
#define CGROUP_LEFTOVER_KILL_MS 1000

/* Keeps the lock as long as *lock_fd is open.  0, -EALREADY when another process has it, or
 * -errno. */
int cgroup_leftover_lock(const char *base, int *lock_fd);

/* The leaf is for a service of owner.  Fails where the kernel keeps no attributes. */
int cgroup_leftover_mark(const char *leaf, const char *owner);

/* It has that mark, and belongs to our user. */
bool cgroup_leftover_is(const char *leaf, const char *owner);

/* Ends the leftovers of owner in base, which nobody else has locked, but for those that is_kept
 * (NULL = none) names.  The count of processes. */
unsigned cgroup_leftover_end(const char *base, const char *owner,
	bool (*is_kept)(const char *leaf, const void *context), const void *context);

/* The same in every cgroup beside base whose name begins as that of a BASE that we make; an empty
 * one is removed.  0, or -EALREADY when a living supervisor has leaves of owner. */
int cgroup_leftover_end_beside(const char *base, const char *owner, unsigned *ended);

#endif
