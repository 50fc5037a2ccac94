#ifndef CONFIG_PROGRAM_H
#define CONFIG_PROGRAM_H

#include "config/loader.h"

/* What [supervisord] says for all programs.  Texts as they are written. */
struct program_common {
	const struct raw_section *supervisord; /* NULL = there is none */
	char *folder;                          /* owned; for AUTO logs */
	char *identifier;                      /* owned */
	char **environment;                    /* owned; NULL = none */
	char host[256];
};

/* Which group it is in. */
struct program_group {
	const char *name; /* NULL = one of its own */
	int priority;
};

/* The last key of that name; NULL = there is none. */
const struct raw_key *program_key(const struct raw_section *section, const char *name);

/* The value with its %(NAME)s expanded by what there is for every section, for free(); NULL, and
 * noted: it cannot be. */
char *program_expand(
	struct loader *loader, const struct program_common *common, const struct raw_key *key);

/* Makes the services of a [program:x], or notes what is wrong with it. */
void program_make(struct loader *loader, const struct program_common *common,
	const struct raw_section *section, const struct program_group *group);

#endif
