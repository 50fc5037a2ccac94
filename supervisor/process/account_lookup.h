#ifndef SUPERVISOR_PROCESS_ACCOUNT_LOOKUP_H
#define SUPERVISOR_PROCESS_ACCOUNT_LOOKUP_H

#include <pwd.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Users and groups: /etc/passwd and /etc/group first.  Where /etc/nsswitch.conf names other sources
 * (LDAP, sssd, systemd's), getent is run for what is not there.  libc's own functions would load a
 * module for each source into the supervisor, which a program that has libc linked in cannot do: it
 * crashes in the module of another libc.
 *
 * What getent asks may take its time, as libc's functions may; it is a child of ours meanwhile.
 */

/* By name, or, NULL, by number.  Valid until the next call; NULL = there is none. */
const struct passwd *account_lookup_user(const char *name, uid_t uid);

/* The groups that the user is a member of, the given one first, each once.  0, and the list is the
 * caller's to free; or -ENOMEM. */
int account_lookup_groups(const char *name, gid_t gid, gid_t **groups, size_t *count);

#endif
