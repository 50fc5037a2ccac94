#ifndef SUPERVISOR_POLICY_REST_H
#define SUPERVISOR_POLICY_REST_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How far apart the looks are while nothing happens.
 *
 * Heaps tell of their growth, the kernel of stall, events and written limits.  What is left to
 * looks is growth outside our heaps, by mmap or by programs without the shim.  So the time between
 * two looks at calm is doubled from REST_LEAST_MS to REST_MOST_MS, but is never longer than such
 * growth needs to the next threshold at REST_FASTEST_BYTES_PER_MS: two cores that fill fresh pages.
 * Whatever is not calm begins anew.
 */

#define REST_LEAST_MS 1000U
#define REST_MOST_MS 10000U
#define REST_FASTEST_BYTES_PER_MS UINT64_C(2000000)

/* All zero at the start. */
struct rest {
	uint32_t looks_ms;
	uint64_t since_ms; /* they are that far apart */
};

/* In every step.  room_bytes: from usage to the nearest threshold of any wall, UINT64_MAX = there
 * is none.  When to look again: REST_LEAST_MS .. REST_MOST_MS. */
uint32_t rest_step(struct rest *rest, bool calm, uint64_t room_bytes, uint64_t now_ms);

#endif
