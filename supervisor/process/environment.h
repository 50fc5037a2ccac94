#ifndef SUPERVISOR_PROCESS_ENVIRONMENT_H
#define SUPERVISOR_PROCESS_ENVIRONMENT_H

#include <stddef.h>

/*
 * The environment of a child, built before the fork.
 *
 * entries is what execve takes, owned, NULL-terminated.  An entry without '='
 * is carried along untouched: it was given to us that way.
 */
struct environment {
	char **entries;
	size_t count;
	size_t room;
};

/* A copy of that NULL-terminated list.  0 or -ENOMEM. */
int environment_init(struct environment *environment, char *const *entries);
void environment_fini(struct environment *environment);

/* NULL where it is not set.  Valid until the environment changes. */
const char *environment_get(const struct environment *environment, const char *name);

/* 0 or -ENOMEM. */
int environment_set(struct environment *environment, const char *name, const char *value);

/* "NAME=value".  0, -ENOMEM, or -EINVAL where there is no '='. */
int environment_put(struct environment *environment, const char *entry);

/* Does nothing where it is not there. */
void environment_unset(struct environment *environment, const char *name);

#endif
