#ifndef TESTS_BENCH_ELASTIC_BURST_H
#define TESTS_BENCH_ELASTIC_BURST_H

#include <stddef.h>
#include <stdint.h>

/*
 * When the bursts of a run are, and how much they need: one in every ten seconds, from the fifth
 * to the sixth on.  Counted in the requests of one worker, each of which has a time at which it is
 * due: what a request does depends on its number alone, not on how fast those before it were.
 *
 * A burst takes 800 to 1,200 ms: 400 requests of each worker add BURST_STEP_BYTES each, 250 MiB in
 * all; up to 400 more come while that is held; and 400 free it again, in random order.
 */

#define REQUESTS_PER_S 1000U
#define BURST_STEP_BYTES ((size_t)320 * 1024)
#define BURST_GROW 400U
#define BURSTS_MAX 60U

struct burst {
	uint32_t first; /* request */
	uint32_t hold;
};

/* Of a run of so many seconds, up to 600; says how many they are.  After each the run goes on for
 * another two seconds. */
size_t burst_plan(struct burst bursts[BURSTS_MAX], uint32_t seconds);

static inline uint32_t burst_end(const struct burst *burst)
{
	return burst->first + 2 * BURST_GROW + burst->hold;
}

#endif
