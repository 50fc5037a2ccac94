#include "shim/spillway.h"
#include "tests/preload/check.h"

/* The settings in force, on a line. */
int main(void)
{
	struct spillway_stats stats;

	CHECK(spillway_stats(&stats, sizeof stats) == 0);
	printf("%u %u %u %llu\n", stats.policy, stats.dontneed_only, stats.cpu_permille,
		(unsigned long long)stats.price_ns);
	return 0;
}
