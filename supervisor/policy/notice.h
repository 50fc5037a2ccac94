#ifndef SUPERVISOR_POLICY_NOTICE_H
#define SUPERVISOR_POLICY_NOTICE_H

#include <stddef.h>
#include <stdint.h>

#include "supervisor/policy/turn.h"

/*
 * How far the heaps of one service may grow before they say so.
 *
 * A heap knows of its growth before any file does.  It is given a part of the way to the next
 * threshold of headroom, the way divided by the number of services and one: all of them grow at
 * once at the worst, and what is not heap grows too.  At each notice policy looks again and gives
 * the next part, so a threshold far away costs a handful of looks, and near one they come every
 * NOTICE_MIN_BYTES.  Thresholds of time are not looked for: a look at every part of the way is
 * enough to see the speed.
 */

#define NOTICE_MIN_BYTES (UINT64_C(256) << 10)

/* UINT64_MAX: no threshold is left, or there is no wall. */
uint64_t notice_bytes(const struct turn *turn, size_t service);

#endif
