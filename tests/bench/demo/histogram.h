#ifndef TESTS_BENCH_DEMO_HISTOGRAM_H
#define TESTS_BENCH_DEMO_HISTOGRAM_H

#include <stdint.h>

/*
 * Times in microseconds, in buckets of which each power of two has
 * HISTOGRAM_STEPS: a quantile is at most 1/HISTOGRAM_STEPS too high, never too low.
 */

#define HISTOGRAM_STEPS 32U
#define HISTOGRAM_BUCKETS (HISTOGRAM_STEPS * 40U)

struct histogram {
	uint64_t count[HISTOGRAM_BUCKETS];
	uint64_t total;
	uint64_t max_us;
};

static inline unsigned histogram_bucket(uint64_t us)
{
	unsigned shift = 0;

	while (us >> shift >= 2ULL * HISTOGRAM_STEPS)
		shift++;
	shift = shift * HISTOGRAM_STEPS + (unsigned)(us >> shift);
	return shift < HISTOGRAM_BUCKETS ? shift : HISTOGRAM_BUCKETS - 1;
}

static inline uint64_t histogram_bucket_top_us(unsigned bucket)
{
	unsigned shift = bucket < 2 * HISTOGRAM_STEPS ? 0 : bucket / HISTOGRAM_STEPS - 1;

	return ((bucket - (uint64_t)shift * HISTOGRAM_STEPS + 1) << shift) - 1;
}

static inline void histogram_add(struct histogram *histogram, uint64_t us)
{
	histogram->count[histogram_bucket(us)]++;
	histogram->total++;
	if (us > histogram->max_us)
		histogram->max_us = us;
}

static inline void histogram_merge(struct histogram *into, const struct histogram *from)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		into->count[i] += from->count[i];
	into->total += from->total;
	if (from->max_us > into->max_us)
		into->max_us = from->max_us;
}

static inline uint64_t histogram_quantile_us(const struct histogram *histogram, uint32_t permille)
{
	uint64_t wanted = (histogram->total * permille + 999) / 1000;
	uint64_t seen = 0;

	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->count[i];
		if (seen >= wanted && seen > 0) {
			uint64_t top = histogram_bucket_top_us(i);

			return top < histogram->max_us ? top : histogram->max_us;
		}
	}
	return 0;
}

#endif
