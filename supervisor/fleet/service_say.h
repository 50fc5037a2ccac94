#ifndef SUPERVISOR_FLEET_SERVICE_SAY_H
#define SUPERVISOR_FLEET_SERVICE_SAY_H

#include <stdbool.h>
#include <stdint.h>

/* Lines of the log about the life of a service, for service.c. */

struct service;
struct service_host;

/* What kept the child from becoming the program; false: nothing did. */
bool service_say_failure(const struct service *service);

/* How the main process ended: as siginfo has it. */
void service_say_end(const struct service *service, const struct service_host *host, int code,
	int status, uint64_t oom_kills);

/* That it ended as expected and has left processes behind, if it has. */
void service_say_left(const struct service *service, const struct service_host *host);

/* What becomes of it after an end, or a start that failed, at since_ms. */
void service_say_next_start(const struct service *service, uint64_t since_ms);

#endif
