#ifndef SUPERVISOR_PROCESS_DESCENDANTS_H
#define SUPERVISOR_PROCESS_DESCENDANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * SIGNAL to every process below root in the tree of parents, zombies left out.
 * As subreaper or PID 1 we are an ancestor of all that our services have
 * started, however it detached itself.
 *
 * The tree is read once from /proc and is old when it is used: a process forked
 * meanwhile is missed, so the caller repeats it.  How many were signalled, or -errno.
 */
int descendants_signal(pid_t root, int signal);

/* Those that descendants_terminate has told.  All zero = nobody yet. */
struct descendants_told {
	struct told_process *process; /* owned */
	size_t count;
	size_t room;
};

/*
 * SIGTERM, once, to each process below root, for a caller that comes back whenever a child was
 * reaped.  Many programs take a second TERM for a forced stop, so told remembers who had one.
 *
 *   - group, if not 0, is signalled first, as one: no fork of a member escapes the kernel there,
 *     as it would escape a list that is read from /proc.  Other groups that hold nobody but
 *     untold descendants are signalled as one as well.
 *   - Where the kernel lists children and root is us, nothing is done when group's leader, which
 *     has ended and is not reaped, is the only one: what it had left would be ours.
 *   - A child of a process that was told and lives is that one's to end: it may well be what the
 *     handler of TERM runs.  Once it is an orphan it comes to us, and is told then.
 *   - One that is forked into such a group between the reading of the list and the signal can be
 *     told twice.
 *
 * How many were found that had not been told, or -errno: -ENOMEM, or what kept /proc from being
 * read.  Without /proc the group is signalled, and all of the PID namespace instead if we are its
 * PID 1.
 */
int descendants_terminate(pid_t root, pid_t group, struct descendants_told *told);
void descendants_told_free(struct descendants_told *told);

/*
 * Whether each of our children is one of known, which is put in order.  What a process that is gone
 * has left behind, however it detached itself, hangs below a child that is not one of these.  So
 * where this is true nothing is left of it, and the whole table need not be read for that: with
 * many services that costs more than all else when they stop.
 *
 * False as well where the kernel does not list children (CONFIG_PROC_CHILDREN).
 */
bool descendants_are_known(pid_t *known, size_t count);

/* Calls each() for the members of a process group, zombies left out, until it returns other than 0.
 * 0 or -errno. */
int descendants_each_of_group(pid_t group, int (*each)(pid_t pid, void *context), void *context);

#endif
