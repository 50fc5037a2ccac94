#ifndef SUPERVISOR_DESCENDANTS_H
#define SUPERVISOR_DESCENDANTS_H

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

#endif
