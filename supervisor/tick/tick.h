#ifndef SUPERVISOR_TICK_TICK_H
#define SUPERVISOR_TICK_TICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/tick/tick_service.h"

/*
 * One turn: read, decide, perform, publish.  All of the memory side of the
 * supervisor behind one object, without libevent.
 *
 * The loop's part:
 *   - tick_open() before the first service, tick_close() after the last;
 *   - tells which services there are, in which order: tick_reserve(), tick_clear(), tick_add();
 *   - before a service's process is forked: tick_service_prepare(); in the child's environment
 *     link_environment() of its link, in the child link_fds() kept across exec, and the child
 *     put into its leaf before it runs exec;
 *   - tick_service_started() and tick_service_ended();
 *   - waits for the descriptors of tick_watch_fd(), calls tick_woken() for each that
 *     is readable, then tick_step();
 *   - calls tick_step() again after the milliseconds it returned, or earlier when woken.
 *
 * A service is the caller's object (tick_service.h), at one address for as long as it is listed.
 */

#define TICK_PRESSURE_PATH_BYTES (MODE_PATH_BYTES + 32)

struct tick;

/* Of an earlier supervisor whose services are to be taken over: where its leaves are ("" = it had
 * none), and the name of its listener. */
struct tick_left {
	const char *base;
	const char *listener;
};

/* Probes the mode, logs its line, makes the tree of cgroups where it can.  left NULL: nothing is
 * taken over.  0 or -errno. */
int tick_open(const struct tick_left *left, struct tick **tick);

/* The services are those of that file (its absolute path, which outlives the tick).  -EALREADY when
 * a supervisor that lives runs them; other failures are logged. */
int tick_claim(struct tick *tick, const char *file);

/* After tick_claim() and whatever tick_service_adopt(): ends what an earlier supervisor of the same
 * file has left behind and nobody has adopted, in modes A and B.  -EALREADY as above. */
int tick_end_leftovers(struct tick *tick, const char *file);

/* What is to be known for a later supervisor. */
const char *tick_base_directory(const struct tick *tick); /* "" = no leaves are made */
const char *tick_listener_name(const struct tick *tick);  /* "" = there is none */

/* Lifts brakes, removes leaves (killing what is left in them after wait_ms), undoes the tree.  What
 * is listed is unmade, not freed. */
void tick_close(struct tick *tick, uint32_t wait_ms);

/* Room for so many services.  0, or -ENOMEM with nothing changed. */
int tick_reserve(struct tick *tick, size_t count);

/* The list of services, which is made anew in its order: at most as many as were reserved. */
void tick_clear(struct tick *tick);
void tick_add(struct tick *tick, struct tick_service *service);

/* A leaf with its limits (modes A and B), a link with its notifier, triggers.  Does nothing for
 * what is there already, so it may be called before every start; makes it again where somebody has
 * removed the leaf.  0 or -errno. */
int tick_service_prepare(struct tick *tick, struct tick_service *service);

/* In the place of the first tick_service_prepare(), for a service whose processes an earlier
 * supervisor has left running: takes the leaf of that name ("" = it has none) over, and gives it a
 * link of the same token.  Limits are as configured afterwards, lower ones in steps.  0 or -errno.
 */
int tick_service_adopt(
	struct tick *tick, struct tick_service *service, const char *leaf, const char *token);

/*
 * Where the service's processes are told of memory pressure in systemd's way
 * (MEMORY_PRESSURE_WATCH): the leaf's memory.pressure where they may have triggers on it, else a
 * socket that follows the level (pressure_socket.h).  In mode B everybody may have triggers; in
 * mode A they may take the privilege that we have, so a process that runs as another user has none
 * for all we know.
 */
struct tick_pressure {
	bool trigger;
	char path[TICK_PRESSURE_PATH_BYTES];
};

/* After tick_service_prepare().  0 or -errno. */
int tick_service_pressure(struct tick *tick, struct tick_service *service, bool other_user,
	struct tick_pressure *pressure);

/* What a service may count on: its own memory_max, else its part of the cgroup limit that it shares
 * with all services without one.  UINT64_MAX = there is no limit but the machine's memory. */
struct tick_share {
	uint64_t limit_bytes;
	unsigned cpus; /* that our affinity and the quota of our cgroup allow, rounded up */
};

void tick_service_share(
	struct tick *tick, const struct tick_service *service, struct tick_share *share);

/* The first of these alone, from what is in memory; after the other or a turn. */
uint64_t tick_service_share_bytes(const struct tick *tick, const struct tick_service *service);

void tick_service_started(struct tick_service *service);

/* It is told to stop: nothing holds it back from now on. */
void tick_service_leaves(struct tick *tick, struct tick_service *service);

