#ifndef SUPERVISOR_PROCESS_ACCOUNT_H
#define SUPERVISOR_PROCESS_ACCOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Whom a service runs as, resolved before the fork: after it nothing may look
 * anything up.
 *
 * "name", "uid" or "uid:gid".  A number needs no entry in /etc/passwd, as
 * platforms run containers under invented ones; without an entry and without
 * ":gid" the group is that of the number's own.
 */

#define ACCOUNT_TEXT_BYTES 256

struct account {
	uid_t uid;
	gid_t gid;
	size_t group_count;
	gid_t *groups; /* owned */
	/* All empty where there is no entry. */
	char name[ACCOUNT_TEXT_BYTES];
	char home[ACCOUNT_TEXT_BYTES];
	char shell[ACCOUNT_TEXT_BYTES];
};

/* 0, and then account_free(); -ENOENT where no such user is known, -EINVAL for a bad number, or
 * -errno. */
int account_resolve(const char *text, struct account *account);
void account_free(struct account *account);

/* In the child: groups, group, user, in that order.  Async-signal-safe.  0 or -errno. */
int account_become(const struct account *account);

#endif
