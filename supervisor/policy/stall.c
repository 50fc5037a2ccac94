/* What share of a window was stalled. */
#include "supervisor/policy/stall.h"

static const struct stall_reading *reading_at(const struct stall *stall, size_t back)
{
	return &stall->reading[(stall->first + stall->count - 1 - back) % STALL_READINGS];
}

void stall_step(struct stall *stall, const struct stall_sample *sample)
{
	if (!sample->known) {
		stall->count = 0;
		return;
	}
	if (stall->count > 0) {
		const struct stall_reading *newest = reading_at(stall, 0);
		if (sample->read_ms < newest->read_ms || sample->some_us < newest->some_us ||
			sample->full_us < newest->full_us)
			stall->count = 0;
		else if (sample->read_ms == newest->read_ms)
			return;
	}
	if (stall->count > 1 &&
		reading_at(stall, 0)->read_ms - reading_at(stall, 1)->read_ms < STALL_SPACING_MS)
		stall->count--;
	if (stall->count == STALL_READINGS) {
		stall->first = (stall->first + 1) % STALL_READINGS;
		stall->count--;
	}
	stall->count++;
	stall->reading[(stall->first + stall->count - 1) % STALL_READINGS] = (struct stall_reading){
		.read_ms = sample->read_ms,
		.some_us = sample->some_us,
		.full_us = sample->full_us,
	};
}

uint32_t stall_permille(const struct stall *stall, struct config_psi psi, uint64_t now_ms)
{
	if (stall->count < 2 || psi.window_ms == 0)
		return 0;
	const struct stall_reading *newest = reading_at(stall, 0);
	if (now_ms > newest->read_ms && now_ms - newest->read_ms > psi.window_ms)
		return 0;
	/* The newest reading that the whole window lies behind, else the oldest. */
	const struct stall_reading *base = newest;
	for (size_t back = 1; back < stall->count; back++) {
		base = reading_at(stall, back);
		if (newest->read_ms - base->read_ms >= psi.window_ms)
			break;
	}
	uint64_t span_ms = newest->read_ms - base->read_ms;
	if (span_ms < psi.window_ms)
		span_ms = psi.window_ms;
	uint64_t stalled_us = psi.kind == CONFIG_PSI_FULL ? newest->full_us - base->full_us
							  : newest->some_us - base->some_us;
	uint64_t permille = stalled_us / span_ms; /* us per ms */
	return permille > 1000 ? 1000 : (uint32_t)permille;
}
