#ifndef SUPERVISOR_TICK_TICK_H
#define SUPERVISOR_TICK_TICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/cgroup/cgroup.h"
#include "supervisor/link/link.h"
#include "supervisor/cgroup/mode.h"

/*
 * One turn: read, decide, perform, publish.  All of the memory side of the
 * supervisor behind one object, without libevent.
 *
 * The loop's part:
 *   - tick_open() before the first service, tick_close() after the last;
 *   - before a service's process is forked: tick_service_prepare(); in the child's environment
 *     link_environment(tick_link()), in the child link_fd() kept across exec, and the child
 *     put into tick_leaf() before it runs exec;
 *   - tick_service_started() and tick_service_ended();
 *   - waits for the descriptors of tick_watches(), calls tick_woken() for each that
 *     is readable, then tick_step();
 *   - calls tick_step() again after the milliseconds it returned, or earlier when woken.
 *
 * A service is its index in config->services.  The config stays the caller's and must
 * outlive the tick or the next tick_reload().
 */

struct tick;

/* Probes the mode, logs its line, makes the tree of cgroups where it can.  0 or -errno. */
int tick_open(const struct config *config, struct tick **tick);

/* The services are those of that file (its absolute path, which outlives the tick): ends what an
 * earlier supervisor of it has left behind, in modes A and B.  -EALREADY when one that lives runs
 * them; other failures are logged. */
int tick_claim(struct tick *tick, const char *file);

/* Lifts brakes, removes leaves (killing what is left in them after wait_ms), undoes the tree. */
void tick_close(struct tick *tick, uint32_t wait_ms);

/* A leaf with its limits (modes A and B), a link, a doorbell, triggers.  Does nothing for what is
 * there already, so it may be called before every start; makes it again where somebody has removed
 * the leaf.  0 or -errno. */
int tick_service_prepare(struct tick *tick, size_t service);

/* NULL where there is none. */
struct link *tick_link(struct tick *tick, size_t service);
struct cgroup_leaf *tick_leaf(struct tick *tick, size_t service);

void tick_service_started(struct tick *tick, size_t service);

/* Returns how many OOM kills the kernel has counted in the service's cgroup since it was last
 * asked.  Without a leaf the count is that of all services together: then any is
 * reported to the first caller only, so ask for a process that died of SIGKILL. */
uint64_t tick_service_ended(struct tick *tick, size_t service);

/* All services are down: lifts the brakes and ends the process that guards them, which is a child
 * of ours.  What starts all the same may be braked again. */
void tick_end_guard(struct tick *tick);

/* The service is no more (removed by reload): its leaf, link and watches go. */
void tick_service_remove(struct tick *tick, size_t service, uint32_t wait_ms);

/* The same services under a new config: previous[i] is the old index of new service i, or SIZE_MAX
 * where it is new.  Services that are in no previous[] must have been removed before.  Always
 * succeeds; limits that the kernel refuses are logged. */
void tick_reload(struct tick *tick, const struct config *config, const size_t *previous);

/* The operator's wish, once; SIZE_MAX = every service.  Takes effect at the next tick_step(). */
void tick_ask(struct tick *tick, size_t service, enum level level);

/* Milliseconds until the next turn. */
uint32_t tick_step(struct tick *tick, uint64_t now_ms);

/*
 * What to wait for, all for reading.  A descriptor that has left the list stays open
 * until tick_watches_settled(), so that the loop can first stop waiting for it.
 * The generation changes with the list.
 */
enum tick_watch_kind { TICK_WATCH_PSI, TICK_WATCH_EVENTS, TICK_WATCH_DOORBELL, TICK_WATCH_DOOR };

struct tick_watch {
	int fd;
	enum tick_watch_kind kind;
	size_t service; /* SIZE_MAX = what is common to all */
};

#define TICK_WATCHES_MAX (CONFIG_SERVICES_MAX * 3 + 3)

uint64_t tick_watches_generation(const struct tick *tick);
size_t tick_watches(const struct tick *tick, struct tick_watch watch[TICK_WATCHES_MAX]);
void tick_watches_settled(struct tick *tick);
void tick_woken(struct tick *tick, const struct tick_watch *watch, uint64_t now_ms);

/* For the last report, since the service's first start. */
struct tick_counts {
	struct link_totals heap;
	uint64_t oom_kills;
	uint64_t releases[LEVELS]; /* asked for, by level */
	uint64_t brakes;
	uint64_t psi_wakes;
	uint64_t events_wakes;
	uint64_t doorbell_wakes;
	uint64_t usage_bytes;
	enum level level;
};

void tick_counts(struct tick *tick, size_t service, struct tick_counts *counts);

#endif
