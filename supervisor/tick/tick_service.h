#ifndef SUPERVISOR_TICK_TICK_SERVICE_H
#define SUPERVISOR_TICK_TICK_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/cgroup/cgroup.h"
#include "supervisor/cgroup/limit_watch.h"
#include "supervisor/cgroup/psi.h"
#include "supervisor/link/notifier.h"
#include "supervisor/link/link.h"
#include "supervisor/link/link_listener.h"
#include "supervisor/link/pressure_socket.h"
#include "supervisor/policy/limit.h"
#include "supervisor/policy/policy.h"
#include "supervisor/tick/oom_moment.h"
#include "supervisor/tick/perform.h"
#include "supervisor/tick/sampler.h"
#include "supervisor/tick/target_file.h"

/*
 * The memory side of one service: its settings, leaf, link, notifier, the two watches on the leaf's
 * files, and what sampler, policy and perform keep of it.
 *
 * It is part of a larger object (supervisor/fleet/service.h) that stays at one address from the
 * moment the service is configured until a reload removes it, over restarts and reloads.  So a
 * pointer to it is the service, and no array of ours has to follow when the order changes.
 */

/* A file that the kernel tells us about, and the one before it, which the loop may still wait for:
 * it is closed by tick_watches_settled(). */
struct tick_watched {
	struct psi_watch now;
	struct psi_watch retired;
};

#define TICK_WATCHED_NONE ((struct tick_watched){PSI_WATCH_NONE, PSI_WATCH_NONE})

struct tick_service {
	struct config_service config; /* its own, with all that it points to */
	struct config_policy policy_config;
	bool prepared;
	bool running;
	bool was_dry_run;      /* before a reload */
	enum level manual;     /* asked for by hand since the last turn; LEVEL_CALM = nothing */
	uint64_t manual_bytes; /* so much of it; 0 = all */
	bool leaves;           /* it was told to stop */
	bool is_to_end;        /* as the last resort: set here, taken by the owner of this object */
	struct cgroup_leaf *leaf; /* NULL in modes C and D */
	bool leaf_lost;           /* it was removed and could not be made again yet */
	bool leaf_used;           /* something may have run in it */
	struct link *link;
	struct notifier *notifier;
	struct pressure_socket *pressure; /* NULL: nobody was named it */
	struct tick_watched psi;
	struct config_psi psi_wanted; /* what psi was made for, or was refused */
	struct tick_watched events;
	struct limit_mark limit_mark; /* of the leaf's memory.max */
	size_t brake_slot;            /* where there is a leaf */
	size_t freeze_slot;
	uint64_t high_bytes;
	uint64_t promised_bytes; /* memory_low; 0 = nothing */
	struct limit limit;      /* memory.max */
	struct target_file target;
	struct sampler_service sampler;
	struct policy_service policy;
	struct perform_service perform;
	/* OOM kills: as counted by the kernel, and those not yet told to tick_service_ended(). */
	uint64_t oom_seen;
	uint64_t oom_untold;
	uint64_t oom_kills;
	struct oom_moment oom_moment;
	uint64_t psi_wakes;
	uint64_t events_wakes;
	uint64_t notifier_wakes;
	uint64_t level_ms[LEVELS]; /* how long it has been at each while it ran */
};

/* What is the same for all: where to make things. */
struct tick_place {
	struct cgroup_tree *tree; /* NULL in modes C and D */
	struct brake_worker *brake;
	const struct limit_watch *limits;
	struct link_listener *listener;
	struct notifier_threads *notifiers;
	const char *wall_directory;
	uint64_t wall_bytes; /* what shares are of; UINT64_MAX = unknown, or there is none */
	uint32_t window_ms;  /* the mode's */
	/* Of a service that is taken over; NULL = everything is made. */
	const char *left_leaf;
	const char *left_token;
};

/* Empty, without settings. */
void tick_service_init(struct tick_service *service);

/* Frees the settings.  All else was given up before. */
void tick_service_fini(struct tick_service *service);

/* 0, or -errno with nothing left behind. */
int tick_service_make(struct tick_service *service, const struct tick_place *place);

/* A leaf again in the place of one that somebody has removed, with the same limits; nothing that
 * was retired may be left.  0, or -errno: the service goes on without, and this is to be called
 * again. */
int tick_service_make_leaf_again(struct tick_service *service, const struct tick_place *place);

/* The trigger that the policy wants, in the place of none.  One that is refused is logged. */
void tick_service_trigger(struct tick_service *service, uint32_t window_ms);

/* Writes to the leaf's own limit are told from now on, where the watch is open.  Once for each
 * leaf.
 */
void tick_service_watch_limit(struct tick_service *service, const struct limit_watch *limits);

/* The directory of the tightest wall that all share; "" = there is none, or it is not known yet. */
void tick_service_tell_wall(const struct tick_service *service, const char *wall_directory);

/* New limits and another way to scavenge after a reload.  A lower memory.max is a target only
 * (policy/limit.h). */
void tick_service_reload(
	struct tick_service *service, struct brake_worker *brake, uint64_t wall_bytes);

/* Between two reloads: the wall that its target_file names, which may be another one by now. */
void tick_service_aim(struct tick_service *service, struct sampler *sampler, uint64_t now_ms);

/* What holds it back: the brake comes off, and it is thawed. */
void tick_service_let_go(const struct tick_service *service, struct brake_worker *brake);

/* After the service was sampled: that wall in the place of its own, where it is nearer. */
void tick_service_aimed(struct tick_service *service);

/* Removes the leaf, then gives up the rest but the settings.  Nothing may wait for its descriptors
 * any more.  brake NULL: it holds nothing of the service, or has been closed. */
void tick_service_unmake(
	struct tick_service *service, struct brake_worker *brake, uint32_t wait_ms);

#endif
