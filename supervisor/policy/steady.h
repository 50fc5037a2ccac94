#ifndef SUPERVISOR_POLICY_STEADY_H
#define SUPERVISOR_POLICY_STEADY_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

/*
 * How often the level of one service may change: STEADY_CHANGES times in any STEADY_MS.
 *
 * A rise must never wait.  So a fall is what is put off: it is allowed only while as many changes
 * are left as it would take to rise from there to full, step by step.  Then the number holds under
 * any load.  A load that swings through a threshold every few seconds ends up at the higher level
 * for most of a minute, which costs it less than the swinging does.
 */

#define STEADY_CHANGES 6U
#define STEADY_MS UINT64_C(60000)

struct steady {
	uint64_t at_ms[STEADY_CHANGES]; /* a ring, oldest at first */
	unsigned first;
	unsigned count;
};

/* The lowest level from `wanted` up to `level`, the one in force, to which it may fall now. */
enum level steady_floor(
	struct steady *steady, enum level level, enum level wanted, uint64_t now_ms);

/* The level has changed. */
void steady_note(struct steady *steady, uint64_t now_ms);

#endif
