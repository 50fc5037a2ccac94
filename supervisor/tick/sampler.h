#ifndef SUPERVISOR_TICK_SAMPLER_H
#define SUPERVISOR_TICK_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "supervisor/link/link.h"
#include "supervisor/cgroup/mode.h"
#include "supervisor/policy/policy.h"

/*
 * Control files and link slots -> struct sample.
 *
 * How often a file may be read is kept here and nowhere else.  Usage, limits,
 * events and the cache may be read at every tick.  memory.pressure may not: each read
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

struct sampler;

/* base_directory: the cgroup that holds all services (below mode->mount). */
int sampler_open(
	int root_fd, const struct mode *mode, const char *base_directory, struct sampler **sampler);
void sampler_close(struct sampler *sampler);

/* leaf_fd -1: the service has none.  Neither the descriptor nor the link is kept open by this. */
void sampler_set_service(struct sampler *sampler, size_t service, int leaf_fd, struct link *link);
void sampler_clear_service(struct sampler *sampler, size_t service);

/* After a reload: service i is what previous[i] was, or new (SIZE_MAX).  Whatever is in no
 * previous[] was cleared before. */
void sampler_move_services(struct sampler *sampler, const size_t *previous, size_t count);

/* An unprivileged trigger is armed on the leaf's (or, SIZE_MAX, the base's) memory.pressure. */
void sampler_note_trigger(struct sampler *sampler, size_t service, bool armed);

/* Fills the sample and that of every service, all but running and manual, which the caller sets
 * before. */
void sampler_read(struct sampler *sampler, uint64_t now_ms, const struct policy_state *services,
	struct sample *sample);

/* The rest of what the links said at the last read; all zero where there is no link. */
const struct link_totals *sampler_totals(const struct sampler *sampler, size_t service);

/* memory.current (v1: usage_in_bytes) at the last read: of the service's leaf, else, *shared, of
 * the cgroup that all services are in; 0 where unknown. */
uint64_t sampler_usage(const struct sampler *sampler, size_t service, bool *shared);

/* OOM kills as the kernel counts them now, in the leaf, else in the cgroup of all services. */
uint64_t sampler_oom_kills(const struct sampler *sampler, size_t service);

/* The limit of the tightest shared wall, read now; SAMPLE_NO_LIMIT. */
uint64_t sampler_wall_bytes(struct sampler *sampler);

/* The directory of the tightest shared wall as last read; "" where there is none. */
const char *sampler_wall_directory(const struct sampler *sampler);

#endif
