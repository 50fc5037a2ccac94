#ifndef SUPERVISOR_POLICY_BEHIND_H
#define SUPERVISOR_POLICY_BEHIND_H

#include "supervisor/policy/turn.h"

/* What the heaps behind one wall hold, and whether they could still give. */
struct behind {
	/* Every heap has answered a full release lately, or has not answered in time. */
	bool emptied;
	uint64_t idle_bytes; /* of those that answer */
	uint64_t live_bytes;
	uint64_t free_slot_bytes;
	uint64_t heap_bytes; /* resident */
};

/* A full release so long ago still says what heaps have where nobody waits for it. */
#define BEHIND_FRESH_MS UINT64_C(5000)

/* within_ms: how long ago the full release may have been.  Without any heap emptied is true. */
struct behind behind_service(const struct turn *turn, size_t i, uint64_t within_ms);
struct behind behind_shared(const struct turn *turn, uint64_t within_ms);

/* Emptied, and so little idle that no release is worth its while. */
bool behind_has_nothing(const struct behind *behind, uint64_t limit_bytes);

#endif
