#ifndef SUPERVISOR_FLEET_FLEET_CONTROL_PRIVATE_H
#define SUPERVISOR_FLEET_FLEET_CONTROL_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/control/control.h"
#include "supervisor/fleet/fleet_private.h"

/* What fleet_control.c and fleet_control_wait.c share.  For nobody else. */

enum wait_kind { WAIT_UP, WAIT_DOWN, WAIT_RELEASE };

struct release_mark {
	char name[CONFIG_NAME_BYTES];
	uint64_t before_bytes;
};

/* A request that is answered later.  Services are known by name: a reload may remove them. */
struct wait {
	struct control_request *request;
	struct wait *next;
	enum wait_kind kind;
	uint64_t deadline_ms;
	uint64_t starts; /* of the service, as it was asked */
	size_t count;
	struct release_mark mark[];
};

/* A client that is told what happens. */
struct listener {
	struct control_request *request;
	struct listener *next;
};

struct fleet_control {
	struct fleet *fleet;
	struct control *control;
	struct wait *waits;
	struct listener *listeners;
	json_t *errors; /* of the reload that is being tried; else NULL */
};

void fleet_control_reply(
	const struct fleet *fleet, struct control_request *request, const struct service *service);

/* NULL, and answered: no memory. */
struct wait *fleet_control_wait_new(struct fleet_control *control, struct control_request *request,
	enum wait_kind kind, size_t count);

void fleet_control_wait_drop(struct fleet_control *control, struct wait *wait);

#endif
