#ifndef SUPERVISOR_FLEET_HOOK_H
#define SUPERVISOR_FLEET_HOOK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "supervisor/fleet/service_command.h"

/*
 * What a service wants done when memory is short, for what no heap of ours holds: a runtime's own
 * collector, caches of its own, files.  Its main process gets on_pressure_signal, and on_pressure
 * is run beside it (service_command.h), with
 *
 *   SPILLWAY_LEVEL                    lazy, eager or full
 *   SPILLWAY_USAGE_BYTES              of its cgroup, else of the one that all services share
 *   SPILLWAY_HEADROOM_BYTES           what is left below the nearest wall; not set without a wall
 *
 * This happens when the level is on_pressure_level or above, at once, and every HOOK_REST_MS while
 * it stays there: a level that swings causes no more.  A command that takes longer than
 * HOOK_MOST_MS is killed with its process group; the next one does not begin before it is gone.
 * Nothing waits for it.
 */

#define HOOK_REST_MS UINT64_C(10000)
#define HOOK_MOST_MS UINT64_C(5000)
#define HOOK_NEVER UINT64_MAX

struct service;
struct service_host;

struct hook {
	bool wanted;      /* the level asks for it */
	uint64_t rest_ms; /* nobody is told before that */
	struct service_command command;
};

void hook_init(struct hook *hook);

/* Whether the service's level asks for it, and does what is due. */
void hook_step(struct service *service, const struct service_host *host, uint64_t now_ms);
uint64_t hook_deadline_ms(const struct hook *hook);

/* A child has died, about to be reaped by the caller.  true: it was the command. */
bool hook_died(struct service *service, pid_t pid, int code, int status);

/* The service has ended: so does its command. */
void hook_end(struct hook *hook);

#endif
