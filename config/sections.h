#ifndef CONFIG_SECTIONS_H
#define CONFIG_SECTIONS_H

#include "config/loader.h"

/* Our own sections: [supervisor], [service:NAME] and [policy:NAME]. */

/* The line is a section's: the keys that follow belong there. */
void sections_open(struct loader *loader);

/* A key of the section that is open, which is one of ours. */
void sections_key(struct loader *loader, const char *name, const char *value);

/* When all is read: what refers to something else, and what is missing. */
void sections_finish(struct loader *loader);

/* For services that come from elsewhere.  A new one: 0, or -EEXIST, -ENOMEM. */
int sections_service_new(struct loader *loader, const char *name, size_t *index);

/* The key's number in its kind of section; their count where there is none of that name. */
size_t sections_key_find(const struct section_keys *keys, const char *name);

/* What is wrong with a value. */
void sections_note_value(struct loader *loader, unsigned place, const struct key *key,
	const char *value, int error, const char *why);

/* The policy key of that service.  0 or -EINVAL. */
int sections_policy_keep(struct loader *loader, size_t index, const char *value);

#endif
