/* How hard to ask for memory while heaps wait at the growth gate. */
#include "supervisor/policy/gate.h"

enum level gate_step(struct gate *gate, const struct gate_view *view, uint64_t now_ms)
{
	bool is_short = view->wants_bytes > view->credit_bytes;
	if (!gate->is_short && now_ms - gate->level_ms >= GATE_HOLD_MS)
		gate->level = LEVEL_CALM;
	if (is_short && !gate->is_short) {
		gate->short_ms = now_ms;
		if (gate->level < LEVEL_EAGER)
			gate->level = LEVEL_EAGER;
	} else if (is_short && (view->answered || now_ms - gate->short_ms >= GATE_FULL_MS)) {
		gate->level = LEVEL_FULL;
	}
	if (is_short)
		gate->level_ms = now_ms;
	gate->is_short = is_short;
	return gate->level;
}
