/* How much was newly charged to a cgroup, whatever was given back meanwhile. */
#include "supervisor/policy/charge.h"

#include "supervisor/policy/fraction.h"

/* Takes what is explained off the falls, the older one first; returns what is left of it. */
static uint64_t explain(uint64_t fallen_bytes[2], uint64_t gone_bytes)
{
	for (size_t i = 2; i-- > 0;) {
		uint64_t bytes = gone_bytes < fallen_bytes[i] ? gone_bytes : fallen_bytes[i];
		fallen_bytes[i] -= bytes;
		gone_bytes -= bytes;
	}
	return gone_bytes;
}

uint64_t charge_step(
	struct charge *charge, uint64_t current_bytes, uint64_t gone_bytes, uint64_t now_ms)
{
	uint64_t rise_bytes = fraction_less(current_bytes, charge->current_bytes);
	uint64_t fall_bytes = fraction_less(charge->current_bytes, current_bytes);
	uint64_t fresh_bytes = fraction_less(gone_bytes, charge->gone_bytes);
	uint64_t passed_ms = fraction_less(now_ms, charge->period_ms);
	if (passed_ms >= CHARGE_FALL_MS) {
		charge->fallen_bytes[1] =
			passed_ms < 2 * CHARGE_FALL_MS ? charge->fallen_bytes[0] : 0;
		charge->fallen_bytes[0] = 0;
		charge->period_ms = now_ms;
	}
	charge->current_bytes = current_bytes;
	charge->gone_bytes = gone_bytes;
	charge->fallen_bytes[0] = fraction_plus(charge->fallen_bytes[0], fall_bytes);
	return fraction_plus(rise_bytes, explain(charge->fallen_bytes, fresh_bytes));
}
