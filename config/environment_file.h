#ifndef CONFIG_ENVIRONMENT_FILE_H
#define CONFIG_ENVIRONMENT_FILE_H

#include <stddef.h>

/*
 * Files of variables, such as /etc/default/NAME, as systemd's EnvironmentFile has them:
 *
 *   NAME=value          the value ends with its line; blanks around it are none of it
 *   NAME="a b \" c"     within "..." a backslash takes the next character as it is
 *   NAME='a b'          within '...' nothing is special
 *   export NAME=value   as a shell that reads the same file wants it
 *   # or ; first        a comment
 *
 * Nothing is expanded.  Of a name that stands twice the last counts.
 */

#define ENVIRONMENT_FILE_WHY_BYTES 192

/* Reads a regular file of at most 1 MiB, and waits for nothing else.  0 and a NULL-terminated list
 * for command_free(); or -errno, and why says what is wrong, with the line. */
int environment_file_read(
	const char *path, char ***pairs, char why[static ENVIRONMENT_FILE_WHY_BYTES]);

/* The same of a text. */
int environment_file_parse(const char *path, const char *text, size_t length, char ***pairs,
	char why[static ENVIRONMENT_FILE_WHY_BYTES]);

#endif
