#ifndef SUPERVISOR_POLICY_POLICY_H
#define SUPERVISOR_POLICY_POLICY_H

#include "supervisor/policy/plan.h"
#include "supervisor/policy/sample.h"

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

struct policy_state; /* see below; the caller's storage, all zero at the start */

void policy_step(struct policy_state *state, const struct config *config,
	const struct sample *sample, uint64_t now_ms, struct plan *plan);

#endif
