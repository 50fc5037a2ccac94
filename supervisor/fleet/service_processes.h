#ifndef SUPERVISOR_FLEET_SERVICE_PROCESSES_H
#define SUPERVISOR_FLEET_SERVICE_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * All processes of a service: the group of its main process, its leaf, and where it has none, those
 * that have left the group.
 */

struct service;
struct service_host;

/*
 * SIGKILL, or SIGTERM, to all of them.  Those that have left the group of a service without a leaf
 * have it from service_processes_signal() at the end of the turn.
 */
void service_kill_all(struct service *service);

/* Sends SIGTERM exactly once to each process, because many programs treat a second one as a forced
 * stop. */
void service_terminate_all(struct service *service);

bool service_nobody_left(const struct service *service, const struct service_host *host);

/*
 * A turn of the fleet reads /proc once for all services, not once for each: with many services that
 * costs more than all else when they stop.
 *
 * At the beginning of the turn: notes for service_nobody_left() what is left of those services of
 * which only strays (processes that have left the group) can be left.
 */
void service_processes_look(
	struct service *const *service, size_t count, const struct service_host *host);

/* At the end of it: signals the strays of the services that were killed or terminated, whose groups
 * had the signal before.  Forgets what was noted. */
void service_processes_signal(
	struct service *const *service, size_t count, const struct service_host *host);

#endif
