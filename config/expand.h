#ifndef CONFIG_EXPAND_H
#define CONFIG_EXPAND_H

#include <stddef.h>

/*
 * %(NAME)s in values of supervisord's sections.
 *
 * It is Python's formatting, as far as files have it: %(NAME)s, %(NAME)d and a width such as
 * %(NAME)02d; %% is one %.  A % with anything else behind it is itself, which supervisord would
 * refuse.
 */

struct expand_name {
	const char *name;
	const char *value;
};

/* names ends with a NULL name; ENV_X is X of the environment.  0 and *expanded, which is the
 * caller's; -EINVAL or -ENOMEM with *why: a name that is not known is *unknown then, in text and so
 * many bytes long; else that is NULL. */
int expand_text(const char *text, const struct expand_name *names, char **expanded,
	const char **why, const char **unknown, size_t *unknown_bytes);

#endif
