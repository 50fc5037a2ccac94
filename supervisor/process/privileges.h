#ifndef SUPERVISOR_PROCESS_PRIVILEGES_H
#define SUPERVISOR_PROCESS_PRIVILEGES_H

#include "config/config.h"

/*
 * What a child may do at most, between fork and exec.  Async-signal-safe; 0 or -errno.
 *
 * With capabilities it has exactly those: they are its bounding set, which also root's program
 * cannot leave, and another user's program is given them by the ambient set.  -EPERM: one of them
 * is not ours to give, or we may not limit a child (which takes CAP_SETPCAP); -EINVAL: the kernel
 * does not know it.
 *
 * The supervisor itself gives up none of its own.  As root it would have them back with any program
 * that it runs, and without CAP_SYS_PTRACE, which containers lack, it could not read the files in
 * /proc of services that have more of them than it has.
 */

/* Before it becomes another user. */
int privileges_limit(const struct config_privileges *privileges);

/* After that. */
int privileges_take(const struct config_privileges *privileges);

#endif
