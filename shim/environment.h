#ifndef SHIM_ENVIRONMENT_H
#define SHIM_ENVIRONMENT_H

/*
 * The environment as the constructor is given it, before libc is ready: no getenv, no
 * stdio, nothing is allocated.
 */

/* The value of a variable, NULL without. */
const char *environment_find(char **environment, const char *name);

/* One line on stderr: the variable, its value as far as it is short and printable, and what was
 * expected instead.  The default is used then. */
void environment_complain(const char *name, const char *value, const char *expected);

#endif
