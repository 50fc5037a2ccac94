#ifndef SUPERVISOR_POLICY_TURN_H
#define SUPERVISOR_POLICY_TURN_H

#include "supervisor/policy/policy.h"

/*
 * What the parts of one policy_step work on and pass to each other; it lives no
 * longer than that step.  Arguments first, then what the parts found out, in
 * the order in which they run.  What they found out about one service is in policy_service.turn.
 */

struct turn {
	struct policy_state *state;
	struct policy_service *const *service;
	size_t count;
	const struct sample *sample;
	uint64_t now_ms;
	struct plan *plan;

	struct wall shared;
	uint64_t shared_max; /* events since the last step that no leaf of ours accounts for */
	bool shared_far;
	uint64_t shared_most_bytes; /* what it could give if all were empty */
	/* Who waits at the gate for room below the shared wall and is not served. */
	uint64_t gate_wants_bytes;
	uint64_t gate_credit_bytes;
	uint64_t shared_reserve_bytes; /* what is kept back below it unless a shortage is concluded
					*/
	bool concluded;                /* in this step */
	uint64_t taken_bytes;          /* credit, since ever, of all services that are listed */
};

/* Looks at every wall and counter, and retires the services that do not run. */
void turn_observe(struct turn *turn);

/* Nothing that was asked of this service is still out. */
bool turn_has_answered(const struct turn *turn, size_t i);

/* It runs, has a heap that can be asked, and is not frozen. */
bool turn_can_give(const struct turn *turn, size_t i);

/* There is as much headroom and time to this wall as eager wants, or no wall. */
bool turn_is_clear(const struct wall *wall, const struct config_policy *policy);

/* The headroom below which the policy asks for full below this wall. */
uint64_t turn_full_bytes(const struct config_policy *policy, const struct wall *wall);

/* A new action at the end of the plan; NULL where the plan is full. */
struct action *turn_action_add(struct turn *turn, enum action_kind kind, size_t service);

#endif
