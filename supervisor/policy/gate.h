#ifndef SUPERVISOR_POLICY_GATE_H
#define SUPERVISOR_POLICY_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

/*
 * How hard to ask for memory while heaps wait at the growth gate.
 *
 * First eager, and full once eager was answered or GATE_FULL_MS have passed and someone
 * still waits.  That is a matter of requests (release.h) and of no level: it is over as soon as
 * there is credit again, and may begin anew some milliseconds later.  So it is held for
 * GATE_HOLD_MS only: a new need within that time is asked for as hard as the last one was.
 */

#define GATE_HOLD_MS 250U
#define GATE_FULL_MS 20U

/* The gate under one wall: what waits there and what it could be given. */
struct gate_view {
	uint64_t wants_bytes;
	uint64_t credit_bytes;
	bool answered; /* nobody under this wall still works on a release */
};

struct gate {
	bool is_short;
	uint64_t short_ms; /* since when */
	enum level level;
	uint64_t level_ms; /* when it was last short */
};

/* LEVEL_CALM: nobody waits, nor did lately. */
enum level gate_step(struct gate *gate, const struct gate_view *view, uint64_t now_ms);

#endif
