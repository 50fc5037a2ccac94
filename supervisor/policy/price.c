/* The price of keeping idle memory. */
#include "supervisor/policy/price.h"

#include "supervisor/policy/fraction.h"

#define PAGE_BYTES UINT64_C(4096)
#define NS_PER_S UINT64_C(1000000000)
#define FACTOR_MOST (PRICE_FACTOR_MOST_PERMILLE / PRICE_FACTOR_LEAST_PERMILLE)
/* A quarter of a wall below this can be multiplied by 1000. */
#define QUARTER_BITS_MOST 54

uint64_t price_base_ns(uint64_t core_worth_bytes)
{
	if (core_worth_bytes == 0)
		core_worth_bytes = 1;
	uint64_t base_ns = NS_PER_S * PAGE_BYTES / core_worth_bytes;
	return base_ns > 0 ? base_ns : 1;
}

/*
 * Bits that do not fit are dropped on both sides, by a number that depends on
 * the wall alone: were it to depend on headroom too, the quotient could fall
 * where that crosses a power of two.
 */
uint32_t price_factor_permille(uint64_t wall_bytes, uint64_t headroom_bytes)
{
	uint64_t quarter_bytes = wall_bytes / 4 + (wall_bytes % 4 != 0 ? 1 : 0);
	if (wall_bytes == UINT64_MAX || headroom_bytes >= quarter_bytes)
		return PRICE_FACTOR_LEAST_PERMILLE;
	if (headroom_bytes <= quarter_bytes / FACTOR_MOST)
		return PRICE_FACTOR_MOST_PERMILLE;
	while (quarter_bytes >> QUARTER_BITS_MOST != 0) {
		quarter_bytes >>= 1;
		headroom_bytes >>= 1;
	}
	uint64_t permille = quarter_bytes * PRICE_FACTOR_LEAST_PERMILLE / headroom_bytes;
	return permille < PRICE_FACTOR_MOST_PERMILLE ? (uint32_t)permille
						     : PRICE_FACTOR_MOST_PERMILLE;
}

uint64_t price_ns(uint64_t base_ns, uint32_t factor_permille)
{
	uint64_t ns = fraction_part_of(base_ns, factor_permille);
	return ns > 0 ? ns : 1;
}
