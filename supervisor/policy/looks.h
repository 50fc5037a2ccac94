#ifndef SUPERVISOR_POLICY_LOOKS_H
#define SUPERVISOR_POLICY_LOOKS_H

#include "supervisor/policy/turn.h"

/*
 * When to look again, unless something wakes the loop earlier.
 *
 * LOOKS_FAR_MS in calm, and further apart while nothing happens (rest.h): heaps that grow tell of
 * it when their credit is used up, long before they are at a threshold.  What grows and tells
 * nobody is seen by its rate: at the present one there are LOOKS_BEFORE looks before the next
 * threshold is crossed, by headroom or by time to the wall, and before the wall.
 *
 * Beyond a threshold the looks are as frequent as what the numbers ask for now; a level that is
 * only held needs none.  LOOKS_NEAR_MS while a brake is on, where one has just come off or a
 * service was thawed, someone waits at the gate, or a release or memory.reclaim is out.
 */

#define LOOKS_FAR_MS REST_LEAST_MS
#define LOOKS_LAZY_MS 250U
#define LOOKS_EAGER_MS 50U
#define LOOKS_NEAR_MS 10U
#define LOOKS_BEFORE 4U

/* 1 .. REST_MOST_MS. */
uint32_t looks_next_ms(const struct turn *turn);

#endif
