#ifndef SUPERVISOR_LINK_LINK_LEFT_H
#define SUPERVISOR_LINK_LINK_LEFT_H

#include <sys/types.h>

/*
 * The link that an earlier supervisor has left to the processes of a service.
 *
 * Its header is sealed and cannot be written any more, but those who sleep on it can be woken: then
 * they notice that it is silent and ask for another link (shim/link.h).  A process that cannot be
 * reached so asks when something else wakes it.
 */

/* Wakes all who sleep on the header that text (LINK_ENVIRONMENT's value) names, by way of a process
 * that has it open or mapped.  0; -ENOENT: this one has not; or another -errno. */
int link_left_wake(pid_t pid, const char *text);

#endif
