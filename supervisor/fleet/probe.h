#ifndef SUPERVISOR_FLEET_PROBE_H
#define SUPERVISOR_FLEET_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "supervisor/fleet/service_command.h"

/*
 * One check whether a service answers: a connection, a request, or a command.
 *
 *   port   a TCP connection is made, and closed
 *   http   HTTP/1.0 GET; its status is 200 to 399
 *   exec   the command exits with 0
 *
 * Nothing waits.  A descriptor is looked at again after 1, 2, 4... ms, up to PROBE_LOOK_MOST_MS,
 * which for an answer in the usual time is two or three looks and needs no watch of the loop.
 */

#define PROBE_NEVER UINT64_MAX
#define PROBE_LOOK_MOST_MS 50U
#define PROBE_WHY_BYTES SERVICE_COMMAND_WHY_BYTES

enum probe_state { PROBE_IDLE, PROBE_CONNECTS, PROBE_READS, PROBE_RUNS };
enum probe_result { PROBE_GOES_ON, PROBE_PASSED, PROBE_FAILED };

struct service;
struct service_host;

struct probe {
	enum probe_state state;
	int fd; /* -1 = none */
	uint64_t deadline_ms;
	uint64_t look_ms;
	uint32_t look_in_ms;
	uint32_t timeout_ms;
	size_t got; /* bytes of answer */
	char answer[16];
	struct service_command command;
	char why[PROBE_WHY_BYTES]; /* how the last one failed */
};

void probe_init(struct probe *probe);

/* None is under way, nor a command of one that was ended. */
bool probe_is_free(const struct probe *probe);

/* It is free.  config is PORT, HTTP or EXEC, and stays the same until the check has ended.
 */
void probe_start(struct probe *probe, const struct config_probe *config, struct service *service,
	const struct service_host *host, uint32_t timeout_ms, uint64_t now_ms);

/* Looks at it.  PROBE_GOES_ON also where none is under way. */
enum probe_result probe_step(
	struct probe *probe, const struct config_probe *config, uint64_t now_ms);
uint64_t probe_deadline_ms(const struct probe *probe);

/* A child has died; true: it was the check's, and probe_step() will tell of it. */
bool probe_died(struct probe *probe, pid_t pid, int code, int status);

/* It is of no interest any more. */
void probe_end(struct probe *probe);

#endif
