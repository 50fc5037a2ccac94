#ifndef SUPERVISOR_BASE_MANAGER_H
#define SUPERVISOR_BASE_MANAGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

/*
 * The service manager that has started us, told by systemd's notification protocol (sd_notify(3)):
 * the sending side.  Told are READY=1, RELOADING=1 with MONOTONIC_USEC=, STOPPING=1, STATUS= and
 * WATCHDOG=1.
 *
 * A send never waits.  What cannot be sent now is sent later, because only the last state counts: a
 * step compares what is so with what was told.
 */

#define MANAGER_STATUS_BYTES 128
/* STATUS= alone is sent at most so often, and a send that failed is repeated after so long. */
#define MANAGER_PACE_MS 1000U

enum manager_state {
	MANAGER_BUSY, /* not up yet, or a reload is under way: no news */
	MANAGER_READY,
	MANAGER_STOPPING
};

struct manager {
	int fd; /* -1 = nobody wants to be told */
	struct sockaddr_un address;
	size_t address_bytes;
	enum manager_state told; /* BUSY after RELOADING=1, too */
	bool reloads;            /* RELOADING=1 is to be sent */
	uint64_t reload_us;      /* when that began */
	char status[MANAGER_STATUS_BYTES];
	uint64_t status_ms;   /* when another may be sent */
	bool is_behind;       /* another is to be */
	uint64_t watchdog_ms; /* how often WATCHDOG=1 is sent; 0 = never */
	uint64_t alive_ms;    /* when it is due next */
	uint64_t retry_ms;    /* nothing is sent before */
	bool has_failed;      /* since the last send that succeeded */
};

/*
 * Where NOTIFY_SOCKET is set, takes it, WATCHDOG_USEC and WATCHDOG_PID out of the environment: the
 * manager would take what services say there for our word.  0, also where there is nobody to tell;
 * -EAFNOSUPPORT: an address of another kind than systemd's, /PATH or @NAME; -errno.  After an error
 * nobody is told anything.
 */
int manager_open(struct manager *manager);
void manager_close(struct manager *manager);

/* A reload begins, whatever comes of it: MANAGER_READY is told again when the state is that. */
void manager_reloads(struct manager *manager, uint64_t now_us);

/* Tells what is new.  0, or -errno of the first send of several that failed. */
int manager_step(
	struct manager *manager, enum manager_state state, const char *status, uint64_t now_ms);

/* When the next step is due, in the state and with the status of the last; UINT64_MAX = never. */
uint64_t manager_deadline_ms(const struct manager *manager);

#endif
