#ifndef TESTS_SUPPORT_SAID_H
#define TESTS_SUPPORT_SAID_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What the code under test writes to stderr, kept from said_begin() to
 * said_end().  The file is as long as the test needs it to be.
 */
void said_begin(void);
void said_end(void);

/* Forgets what was said so far. */
void said_clear(void);

/* How often that text was said. */
size_t said(const char *text);

/* Writes to the real stderr all that was said, for a test that fails. */
void said_show(void);

#endif
