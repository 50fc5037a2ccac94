#ifndef CONFIG_NAMES_H
#define CONFIG_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/* Names that people type, and the one they may have meant. */

#define NAMES_CHARS_MAX 48

/* Of a service or policy: letters, digits, _ . -, up to NAMES_CHARS_MAX of them, and
 * neither "." nor "..", since it becomes the name of a directory. */
bool names_valid(const char *name);

/* How many single characters inserted, removed, changed, or swapped with their
 * neighbour lead from a to b (optimal string alignment), case aside.  Texts are
 * looked at up to NAMES_CHARS_MAX characters. */
unsigned names_distance(const char *a, const char *b);

/* The best of the known names so far, while they are offered one by one. */
struct names_nearest {
	const char *wanted;
	const char *best; /* NULL while none is near enough to be a slip of the pen */
	unsigned distance;
};

void names_offer(struct names_nearest *nearest, const char *known);

#endif
