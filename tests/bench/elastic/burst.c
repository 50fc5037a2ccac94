#include "tests/bench/elastic/burst.h"

#include "tests/bench/alloc/workload.h"

#define SEED 11U
#define EVERY_S 10U
#define FIRST_S 5U
#define QUIET_S 2U
#define HOLD_MAX 400U

size_t burst_plan(struct burst bursts[BURSTS_MAX], uint32_t seconds)
{
	uint64_t seed = SEED;
	size_t count = 0;

	for (uint32_t at_s = FIRST_S; count < BURSTS_MAX; at_s += EVERY_S) {
		struct burst *burst = &bursts[count];

		burst->first = at_s * REQUESTS_PER_S;
		burst->first += random_step(&seed) % REQUESTS_PER_S;
		burst->hold = random_step(&seed) % (HOLD_MAX + 1);
		if (burst_end(burst) + QUIET_S * REQUESTS_PER_S > seconds * REQUESTS_PER_S)
			break;
		count++;
	}
	return count;
}
