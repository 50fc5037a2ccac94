#ifndef SUPERVISOR_SERVICE_H
#define SUPERVISOR_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"

/*
 * One live service: its processes, its leaf, its link.
 *
 *   WAITING --start--> RUNNING --stop--> STOPPING
 *      ^                  |                  |
 *      |                main process reaped |
 *      |                  v                  v
 *      +----restart---- SWEEPING <-----------+
 *                         |
 *                         +--> ENDED
 *
 * A service leaves SWEEPING when nothing is left in its process group and its
 * leaf, so the next start finds both empty.  Whatever is due at some time
 * stands in wake_ms; service_step does it.  Time comes from the caller.
 */

struct cgroup;
struct link;

#define SERVICE_NEVER UINT64_MAX

enum service_phase {
	SERVICE_WAITING,  /* starts at wake_ms: at once, or when a restart's delay is over */
	SERVICE_RUNNING,  /* its main process lives */
	SERVICE_STOPPING, /* told to stop; SIGKILL to all of it at wake_ms */
	SERVICE_SWEEPING, /* the main process is gone; the rest was told to stop, as above */
	SERVICE_ENDED     /* for good */
};

struct service {
	char name[CONFIG_NAME_BYTES];
	const struct config_service *config; /* borrowed from the config in force */
	enum service_phase phase;
	uint64_t wake_ms;
	uint64_t started_ms;
	pid_t pid; /* of the main process and of its group; stays while the rest is swept, else 0 */

	/* Its cgroup; NULL in modes without leaves.  Owned.  Lives from the first
	 * start to the end, over restarts. */
	struct cgroup *leaf;
	/* Owned; NULL without the shim.  Lives as long as the leaf does. */
	struct link *link;

	/* What the operator asked for.  The tick that sees it puts LEVEL_CALM back. */
	enum level manual;
};

/* Has a main process: what sample.h calls running. */
static inline bool service_runs(const struct service *service)
{
	return service->phase == SERVICE_RUNNING || service->phase == SERVICE_STOPPING;
}

#endif
