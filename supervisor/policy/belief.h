#ifndef SUPERVISOR_POLICY_BELIEF_H
#define SUPERVISOR_POLICY_BELIEF_H

#include <stdbool.h>
#include <stdint.h>

/*
 * What of a service's wants is believed.
 *
 * A slot is written by the service itself, and wants in it raise the level of every sibling under
 * the same wall.  A service that says it grows and does not must not slow the others down.
 *
 * So each want costs its bytes of an allowance, which growth of the service's usage pays back: of a
 * service that does grow everything is believed.  The allowance is BELIEF_START_BYTES at first and
 * what the service uses where that is more, and it comes back by BELIEF_BYTES_PER_MS as well.
 *
 * A want that stands unchanged for longer than BELIEF_WAITS times as long as a heap may wait is
 * nobody's.  So is one for which there was credit for more than 1/BELIEF_UNTAKEN_SHARE of that time
 * altogether, and which stands unchanged: a heap takes its credit when it wakes up, and until then
 * the siblings do without it.
 *
 * Heaps of a service that is not believed do not wait at the gate: nobody would serve them.
 */

#define BELIEF_START_BYTES ((uint64_t)256 * 1024 * 1024)
#define BELIEF_BYTES_PER_MS UINT64_C(1024)
#define BELIEF_WAITS 4U
#define BELIEF_UNTAKEN_SHARE 2U

struct belief {
	uint64_t spent_bytes; /* of the allowance */
	uint64_t wants_bytes; /* as said at the last step */
	uint64_t believed_bytes;
	uint64_t changed_ms; /* when wants_bytes last changed */
	uint64_t untaken_ms; /* for how long since then there was credit for it */
	uint64_t step_ms;
};

struct belief_view {
	uint64_t wants_bytes;
	uint64_t usage_bytes;
	uint64_t grown_bytes; /* the rise of usage since the last step */
	uint32_t gate_wait_ms;
	bool granted; /* the last step gave credit for all that was believed */
};

/* How much of wants_bytes to believe. */
uint64_t belief_step(struct belief *belief, const struct belief_view *view, uint64_t now_ms);

#endif
