#ifndef SUPERVISOR_POLICY_PRICE_H
#define SUPERVISOR_POLICY_PRICE_H

#include <stdint.h>

/*
 * The price of keeping one idle page (4 KiB) for one second, in nanoseconds of
 * CPU time, so that a heap can hold it against what madvise and the fault
 * cost that would follow.
 *
 * base     what the operator says idle memory is worth: core_worth bytes of it
 *          kept for a second cost one second of one CPU.  2 GiB make 1907 ns.
 * factor   what the wall adds, in permille: 1000 while a quarter of it or more is
 *          headroom, and where there is none; below that (wall / 4) / headroom, up
 *          to PRICE_FACTOR_MOST_PERMILLE.
 *
 * All under one wall have the same price, the dearest of their bases times the factor, and so give
 * up first what is cheapest among them.  A service below two walls pays the dearer.
 *
 * Always true, for all numbers: less headroom, a larger wall with the same
 * headroom, or less core_worth never make it cheaper; no result is 0 or wraps.
 */

#define PRICE_FACTOR_LEAST_PERMILLE 1000U
#define PRICE_FACTOR_MOST_PERMILLE 64000U

uint64_t price_base_ns(uint64_t core_worth_bytes);

/* wall_bytes UINT64_MAX = there is no wall. */
uint32_t price_factor_permille(uint64_t wall_bytes, uint64_t headroom_bytes);

uint64_t price_ns(uint64_t base_ns, uint32_t factor_permille);

#endif
