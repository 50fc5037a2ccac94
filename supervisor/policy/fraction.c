/* Saturating sums, shares and permilles of 64 bits. */
#include "supervisor/policy/fraction.h"

static uint64_t times(uint64_t a, uint64_t b)
{
	uint64_t product;
	return __builtin_mul_overflow(a, b, &product) ? UINT64_MAX : product;
}

uint64_t fraction_share(uint64_t total, uint64_t part, uint64_t whole)
{
	if (total == 0 || part == 0 || whole == 0)
		return 0;
	/* total % whole times part must fit into 64 bits. */
	while ((part | whole) >> 32 != 0) {
		part >>= 1;
		whole >>= 1;
	}
	if (whole == 0)
		return UINT64_MAX;
	return fraction_plus(times(total / whole, part), total % whole * part / whole);
}

uint64_t fraction_part_of(uint64_t bytes, uint32_t permille)
{
	return fraction_share(bytes, permille, FRACTION_WHOLE_PERMILLE);
}

uint32_t fraction_permille(uint64_t part, uint64_t whole)
{
	uint64_t permille = fraction_share(FRACTION_WHOLE_PERMILLE, part, whole);
	return permille > UINT32_MAX ? UINT32_MAX : (uint32_t)permille;
}

uint64_t fraction_amount_bytes(struct config_amount amount, uint64_t wall_bytes)
{
	if (amount.permille == 0)
		return amount.bytes;
	return wall_bytes == UINT64_MAX ? 0 : fraction_part_of(wall_bytes, amount.permille);
}
