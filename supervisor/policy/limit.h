#ifndef SUPERVISOR_POLICY_LIMIT_H
#define SUPERVISOR_POLICY_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A limit that moves down without a kill.
 *
 * The kernel reclaims and then kills in the write that brings memory.max below usage.  So a lower
 * limit is first a target: policy is shown the target as the wall, and gets the heaps to give back.
 * memory.max follows usage down in steps of at least 1/LIMIT_STEP_SHARE of it, each of which leaves
 * 1/LIMIT_ROOM_SHARE of usage, until it is at the target.  A limit that is raised is written at
 * once.
 *
 * When usage is still above the target after LIMIT_DEADLINE_MS that is said once.  memory.max stays
 * where it could be brought, and goes on following usage.
 */

#define LIMIT_STEP_SHARE 32U
#define LIMIT_ROOM_SHARE 16U
#define LIMIT_DEADLINE_MS UINT64_C(5000)

struct limit {
	bool moving;
	uint64_t written_bytes; /* memory.max as written last; UINT64_MAX = none */
	uint64_t target_bytes;
	bool began;
	uint64_t began_ms; /* the first step after limit_aim */
	bool late;
};

enum limit_change { LIMIT_KEEP, LIMIT_WRITE, LIMIT_REACHED, LIMIT_LATE };

/* The limit is to be target_bytes.  True: write it at once; false: limit_step says when. */
bool limit_aim(struct limit *limit, uint64_t target_bytes);

/* WRITE and REACHED: written_bytes is to be written now.  LATE: nothing is, and it is to be said.
 */
enum limit_change limit_step(struct limit *limit, uint64_t current_bytes, uint64_t now_ms);

#endif
