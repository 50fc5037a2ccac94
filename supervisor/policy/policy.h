#ifndef SUPERVISOR_POLICY_POLICY_H
#define SUPERVISOR_POLICY_POLICY_H

#include "supervisor/policy/belief.h"
#include "supervisor/policy/brake.h"
#include "supervisor/policy/credit.h"
#include "supervisor/policy/growth.h"
#include "supervisor/policy/plan.h"
#include "supervisor/policy/pressure.h"
#include "supervisor/policy/release.h"
#include "supervisor/policy/sample.h"
#include "supervisor/policy/shortage.h"
#include "supervisor/policy/stall.h"

/*
 * From sample to plan.  Pure: no clock, no file, no allocation, no callback;
 * the same state, settings, sample and time give the same plan, so a test is a
 * table of (now_ms, sample, expected plan).
 *
 * The order of trust is headroom and time to wall first, memory.events second,
 * stall third: without swap a cgroup that grows is killed after about 1 ms of
 * recorded stall.  A level rises on the first sample over a threshold and falls
 * only after hold_ms below it: reacting late costs a kill, relaxing late
 * costs a little speed.
 */

/* How soon the loop should look again by itself. */
#define POLICY_FAR_MS 1000U /* calm, and no wall within one such step's reach */
#define POLICY_CALM_MS 250U /* calm, with a wall within reach */
#define POLICY_LAZY_MS 250U
#define POLICY_EAGER_MS 50U
#define POLICY_NEAR_MS 10U /* full, braked, someone waits at the gate, or a release is out */
/* Time to wall is divided by this: so many looks before it is reached. */
#define POLICY_LOOKS_BEFORE_WALL 4U

/* Cumulative memory.events as of the last step. */
struct policy_events {
	bool known;
	uint64_t high;
	uint64_t max;
};

struct policy_service {
	struct growth growth; /* of the leaf; empty where there is none */
	struct stall stall;
	struct policy_events events;
	struct pressure pressure;
	struct release release;
	struct brake brake;
	struct credit credit;
	struct belief belief;
	struct shortage shortage; /* of its own wall */
};

/* The caller's storage, all zero at the start.  service[] follows config.services[]. */
struct policy_state {
	struct growth shared_growth;
	struct stall shared_stall;
	struct policy_events shared_events;
	uint64_t shared_current_bytes; /* at the last step */
	struct shortage shared_shortage;
	struct policy_service service[CONFIG_SERVICES_MAX];
};

/* sample->service_count is config->service_count.  Sets all of *plan. */
void policy_step(struct policy_state *state, const struct config *config,
	const struct sample *sample, uint64_t now_ms, struct plan *plan);

/* The service's cgroup or processes are new: what was known of it no longer holds. */
void policy_state_forget(struct policy_state *state, size_t service);

/*
 * After a reload: service i of *to continues service index[i] of *from; SIZE_MAX
 * = it is new.  What only *from has is dropped, so lift its brake first.
 */
void policy_state_remap(struct policy_state *to, const struct policy_state *from,
	const size_t *index, size_t count);

#endif
