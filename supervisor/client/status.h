#ifndef SUPERVISOR_CLIENT_STATUS_H
#define SUPERVISOR_CLIENT_STATUS_H

#include <stdbool.h>

#include <jansson.h>

/* What `spillctl status` makes of the answer to /v1/status. */

/* Removes the services that are not in names (NULL-terminated). */
void status_select(json_t *status, char *const *names);

/* Whether all services run, or have done what they were started for. */
bool status_all_run(const json_t *status);

/* Prints the table, a line for each service.  verbose: below it, its allocator, its language
 * runtime, and what that was given. */
void status_print(const json_t *status, bool verbose);

#endif
