#ifndef SUPERVISOR_POLICY_PLAN_H
#define SUPERVISOR_POLICY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

/*
 * All that policy may ask for.  The supervisor performs a plan in its order
 * with one switch and decides nothing by itself.
 */

enum reason_kind {
	REASON_RELAXED,      /* nothing asked for the level for hold_ms; value: headroom */
	REASON_HEADROOM,     /* value, threshold: bytes */
	REASON_TIME_TO_WALL, /* value, threshold: ms */
	REASON_PRESSURE,     /* value, threshold: permille of the window stalled */
	REASON_EVENTS_HIGH,  /* value: how many since the last sample */
	REASON_EVENTS_MAX,   /* value: how many since the last sample */
	REASON_GATE,         /* value: bytes wanted, threshold: bytes of credit left */
	REASON_MANUAL,       /* asked for by the operator */
	REASON_SLOWED,       /* something was slowed down for so long; value, threshold: ms */
	REASON_DEADLINE,     /* it was braked or frozen for as long as it may be; value: ms */
	/* Nothing idle is left and someone waits; value: the largest part of what is used, which is
	 * meant, threshold: headroom. */
	REASON_LIVE,       /* live memory of the heaps */
	REASON_FRAGMENTED, /* free slots in pages that hold live memory too */
	REASON_FOREIGN,    /* what is in no heap of ours */
	REASONS
};

/* Why, as numbers: which one crossed which threshold, and at which wall. */
struct reason {
	enum reason_kind kind;
	uint64_t value;
	uint64_t threshold;
	uint64_t wall_bytes; /* 0 where no wall is concerned */
	bool shared;         /* it is the wall that all services have in common */
};

enum action_kind {
	ACTION_LEVEL,    /* publish level (from previous) to the service */
	ACTION_RELEASE,  /* ask once for a release of that level */
	ACTION_BRAKE,    /* set the leaf's memory.high to high_bytes until until_ms at the latest */
	ACTION_UNBRAKE,  /* give the leaf its configured memory.high back */
	ACTION_CONCLUDE, /* say that waiting at the gate is in vain; shared: for all services */
	ACTION_END,      /* the last resort: stop or restart the service, as its settings say */
	ACTION_FREEZE, /* let the leaf stand still until until_ms at the latest, for needy's sake */
	ACTION_THAW,   /* let it go on */
	ACTION_RECLAIM, /* have the kernel take back target_bytes of the leaf, or of all services */
	ACTIONS
};

struct action {
	enum action_kind kind;
	size_t service; /* index in policy_state.service */
	enum level level;
	enum level previous;
	uint64_t target_bytes; /* ACTION_RELEASE, UINT64_MAX = all it can; ACTION_RECLAIM */
	uint64_t high_bytes;   /* ACTION_BRAKE */
	uint64_t until_ms;     /* ACTION_BRAKE, ACTION_FREEZE, ACTION_RECLAIM */
	size_t needy;          /* ACTION_FREEZE; as service */
	bool all;              /* ACTION_RECLAIM: in the cgroup of all services */
	struct reason reason;
};

/*
 * For the link of one service, every time: what its heaps may grow by before they must ask
 * (UINT64_MAX = no limit), what is left below the nearer wall (UINT64_MAX = there is none), the
 * price of keeping idle memory there (price.h; never 0), and how long its heaps may wait for
 * credit (0 = they do not wait).
 *
 * Credit replaces what was there.  What heaps took between sample and
 * store must not be given twice: where both numbers are finite, store by compare
 * and swap, less what credit_left_bytes of the sample has shrunk by since.
 *
 * Credit is finite also when all is calm and the wall is within reach of a
 * burst.  What a heap took it populates at once, else it is given again before
 * it is charged.  What was not granted must not be populated: the need may be
 * far more than is ever touched.
 */
struct service_plan {
	uint64_t credit_bytes;
	uint64_t headroom_bytes;
	uint64_t price_ns;
	uint32_t gate_wait_ms;
	uint64_t notice_bytes; /* after so much growth its heaps say so (notice.h); UINT64_MAX:
				  never */
};

/* So many actions are the most for that many services. */
#define PLAN_ACTIONS(services) ((size_t)(services)*7 + 3)

struct plan {
	struct action *action; /* the caller's, with room for so many */
	size_t room;
	size_t count;
	/* How long until the next step unless something wakes the loop earlier. */
	uint32_t next_ms;
};

#endif
