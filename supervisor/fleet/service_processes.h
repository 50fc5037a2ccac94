#ifndef SUPERVISOR_FLEET_SERVICE_PROCESSES_H
#define SUPERVISOR_FLEET_SERVICE_PROCESSES_H

#include <stdbool.h>

/*
 * All processes of a service: the group of its main process, its leaf, and where it has none, those
 * that have left the group.
 */

struct service;
struct service_host;

void service_kill_all(const struct service *service);

/* Sends SIGTERM exactly once to each process, because many programs treat a second one as a forced
 * stop. */
void service_terminate_all(const struct service *service, const struct service_host *host);

bool service_nobody_left(const struct service *service, const struct service_host *host);

#endif
