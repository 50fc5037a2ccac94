#ifndef SUPERVISOR_FLEET_SERVICE_FOLLOW_H
#define SUPERVISOR_FLEET_SERVICE_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A service that daemonises: its first process ends and another one goes on, which becomes the main
 * process.  Which one that is says
 *
 *   MAINPID=   that it has told (service_ready.h), however the first process ends
 *   pidfile    when the first process exits with 0; read again for FOLLOW_WAIT_MS, since some write
 *              it late
 *
 * It has to be a process of the service (service_own.h), and our child, which it is when its parent
 * has ended: all that a service starts is below us.  Such a service is up once it is followed.
 */

#define FOLLOW_WAIT_MS 5000U
#define FOLLOW_NEVER UINT64_MAX

struct service;
struct service_host;

struct follow {
	bool is_followed;  /* the main process is not the first one */
	uint64_t look_ms;  /* when the file is read again; FOLLOW_NEVER = it is not */
	uint64_t until_ms; /* then that is given up */
	int code;          /* how the first process ended, as siginfo has it */
	int status;
};

void service_follow_init(struct follow *follow);

/* The main process is a zombie.  true: it does not count as the end of the service, which has
 * another main process, or may have it soon. */
bool service_follow_main(struct service *service, const struct service_host *host, int code,
	int status, uint64_t now_ms);

/* Looks again.  false: it is given up, and the end counts after all. */
bool service_follow_step(struct service *service, const struct service_host *host, uint64_t now_ms);

#endif
