#ifndef SUPERVISOR_PROCESS_DESCENDANTS_H
#define SUPERVISOR_PROCESS_DESCENDANTS_H

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

/*
 * The same for those below root that have the text (NAME=value) in the environment that they were
 * started with, and for what is below one of these.  Members of except_group are left out.
 * Signal 0 only counts.
 *
 * A process can put the text into its own environment and into nobody else's, so one that lies
 * is signalled itself and no other is.
 */
int descendants_signal_marked(pid_t root, const char *text, pid_t except_group, int signal);

/* Calls each() for the members of a process group, zombies left out, until it returns other than 0.
 * 0 or -errno. */
int descendants_each_of_group(pid_t group, int (*each)(pid_t pid, void *context), void *context);

#endif
