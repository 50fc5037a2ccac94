#ifndef SUPERVISOR_FLEET_SERVICE_READY_H
#define SUPERVISOR_FLEET_SERVICE_READY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "supervisor/fleet/probe.h"

/*
 * When a service is up, for what comes after it, for status and for who waits at the control
 * socket.
 *
 *   notify = none       its program runs, and has done so for startsecs
 *   systemd             READY=1 has come (notify_socket.h)
 *   fd:N                a line has come from that descriptor, which is a pipe to us (s6's way)
 *   port, http, exec    a check has passed: at once, then every READY_PROBE_LEAST_MS, twice as
 *                       long each time up to READY_PROBE_MOST_MS
 *
 * One that is not ready within start_timeout has failed.  What was taken over from an earlier
 * supervisor counts as ready, because where it would tell us went with that one.
 *
 * A systemd socket's name is no secret: /proc/net/unix lists it for everybody in the network
 * namespace, and a service may drop its user before it tells, so no file mode could keep others
 * out. What bounds a flood is that we hear no more than READY_AT_ONCE datagrams every
 * READY_POLL_MS, once there were READY_FLOOD of them within a second, until one second was quiet.
 * The kernel keeps others waiting meanwhile, the service's own among them, and loses none of them.
 *
 * The socket stays open while the main process lives: STATUS=, RELOADING=1, STOPPING=1, MAINPID=
 * and the watchdog come later.  A datagram counts only from a process of the service
 * (service_own.h).  MAINPID= is kept, and used when the main process ends (service_follow.h).
 */

#define READY_PROBE_LEAST_MS 100U
#define READY_PROBE_MOST_MS 1000U
#define READY_NEVER UINT64_MAX
#define READY_AT_ONCE 64U
#define READY_FLOOD 128U
#define READY_POLL_MS 25U

struct environment;
struct loop_watch;
struct service;
struct service_host;

struct ready {
	int fd;                   /* that is watched; -1 = none */
	int child_fd;             /* the other end of a pipe, during a start; -1 = none */
	struct loop_watch *watch; /* of fd, or of poll_fd instead during a flood */
	int poll_fd;              /* a timer; -1 = there is no flood */
	uint64_t heard_since_ms;  /* when the second began in which `heard` datagrams have come */
	unsigned heard;
	struct service *service;
	const struct service_host *host;
	uint64_t timeout_ms; /* when it has to be ready */
	uint64_t probe_ms;   /* when the next check is due */
	uint32_t probe_in_ms;
	uint64_t watchdog_ms; /* when it has to tell that it is alive */
	bool is_reloading;
	bool is_stopping;
	bool is_trouble; /* it asks to be treated as if the watchdog had not heard of it */
	pid_t main_pid;  /* as it was told; 0 = it was not */
	char *status;    /* owned; NULL = none */
};

void ready_init(struct ready *ready);

/* For a start: opens what it tells us by, and puts it into its environment.  0 or -errno. */
int ready_open(
	struct service *service, const struct service_host *host, struct environment *environment);

/* The process has been made; now it counts. */
void ready_begin(struct service *service, uint64_t now_ms);

/* Sets service->ready.  false: it is late, or its watchdog has not heard of it, which was said. */
bool ready_step(struct service *service, const struct service_host *host, uint64_t now_ms);
uint64_t ready_deadline_ms(const struct service *service);

/* The main process has ended, or there is none. */
void ready_close(struct ready *ready);

#endif
