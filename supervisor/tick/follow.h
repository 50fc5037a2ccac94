#ifndef SUPERVISOR_TICK_FOLLOW_H
#define SUPERVISOR_TICK_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Looking closely after a heap has said that it grows.
 *
 * It says so before it has touched the memory: at the look that follows, usage has not risen yet,
 * and nothing says when the threshold is crossed.  So usage is looked at every FOLLOW_LOOK_MS until
 * it has not risen for FOLLOW_MS.  A notification that comes with no growth of a heap, such as the
 * answer to a release, begins nothing.
 */

#define FOLLOW_LOOK_MS 1U
#define FOLLOW_MS 20U
#define FOLLOW_RISE_BYTES (UINT64_C(256) << 10)

/* All zero at the start. */
struct follow {
	uint64_t heap_bytes; /* at the last step */
	uint64_t usage_bytes;
	uint64_t until_ms;
};

/* In every turn.  notified: a service has notified us since the last.  heap_bytes: what the heaps
 * have, idle memory included, usage_bytes: of the cgroups.  When to look again; UINT32_MAX: no
 * need. */
uint32_t follow_step(struct follow *follow, bool notified, uint64_t heap_bytes,
	uint64_t usage_bytes, uint64_t now_ms);

#endif
