#ifndef SUPERVISOR_POLICY_FRACTION_H
#define SUPERVISOR_POLICY_FRACTION_H

#include <stdint.h>

#include "config/config.h"

/*
 * Shares and rates of 64-bit numbers without floats, without overflow and
 * without 128-bit division, which would call into libgcc.  Results round down
 * and stop at UINT64_MAX.
 */

#define FRACTION_WHOLE_PERMILLE 1000U

/* bytes * permille / 1000. */
uint64_t fraction_part_of(uint64_t bytes, uint32_t permille);

/*
 * total * part / whole; 0 where whole is 0.  For parts that together are no
 * more than whole, the results together are no more than total.  A whole
 * over 32 bits costs precision below one part in 2^31.
 */
uint64_t fraction_share(uint64_t total, uint64_t part, uint64_t whole);

/* part / whole in permille; 0 where whole is 0; over 1000 where part > whole. */
uint32_t fraction_permille(uint64_t part, uint64_t whole);

/* A setting in bytes: its share of the wall, or its bytes.  Where a share is
 * meant and there is no wall (UINT64_MAX), 0. */
uint64_t fraction_amount_bytes(struct config_amount amount, uint64_t wall_bytes);

/* a - b, and a + b, that stop at 0 and UINT64_MAX. */
static inline uint64_t fraction_less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static inline uint64_t fraction_plus(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

#endif
