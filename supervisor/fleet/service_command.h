#ifndef SUPERVISOR_FLEET_SERVICE_COMMAND_H
#define SUPERVISOR_FLEET_SERVICE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/process/spawn.h"

/*
 * A command that is run beside a service's main process: as the service's user, in its cgroup and
 * directory, with its environment, SPILLWAY_SERVICE and SPILLWAY_PID (of the main process, where
 * there is one), without the library.  It leads a process group of its own.
 *
 * A command that takes longer than it may is killed with its group.  Nothing waits for one.  The
 * owner calls service_command_step() at service_command_deadline_ms(), and service_command_died()
 * for each child that has died.
 */

#define SERVICE_COMMAND_NEVER UINT64_MAX
#define SERVICE_COMMAND_WHY_BYTES 96

struct service;
struct service_host;

struct service_command {
	pid_t pid;        /* of the command and its group; 0 = none runs */
	uint64_t kill_ms; /* when it is killed; SERVICE_COMMAND_NEVER = none runs, or it was */
	struct spawned spawned;
	uint32_t most_ms;
	bool passed; /* the last one has exited with 0 */
	bool late;   /* the last one was killed because it took too long */
};

struct service_command_what {
	char *const *argv;
	uint32_t most_ms; /* how long it may take; 0 = for ever */
	/* Puts more into its environment: 0 or -ENOMEM.  NULL = nothing more. */
	int (*describe)(struct environment *environment, const struct service *service);
};

void service_command_init(struct service_command *command);

/* None of it runs.  0, or -errno: it could not be started. */
int service_command_start(struct service_command *command, struct service *service,
	const struct service_host *host, const struct service_command_what *what, uint64_t now_ms);

/* Kills it when it is late.  true: it has just done so. */
bool service_command_step(struct service_command *command, uint64_t now_ms);
uint64_t service_command_deadline_ms(const struct service_command *command);

/* A child has died, about to be reaped by the caller.  true: it was the command; passed is set, and
 * why is "" or says how it failed, for program being what was run. */
bool service_command_died(struct service_command *command, pid_t pid, int code, int status,
	const char *program, char why[static SERVICE_COMMAND_WHY_BYTES]);

/* It is not wanted any more: killed, with its group. */
void service_command_end(struct service_command *command);

#endif