/* The main process has ended.  was_killed: by SIGKILL, or it is not known how.  Returns how many
 * OOM kills were counted in the service's cgroup since the last end, 0 for one that was not killed.
 * Without a leaf the count is that of all services together: each main process that was killed
 * takes one, within TICK_OOM_END_MS after the count rose. */
#define TICK_OOM_END_MS 10000U
uint64_t tick_service_ended(
	struct tick *tick, struct tick_service *service, bool was_killed, uint64_t now_ms);

/* All services are down: lifts the brakes and ends the process that guards them, which is a child
 * of ours.  What starts all the same may be braked again. */
void tick_end_guard(struct tick *tick);

/* The service is no more (removed by reload): its leaf, link and watches go, for whose descriptors
 * nothing may wait any more.  Its settings stay. */
void tick_service_remove(struct tick *tick, struct tick_service *service, uint32_t wait_ms);

/* The settings of a listed service were exchanged.  Limits that the kernel refuses are logged. */
void tick_service_changed(struct tick *tick, struct tick_service *service);

/* Asked for by the operator, once; NULL = every service.  Takes effect at the next tick_step().
 * target_bytes is what each is to give back, 0 all. */
void tick_ask(
	struct tick *tick, struct tick_service *service, enum level level, uint64_t target_bytes);

/* The next turn is far off. */
void tick_rest(const struct tick *tick);

/* Something is new since the last turn: the next one should come within TICK_STIRRED_MS. */
#define TICK_STIRRED_MS 1000U
bool tick_is_stirred(const struct tick *tick);

/* When the last turn was; 0 = there was none. */
uint64_t tick_turn_ms(const struct tick *tick);

/* Milliseconds until the next turn. */
uint32_t tick_step(struct tick *tick, uint64_t now_ms);

/*
 * What to wait for, all for reading: of a service, or, NULL, what is common to all.  A descriptor
 * that was given up stays open until tick_watches_settled(), so that the loop can first stop
 * waiting for it.  The generation changes with any of them.
 */
enum tick_watch_kind {
	TICK_WATCH_PSI,
	TICK_WATCH_EVENTS,
	TICK_WATCH_NOTIFIER, /* of a service */
	TICK_WATCH_LISTENER, /* common */
	TICK_WATCH_LIMITS,   /* common */
	TICK_WATCH_KINDS
};

uint64_t tick_watches_generation(const struct tick *tick);

/* -1 = there is none. */
int tick_watch_fd(
	const struct tick *tick, const struct tick_service *service, enum tick_watch_kind kind);
void tick_watches_settled(struct tick *tick);
void tick_woken(struct tick *tick, struct tick_service *service, enum tick_watch_kind kind,
	uint64_t now_ms);

/* For the last report, status and metrics: totals since the service's first start, the rest as of
 * the last turn. */
/* One wall, as far as there is to tell of it. */
struct tick_wall {
	uint64_t headroom_bytes; /* UINT64_MAX = there is no such wall */
	uint64_t time_ms;        /* at the present growth; UINT64_MAX = it never comes */
};

struct tick_counts {
	struct link_totals heap;
	uint64_t oom_kills;
	uint64_t releases[LEVELS]; /* asked for, by level */
	uint64_t brakes;
	uint64_t psi_wakes;
	uint64_t events_wakes;
	uint64_t notifier_wakes;
	uint64_t usage_bytes;
	bool usage_shared;    /* it is that of all services together: no cgroup, no limit */
	uint64_t limit_bytes; /* the service's own; UINT64_MAX = none */
	enum level level;
	uint64_t level_ms[LEVELS]; /* how long it has been at each while it ran */
	struct tick_wall own;      /* that limit */
	uint64_t price_ns;         /* of an idle page of 4 KiB for a second (policy/price.h) */
	struct stall_sample stall; /* of its leaf */
};

void tick_counts(
	const struct tick *tick, const struct tick_service *service, struct tick_counts *counts);

/* What all services have in common, as of the last turn. */
struct tick_shared {
	char mode; /* 'A' to 'D' */
	uint64_t usage_bytes;
	uint64_t limit_bytes; /* of the tightest wall; UINT64_MAX = none */
	uint64_t turns;
	uint64_t turns_ns; /* what all of them took */
	uint64_t turns_most_ns;
	struct stall_sample stall;
	struct tick_wall cgroup;  /* the tightest limit of a cgroup */
	struct tick_wall machine; /* the machine's memory */
};

void tick_shared(const struct tick *tick, struct tick_shared *shared);

/* The release that was last asked of the service has been answered, or waited for long enough. */
bool tick_release_is_over(const struct tick_service *service);

#endif
