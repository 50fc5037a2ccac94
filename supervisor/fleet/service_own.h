#ifndef SUPERVISOR_FLEET_SERVICE_OWN_H
#define SUPERVISOR_FLEET_SERVICE_OWN_H

#include <stdbool.h>
#include <sys/types.h>

struct service;

/* Whether a process is one of the service: its main process, in the group of that or in its cgroup,
 * or below the main process.  One that has ended is none. */
bool service_owns(const struct service *service, pid_t pid);

#endif
