#ifndef CONFIG_ERRORS_H
#define CONFIG_ERRORS_H

#include "config/config.h"

/* Collecting what is wrong with a file.  The first CONFIG_ERRORS_MAX are kept.  Until all is
 * collected a line is a place (place.h). */

#define ERRORS_QUOTE_BYTES 64

void errors_note(struct config_errors *errors, unsigned place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same of what has no effect here and is no error. */
void errors_remark(struct config_errors *errors, unsigned place, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* By line; those of one line stay in the order in which they were noted. */
void errors_sort(struct config_errors *errors);

/* Places become lines, and files of that list, whose first is the one that was asked for. */
void errors_settle(struct config_errors *errors, char *const *files);

/* text in quotes, a long one cut (between characters) and marked with "...". */
const char *errors_quote(char quoted[ERRORS_QUOTE_BYTES], const char *text);

#endif
