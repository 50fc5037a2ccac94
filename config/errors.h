#ifndef CONFIG_ERRORS_H
#define CONFIG_ERRORS_H

#include "config/config.h"

/* Collecting what is wrong with a file.  The first CONFIG_ERRORS_MAX are kept. */

#define ERRORS_QUOTE_BYTES 64

void errors_note(struct config_errors *errors, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* By line; those of one line stay in the order in which they were noted. */
void errors_sort(struct config_errors *errors);

/* text in quotes, a long one cut (between characters) and marked with "...". */
const char *errors_quote(char quoted[ERRORS_QUOTE_BYTES], const char *text);

#endif
