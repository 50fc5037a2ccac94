#ifndef SUPERVISOR_TICK_TICK_PRIVATE_H
#define SUPERVISOR_TICK_TICK_PRIVATE_H

#include "supervisor/cgroup/brake_worker.h"
#include "supervisor/cgroup/limit_watch.h"
#include "supervisor/cgroup/mode.h"
#include "supervisor/tick/follow.h"
#include "supervisor/tick/tick.h"

/* What the files of tick share.  For nobody else. */

struct tick {
	int root_fd;
	struct mode mode;
	struct cgroup_tree *tree;   /* NULL in modes C and D */
	struct perform_means means; /* a brake where there is a tree */
	struct link_listener *listener;
	struct notifier_threads *notifiers;
	struct pressure_directory *pressure; /* NULL: no service has a socket */
	struct sampler *sampler;

	struct tick_service **service;
	size_t count;
	size_t room;
	struct policy_state policy; /* its list is of the same services */
	struct sample sample;
	struct plan plan;
	struct follow follow;
	bool notified; /* since the last turn */
	bool is_deaf;  /* to what heaps tell of their growth, and that was said */

	struct tick_watched psi; /* of the cgroup of all services */
	struct config_psi psi_wanted;
	bool triggers_stale; /* others are wanted than there are */
	struct tick_watched events;
	struct limit_watch limits; /* of every level, the services' own among them */
	uint64_t limits_due_ms; /* when it is opened; 0 = the first turn says, UINT64_MAX = done */
	uint64_t generation;
	uint64_t turn_generation; /* as of the last turn */
	bool rests;               /* policy found everything calm in the last turn */
	bool was_stalled;         /* a trigger said so since the last turn */
	uint64_t oom_seen;        /* without leaves: of all services */
	uint64_t oom_untold;
	uint64_t oom_noted_ms; /* the last of these */
	struct oom_moment oom_moment;
	uint64_t leaves_looked_ms; /* whether they are still there */

	uint64_t turn_ms; /* when the last one was; 0 = there was none */
	uint64_t turns;
	uint64_t turns_ns; /* what all of them took */
	uint64_t turns_most_ns;
};

/* All that the first turn needs is open. */
void tick_settle(struct tick *tick);

/* Before a turn: the levels that it finds have been in force since the last one. */
void tick_counts_levels(struct tick *tick, uint64_t now_ms);

/* After one that has taken so long. */
void tick_counts_turn(struct tick *tick, uint64_t ns);

/* Where all services are: the tree's, else our own cgroup's. */
const char *tick_directory(const struct tick *tick);

/* Makes leaves again that somebody has removed.  They go while nothing runs in them, between two
 * starts or when all of a service has been moved elsewhere, and with them the limits and what is
 * known. */
void tick_look_for_leaves(struct tick *tick, uint64_t now_ms);

/* Counts and tells the kernel's OOM kills, which are so many by now (sampler_oom_kills()).  A
 * leaf's kills are the service's; without leaves nobody knows whose they were. */
void tick_note_oom_kills(
	struct tick *tick, struct tick_service *service, uint64_t kills, uint64_t now_ms);

/* As tick_service_ended() has it. */
uint64_t tick_take_oom_kills(
	struct tick *tick, struct tick_service *service, bool was_killed, uint64_t now_ms);

/* memory.events of the cgroup of all services. */
void tick_watches_open(struct tick *tick);

/* Triggers with the thresholds that are in force; limits are waited for, from LIMIT_WATCH_AFTER_MS
 * after the first turn on. */
void tick_watches_renew(struct tick *tick, uint64_t now_ms);

/* Tells the sampler to read slowly where the service's trigger would starve otherwise. */
void tick_watches_note_trigger(struct tick *tick, struct tick_service *service);

/* Some of the stall that policy heeds comes with no trigger. */
bool tick_watches_poll_stall(const struct tick *tick);

/* Nothing that was given up waits for the loop any more. */
bool tick_watched_is_settled(const struct tick_watched *watched);

/* Policy is shown the limits that are to be. */
void tick_limits_aim(struct tick *tick);

/* Says which limits the kernel has refused. */
void tick_limits_check(const struct tick *tick);

/* Moves the limits that are on their way by a step.  Whether any still is. */
bool tick_limits_move(struct tick *tick, uint64_t now_ms);

#endif
