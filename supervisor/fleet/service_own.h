#ifndef SUPERVISOR_FLEET_SERVICE_OWN_H
#define SUPERVISOR_FLEET_SERVICE_OWN_H

#include <stdbool.h>
#include <sys/types.h>

struct service;

/*
 * Where a service has no leaf its processes are known by SERVICE_MARK in the environment that they
 * were started with, which is there with the library and without it.  A process can leave it out
 * for what it starts; then that is not known.
 */
#define SERVICE_MARK "SPILLWAY_MARK"
#define SERVICE_MARK_BYTES 96

/* NAME=value; "" = it has none. */
void service_mark(const struct service *service, char text[static SERVICE_MARK_BYTES]);

/* Whether a process is one of the service: its main process, in the group of that or in its cgroup,
 * below the main process, or marked.  One that has ended is none. */
bool service_owns(const struct service *service, pid_t pid);

#endif
