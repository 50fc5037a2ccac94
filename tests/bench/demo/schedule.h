#ifndef TESTS_BENCH_DEMO_SCHEDULE_H
#define TESTS_BENCH_DEMO_SCHEDULE_H

#include <stdint.h>

/*
 * How many live bytes each worker should have at which moment: a low base and,
 * once in every period, one swell.  The workers' swells follow one another: as
 * one falls the next one rises.  So the sum stays within SCHEDULE_SUM_BYTES_MAX
 * while the sum of the peaks is far over any limit the demo sets.
 *
 * Pure: the same seed gives the same schedule.  Heights, bases and small shifts of the
 * swells come from the seed.
 */

#define SCHEDULE_WORKERS 4U
#define SCHEDULE_SUM_BYTES_MAX (190ULL << 20)

struct schedule {
	uint64_t seed;
	uint32_t period_ms;
	uint32_t cycles;
};

uint64_t schedule_length_ms(const struct schedule *schedule);

/* When every worker has had one whole swell. */
uint64_t schedule_round_ms(const struct schedule *schedule);

uint64_t schedule_target_bytes(const struct schedule *schedule, unsigned worker, uint64_t at_ms);

/* The largest sum of all targets at any millisecond. */
uint64_t schedule_sum_peak_bytes(const struct schedule *schedule);

/* The sum of every worker's own largest target. */
uint64_t schedule_peaks_sum_bytes(const struct schedule *schedule);

#endif
