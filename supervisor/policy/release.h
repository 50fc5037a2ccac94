#ifndef SUPERVISOR_POLICY_RELEASE_H
#define SUPERVISOR_POLICY_RELEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/policy/plan.h"
#include "supervisor/policy/proof.h"
#include "supervisor/policy/sample.h"

/*
 * When to ask one service for memory, at which level, and for how much.
 *
 * A rise of the level is one request.  While the level stays and headroom is
 * short there is another when the last one was answered or RELEASE_ANSWER_MS have
 * passed, yet none within RELEASE_AGAIN_MS unless someone waits at the gate: the
 * level in force works on by itself.  Nor does it wait where headroom is under eager's threshold
 * and the heaps are known to hold something idle: who grows would be at the gate before that.
 *
 * Full costs the threads of a service their caches.  So while full stays, the
 * idle spans that appear are asked for with eager, and with full only every
 * RELEASE_FULL_MS, when nothing idle is known of, or when someone waits at the
 * gate whom eager did not help.  Below full, an eager release that returned less
 * than it was asked for, with headroom still under eager's threshold, is
 * followed by one of full.
 *
 * What came back is measured twice, by the heaps' own count and by usage (proof.h).
 * A service that returned next to nothing is asked less and less often, up to
 * RELEASE_BACKOFF_MAX_MS, until it has idle bytes again; every RELEASE_AGAIN_MS while someone
 * waits at the gate.
 */

#define RELEASE_ANSWER_MS 200U
#define RELEASE_AGAIN_MS 50U
#define RELEASE_BACKOFF_MAX_MS 2000U
#define RELEASE_FULL_MS 2000U
/* Less than this coming back is nothing; as much more idle is something new. */
#define RELEASE_LITTLE_BYTES ((uint64_t)256 * 1024)

struct release_view {
	enum level level;
	bool rose; /* to that level in this step */
	bool answered;
	bool urgent;           /* someone waits at the gate */
	bool short_of_eager;   /* headroom is under eager's threshold */
	uint64_t target_bytes; /* this service's part of what is missing; 0 = nothing is missing */
	uint64_t idle_bytes;   /* what a release of that level could find */
	uint64_t released_bytes; /* heap_sample.released_bytes */
	struct proof_usage usage;
};

struct release {
	bool asked; /* and not yet weighed */
	enum level asked_level;
	uint64_t asked_ms;
	bool was_full;
	uint64_t full_ms; /* when full was last asked for */
	uint64_t asked_target_bytes;
	uint64_t asked_released_bytes;
	uint32_t backoff_ms;      /* 0 = the last one was worth it */
	uint64_t left_idle_bytes; /* idle when it was found to give next to nothing */
	bool wants_full;          /* eager was not enough */
	struct proof proof;
};

/* The level to ask for now, LEVEL_CALM = nothing; *target_bytes with it. */
enum level release_step(struct release *release, const struct release_view *view, uint64_t now_ms,
	uint64_t *target_bytes);

/* A request by hand went out: what comes back belongs to it. */
void release_asked(struct release *release, enum level level, const struct release_view *view,
	uint64_t now_ms);

/* A full release was asked for within the last within_ms, and answered or given up. */
bool release_has_emptied(const struct release *release, uint64_t within_ms, uint64_t now_ms);

/* What a release of that level reaches of what is idle. */
uint64_t release_reach_bytes(enum level level, uint64_t dirty_bytes, uint64_t lazy_bytes);

/* What it could find in these heaps, as far as they are believed. */
uint64_t release_idle_bytes(
	const struct release *release, const struct heap_sample *heap, enum level level);

#endif
