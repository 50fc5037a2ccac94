#ifndef CONFIG_PAIRS_H
#define CONFIG_PAIRS_H

#include <stddef.h>

/* Lists of "NAME=value", NULL-terminated, in which a name stands once: the last one put counts. */

/* NULL has none. */
size_t pairs_count(char *const *list);

/* list has room, and count entries.  Takes pair, which is NULL where there was no memory for it.  0
 * or -ENOMEM. */
int pairs_put(char **list, size_t *count, char *pair);

/* Copies of all of them; pairs NULL = none. */
int pairs_put_all(char **list, size_t *count, char *const *pairs);

#endif
