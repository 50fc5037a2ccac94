#include "tests/bench/demo/schedule.h"

#include "tests/bench/demo/wire.h"

/*
 * In permille of the period: a swell takes RISE + HOLD + FALL, and the next
 * worker's begins STEP after it, SHIFT earlier or later.  STEP = RISE + HOLD makes
 * one fall while the next one rises, which keeps their sum level; the shifts make
 * them overlap by at most 2 * SHIFT / RISE of a height.
 */
#define RISE_PERMILLE 180
#define HOLD_PERMILLE 70
#define FALL_PERMILLE 180
#define SHIFT_PERMILLE 20
#define STEP_PERMILLE (1000 / SCHEDULE_WORKERS)

#define BASE_BYTES (8ULL << 20)
#define BASE_SPREAD_BYTES (3ULL << 20)
#define PEAK_BYTES (104ULL << 20)
#define PEAK_SPREAD_BYTES (16ULL << 20)

static uint64_t schedule_draw(
	const struct schedule *schedule, unsigned worker, uint64_t what, uint64_t below)
{
	return wire_mix(schedule->seed * 1000003 + worker * 8191ULL + what * 131) % below;
}

static uint64_t schedule_swell_start_ms(
	const struct schedule *schedule, unsigned worker, uint64_t cycle)
{
	uint64_t shift = schedule_draw(schedule, worker, 2 * cycle + 1, 2ULL * SHIFT_PERMILLE + 1);

	return schedule->period_ms *
	       (cycle * 1000 + SHIFT_PERMILLE + (uint64_t)worker * STEP_PERMILLE + shift) / 1000;
}

/* How much of the cycle's swell is there, in permille of its height. */
static uint64_t schedule_swell_permille(
	const struct schedule *schedule, unsigned worker, uint64_t cycle, uint64_t at_ms)
{
	uint64_t start_ms = schedule_swell_start_ms(schedule, worker, cycle);
	uint64_t in;

	if (cycle >= schedule->cycles || at_ms < start_ms)
		return 0;
	in = (at_ms - start_ms) * 1000 / schedule->period_ms;
	if (in < RISE_PERMILLE)
		return in * 1000 / RISE_PERMILLE;
	if (in < RISE_PERMILLE + HOLD_PERMILLE)
		return 1000;
	in -= RISE_PERMILLE + HOLD_PERMILLE;
	return in < FALL_PERMILLE ? 1000 - in * 1000 / FALL_PERMILLE : 0;
}

uint64_t schedule_length_ms(const struct schedule *schedule)
{
	return (uint64_t)schedule->period_ms * (schedule->cycles * 4ULL + 1) / 4;
}

uint64_t schedule_round_ms(const struct schedule *schedule)
{
	return (uint64_t)schedule->period_ms * 5 / 4;
}

uint64_t schedule_target_bytes(const struct schedule *schedule, unsigned worker, uint64_t at_ms)
{
	uint64_t base = BASE_BYTES + schedule_draw(schedule, worker, 0, BASE_SPREAD_BYTES);
	uint64_t now = at_ms / schedule->period_ms;
	uint64_t most = 0;

	for (uint64_t cycle = now > 0 ? now - 1 : 0; cycle <= now; cycle++) {
		uint64_t peak = PEAK_BYTES +
				schedule_draw(schedule, worker, 2 * cycle + 2, PEAK_SPREAD_BYTES);
		uint64_t part = schedule_swell_permille(schedule, worker, cycle, at_ms);

		if ((peak - base) / 1000 * part > most)
			most = (peak - base) / 1000 * part;
	}
	return base + most;
}

uint64_t schedule_sum_peak_bytes(const struct schedule *schedule)
{
	uint64_t length_ms = schedule_length_ms(schedule);
	uint64_t most = 0;

	for (uint64_t at_ms = 0; at_ms <= length_ms; at_ms++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < SCHEDULE_WORKERS; i++)
			sum += schedule_target_bytes(schedule, i, at_ms);
		most = sum > most ? sum : most;
	}
	return most;
}

uint64_t schedule_peaks_sum_bytes(const struct schedule *schedule)
{
	uint64_t length_ms = schedule_length_ms(schedule);
	uint64_t sum = 0;

	for (unsigned i = 0; i < SCHEDULE_WORKERS; i++) {
		uint64_t most = 0;

		for (uint64_t at_ms = 0; at_ms <= length_ms; at_ms++) {
			uint64_t target = schedule_target_bytes(schedule, i, at_ms);

			most = target > most ? target : most;
		}
		sum += most;
	}
	return sum;
}
