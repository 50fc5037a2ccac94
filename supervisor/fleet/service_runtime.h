#ifndef SUPERVISOR_FLEET_SERVICE_RUNTIME_H
#define SUPERVISOR_FLEET_SERVICE_RUNTIME_H

#include "config/config.h"
#include "supervisor/process/environment.h"
#include "supervisor/process/runtime.h"
#include "supervisor/process/shim_check.h"

/*
 * The language runtime of a service: which one it is (the key runtime, else as its program shows),
 * and what its environment was given at the last start (supervisor/process/runtime.h).
 */

struct service;
struct service_host;

struct service_runtime {
	enum config_runtime kind; /* CONFIG_RUNTIME_AUTO = none is known */
	struct runtime_given given;
};

/* At a start, after the verdict about the shim.  has_heap: that is preloaded, and not the agent.
 * 0 or -ENOMEM. */
int service_runtime_give(struct service *service, const struct service_host *host,
	const struct shim_verdict *verdict, bool has_heap, struct environment *environment);

#endif
