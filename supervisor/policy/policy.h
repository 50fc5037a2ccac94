#ifndef SUPERVISOR_POLICY_POLICY_H
#define SUPERVISOR_POLICY_POLICY_H

#include "supervisor/policy/belief.h"
#include "supervisor/policy/brake.h"
#include "supervisor/policy/credit.h"
#include "supervisor/policy/freeze.h"
#include "supervisor/policy/gate.h"
#include "supervisor/policy/growth.h"
#include "supervisor/policy/last_resort.h"
#include "supervisor/policy/order.h"
#include "supervisor/policy/plan.h"
#include "supervisor/policy/pressure.h"
#include "supervisor/policy/reclaim.h"
#include "supervisor/policy/release.h"
#include "supervisor/policy/rest.h"
#include "supervisor/policy/sample.h"
#include "supervisor/policy/shortage.h"
#include "supervisor/policy/stall.h"
#include "supervisor/policy/wall.h"

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

/* Cumulative memory.events as of the last step. */
struct policy_events {
	bool known;
	uint64_t high;
	uint64_t max;
};

/* What is kept of one service from step to step. */
struct service_state {
	struct growth growth; /* of the leaf; empty where there is none */
	struct stall stall;
	struct policy_events events;
	struct pressure pressure;
	struct gate gate;
	struct release release;
	struct brake brake;
	struct freeze freeze;
	struct credit credit;
	struct belief belief;
	struct shortage shortage; /* of its own wall */
	struct reclaim reclaim;   /* likewise */
	struct last_resort last_resort;
	bool leaves; /* it was told to end, by the last resort */
};

/* What the parts of one step find out about one service, in the order in which they run. */
struct service_turn {
	const struct config_policy *policy;
	struct wall own;
	bool own_far;
	uint64_t leaf_bytes;
	uint64_t events_high;
	uint64_t events_max;
	bool gated;           /* its heaps ask before they grow */
	uint64_t wants_bytes; /* what is believed of the heaps' wants */
	struct credit_share share;
	bool own_short; /* it waits at the gate, and for its own wall */
	uint64_t own_reserve_bytes;
	bool spared;          /* not asked for those who wait at the gate */
	enum level asks;      /* how hard it is asked: its level, or what the gate asks for */
	bool rose;            /* asks did */
	struct reason reason; /* of rose */
	struct order order;   /* of the part that visits the services in an order of its own */
};

/* One service: the caller's storage, all zero at the start, at one address while it is listed. */
struct policy_service {
	/* Set by the caller before every step. */
	const struct config_policy *policy;
	bool has_high;           /* memory.high is configured */
	uint32_t priority;       /* memory_priority; 0 = the usual one */
	bool may_end;            /* as the last resort */
	uint32_t freeze_ms;      /* may be frozen for so long; 0 = it may not */
	uint64_t promised_bytes; /* memory_low */
	struct service_sample sample;
	/* Set by every step. */
	struct service_plan plan;
	/* Policy's own. */
	struct service_state state;
	struct service_turn turn;
};

/* The caller's storage, all zero at the start.  The list is the caller's too, who may change it
 * between two steps: what is kept of a service goes with it. */
struct policy_state {
	struct policy_service **service;
	size_t service_count;
	struct growth shared_growth;
	struct stall shared_stall;
	struct policy_events shared_events;
	struct charge shared_charge; /* for services without a leaf */
	struct shortage shared_shortage;
	struct reclaim shared_reclaim;
	struct last_resort shared_last_resort;
	struct rest rest;
};

/* Sets the plan of every service and all of *plan but its room, which is PLAN_ACTIONS() or actions
 * are lost. */
void policy_step(struct policy_state *state, const struct sample *sample, uint64_t now_ms,
	struct plan *plan);

/* The service's cgroup or processes are new: what was known of it no longer holds. */
void policy_service_forget(struct policy_service *service);

#endif
