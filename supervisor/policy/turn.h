#ifndef SUPERVISOR_POLICY_TURN_H
#define SUPERVISOR_POLICY_TURN_H

#include "supervisor/policy/policy.h"
#include "supervisor/policy/wall.h"

/*
 * What the parts of one policy_step work on and pass to each other; it lives no
 * longer than that step.  Arguments first, then what the parts found out, in
 * the order in which they run.
 */

struct turn {
	struct policy_state *state;
	const struct config *config;
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

	struct turn_service {
		const struct config_policy *policy;
		struct wall own;
		bool own_far;
		uint64_t leaf_bytes;
		uint64_t events_high;
		uint64_t events_max;
		bool gated;           /* its heaps ask before they grow */
		uint64_t wants_bytes; /* what is believed of the heaps' wants */
		bool own_short;       /* it waits at the gate, and for its own wall */
		uint64_t own_reserve_bytes;
		bool rose;
		struct reason reason; /* of rose */
	} service[CONFIG_SERVICES_MAX];
};

/* Looks at every wall and counter, and retires the services that do not run. */
void turn_observe(struct turn *turn);

/* Nothing that was asked of this service is still out. */
bool turn_has_answered(const struct turn *turn, size_t i);

/* A new action at the end of the plan; NULL where the plan is full. */
struct action *turn_action_add(struct turn *turn, enum action_kind kind, size_t service);

#endif
