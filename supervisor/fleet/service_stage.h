#ifndef SUPERVISOR_FLEET_SERVICE_STAGE_H
#define SUPERVISOR_FLEET_SERVICE_STAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "supervisor/fleet/service_command.h"

/*
 * What is run before a start and after an end (service_command.h).
 *
 *   pre_start   before each start, within start_timeout; when it fails, so has the start
 *   post_stop   when all of the service is gone, within stopwaitsecs, with the status of the main
 *               process in SPILLWAY_EXIT_STATUS; how it ends changes nothing, and the next start
 *               waits for it
 *
 * One of both runs at a time.  A stop during pre_start sends SIGTERM to its group, and SIGKILL
 * after stopwaitsecs.
 */

enum stage_kind { STAGE_PRE_START, STAGE_POST_STOP };

struct service;
struct service_host;

struct stage {
	enum stage_kind kind;
	bool is_over;    /* the command has ended, which was not taken note of */
	bool is_stopped; /* it was told to stop */
	struct service_command command;
};

void stage_init(struct stage *stage);
bool stage_runs(const struct stage *stage);

/* None runs.  0, or -errno, which has been logged. */
int stage_begin(struct service *service, const struct service_host *host, enum stage_kind kind,
	uint64_t now_ms);

/* Kills what is late. */
void stage_step(struct service *service, uint64_t now_ms);

/* Once for each command that has ended: true. */
bool stage_take_end(struct stage *stage);

void stage_stop(struct service *service, uint64_t now_ms);

/* A child has died; true: it was the command. */
bool stage_died(struct service *service, pid_t pid, int code, int status);

#endif
