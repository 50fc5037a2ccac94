#ifndef SUPERVISOR_CLIENT_STATUS_H
#define SUPERVISOR_CLIENT_STATUS_H

#include <stdbool.h>

#include <jansson.h>

/* The table of `spillctl status`: a line for each service, of those in `names` (NULL-terminated;
 * empty = all).  Whether all of them run. */
bool status_print(const json_t *status, char *const *names);

#endif
