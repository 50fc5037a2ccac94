/* What of a service's wants is believed. */
#include "supervisor/policy/belief.h"

#include "supervisor/policy/fraction.h"

static uint64_t less_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void pay_back(struct belief *belief, const struct belief_view *view, uint64_t now_ms)
{
	uint64_t passed_ms = fraction_less(now_ms, belief->step_ms);
	uint64_t paid_bytes =
		fraction_plus(view->grown_bytes, fraction_share(passed_ms, BELIEF_BYTES_PER_MS, 1));
	belief->spent_bytes = fraction_less(belief->spent_bytes, paid_bytes);
	belief->step_ms = now_ms;
}

uint64_t belief_step(struct belief *belief, const struct belief_view *view, uint64_t now_ms)
{
	uint64_t untaken_ms = fraction_less(now_ms, belief->step_ms);
	uint64_t allowance_bytes =
		view->usage_bytes > BELIEF_START_BYTES ? view->usage_bytes : BELIEF_START_BYTES;
	pay_back(belief, view, now_ms);
	if (view->wants_bytes != belief->wants_bytes) {
		uint64_t more_bytes = fraction_less(view->wants_bytes, belief->wants_bytes);
		uint64_t left_bytes = fraction_less(allowance_bytes, belief->spent_bytes);
		more_bytes = less_of(more_bytes, left_bytes);
		belief->spent_bytes += more_bytes;
		belief->believed_bytes = less_of(
			fraction_plus(belief->believed_bytes, more_bytes), view->wants_bytes);
		belief->wants_bytes = view->wants_bytes;
		belief->changed_ms = now_ms;
		belief->untaken_ms = 0;
	} else if (view->granted) {
		belief->untaken_ms = fraction_plus(belief->untaken_ms, untaken_ms);
	}
	if (belief->untaken_ms > view->gate_wait_ms / BELIEF_UNTAKEN_SHARE)
		belief->believed_bytes = 0;
	if (now_ms - belief->changed_ms > (uint64_t)view->gate_wait_ms * BELIEF_WAITS)
		belief->believed_bytes = 0;
	return belief->believed_bytes;
}
