#ifndef SUPERVISOR_CLIENT_NAMES_H
#define SUPERVISOR_CLIENT_NAMES_H

#include <stdbool.h>

#include <jansson.h>

/*
 * Which services the words of a command line mean, as supervisorctl has it:
 *
 *   NAME          that service
 *   GROUP:*       all of a group: [group:x]'s, the processes of a [program:x], or one service by
 *                 its own name
 *   GROUP:NAME    that service of the group, also without the program's name before it
 *   all           every service
 */

/* Whether a word is anything but a plain name. */
bool names_is_pattern(const char *word);

/* The names that the words mean by the answer to /v1/status, each once, in the order of the words
 * and within one in that of starting; backwards: of stopping.  For the caller to free, and no
 * longer of use than status.  NULL: *unknown is the word that means none, or NULL without memory.
 */
char **names_expand(const json_t *status, char *const *words, bool backwards, const char **unknown);

#endif
