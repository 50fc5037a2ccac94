#ifndef SUPERVISOR_TICK_SAMPLER_H
#define SUPERVISOR_TICK_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/link/link.h"
#include "supervisor/cgroup/mode.h"
#include "supervisor/cgroup/cgroup_files.h"
#include "supervisor/cgroup/limit_watch.h"
#include "supervisor/policy/sample.h"
#include "supervisor/tick/soft_usage.h"

/*
 * Control files and link slots -> struct sample.
 *
 * How often a file may be read is kept here and nowhere else.  Usage, limits,
 * events and the cache may be read at every tick.  Of a service at rest they are not: a limit is
 * known until somebody writes it, events until the kernel tells of them, and memory.stat is read
 * again when usage is another one or after SAMPLER_STAT_MS.  memory.pressure may not be: each read
 * moves the kernel's averaging period, so that fast readers make stall time vanish
 * and starve the triggers of everybody on the same cgroup.  It is read every
 * SAMPLER_STALL_MS at most, and every SAMPLER_STALL_TRIGGER_MS where a trigger
 * without CAP_SYS_RESOURCE is armed on it.
 *
 * Without a limit anywhere and without a v2 cgroup of our own the stall is that
 * of the whole machine (/proc/pressure/memory).  The machine's memory is a shared wall like the
 * limits (machine.h).
 */

#define SAMPLER_STALL_MS 250
#define SAMPLER_STALL_TRIGGER_MS 1000
#define SAMPLER_STAT_MS 1000

struct sampler;

/* One memory.pressure and when it may be read again. */
struct stall_source {
	int fd;    /* -1 = none */
	bool slow; /* a trigger without CAP_SYS_RESOURCE is armed on it */
	struct stall_sample last;
};

/* What is kept of one service; part of that service. */
struct sampler_service {
	struct link *link;
	bool has_leaf;
	struct cgroup_files leaf;
	struct stall_source stall;
	/* What was read last holds until these say otherwise, which is the caller's to do. */
	bool rests;        /* it is at calm, and nothing is about to change that */
	bool tells_limit;  /* a write to its limit clears limit_known */
	bool tells_events; /* new events clear events_known */
	bool limit_known;
	bool events_known;
	uint64_t limit_bytes;
	struct events_sample events;
	struct wall_sample stat;
	uint64_t stat_ms;
	struct link_totals
		totals; /* what the links said at the last read; all zero without a link */
	uint64_t usage_bytes;
	uint64_t soft_bytes; /* without a leaf: the limit that we alone keep; SAMPLE_NO_LIMIT */
	struct soft_usage soft;
};

#define SAMPLER_SERVICE_NONE \
	((struct sampler_service){ \
		.leaf = CGROUP_FILES_NONE, .stall = {.fd = -1}, .soft_bytes = SAMPLE_NO_LIMIT})

/* base_directory: the cgroup that holds all services (below mode->mount).  The root's descriptor
 * and the mode outlive the sampler.  0 or -errno. */
int sampler_open(
	int root_fd, const struct mode *mode, const char *base_directory, struct sampler **sampler);
void sampler_close(struct sampler *sampler);

/* Before the first sampler_read_service(), and before sampler_wall_bytes() is asked: opens the
 * files of all walls.  That takes as long as the rest of a start, so a command that ends at once
 * goes without.  Whether it was done now. */
bool sampler_settle(struct sampler *sampler);

/* leaf_fd -1: the service has none.  Neither the descriptor nor the link is kept open by this. */
void sampler_service_open(struct sampler_service *service, int leaf_fd, struct link *link);
void sampler_service_close(struct sampler_service *service);

/* An unprivileged trigger is armed on the file that tells of the stall that all have in common. */
void sampler_note_trigger(struct sampler *sampler, bool armed);

/* The limits of all levels are to be watched. */
void sampler_watch_limits(const struct sampler *sampler, const struct limit_watch *watch);

/* Fills all but running and manual. */
void sampler_read_service(const struct sampler *sampler, struct sampler_service *from,
	uint64_t now_ms, struct service_sample *to);

/* What all services have in common, to be read after them: what a heap takes in between is counted
 * twice rather than not at all.  heaps_bytes is what their heaps hold, and stands in for a usage
 * that cannot be read. */
void sampler_read(
	struct sampler *sampler, uint64_t now_ms, uint64_t heaps_bytes, struct sample *sample);

/* memory.current (v1: usage_in_bytes) at the last read: of the service's leaf, else, *shared, of
 * the cgroup that all services are in; 0 where unknown. */
uint64_t sampler_usage(
	const struct sampler *sampler, const struct sampler_service *service, bool *shared);

/* OOM kills as the kernel counts them now, in the leaf, else in the cgroup of all services. */
uint64_t sampler_oom_kills(const struct sampler *sampler, const struct sampler_service *service);

/* The limit of the tightest shared wall, as of the last sampler_read(), or of sampler_settle();
 * SAMPLE_NO_LIMIT.  Services that start together do not each read all files of all walls. */
uint64_t sampler_wall_bytes(const struct sampler *sampler);

/* The walls that all services have in common, as of the last sampler_read(): the tightest limit of
 * a cgroup, and the machine's memory.  What is not known has no limit. */
void sampler_walls(
	const struct sampler *sampler, struct wall_sample *cgroup, struct wall_sample *machine);

/* The directory of the tightest shared wall as last read; "" where there is none. */
const char *sampler_wall_directory(const struct sampler *sampler);

#endif
