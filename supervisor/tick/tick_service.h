#ifndef SUPERVISOR_TICK_TICK_SERVICE_H
#define SUPERVISOR_TICK_TICK_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/cgroup/cgroup.h"
#include "supervisor/link/doorbell.h"
#include "supervisor/link/link.h"
#include "supervisor/link/link_door.h"
#include "supervisor/policy/limit.h"
#include "supervisor/policy/policy.h"
#include "supervisor/cgroup/psi.h"

/*
 * What tick keeps for one service: leaf, link, doorbell, and the two watches on the
 * leaf's files.  All of it lives from the first start to the removal of the
 * service, over restarts.
 */

struct tick_service {
	bool prepared;
	bool running;
	enum level manual;
	struct policy_service policy;
	struct cgroup_leaf *leaf; /* NULL in modes C and D */
	struct link *link;
	struct doorbell *doorbell;
	struct psi_watch psi;
	struct config_psi psi_wanted; /* what psi was made for, or was refused */
	struct psi_watch events;
	size_t brake_slot; /* stays its own when a reload moves the service */
	uint64_t high_bytes;
	struct limit limit; /* memory.max */
	/* OOM kills: as counted by the kernel, and those not yet told to tick_service_ended(). */
	uint64_t oom_seen;
	uint64_t oom_untold;
	uint64_t oom_kills;
	uint64_t psi_wakes;
	uint64_t events_wakes;
	uint64_t doorbell_wakes;
};

/* What is the same for all: where to make things. */
struct tick_place {
	struct cgroup_tree *tree; /* NULL in modes C and D */
	struct link_door *door;
	const char *wall_directory;
	uint64_t wall_bytes; /* what shares are of; UINT64_MAX = unknown */
	uint32_t window_ms;  /* the mode's */
};

/* 0, or -errno with nothing left behind. */
int tick_service_make(struct tick_service *service, const struct config_service *config,
	const struct config_policy *policy, const struct tick_place *place);

/* The trigger that the policy wants, in the place of none.  One that is refused is logged. */
void tick_service_trigger(struct tick_service *service, const char *name,
	const struct config_psi *wanted, uint32_t window_ms);

/* New limits and another way to scavenge after a reload.  A lower memory.max is a target only
 * (policy/limit.h). */
void tick_service_reload(struct tick_service *service, const struct config_service *config,
	const struct config_policy *policy, uint64_t wall_bytes);

/* Removes the leaf, then gives up the rest.  Nothing may wait for its descriptors any more. */
void tick_service_unmake(struct tick_service *service, uint32_t wait_ms);

#endif
