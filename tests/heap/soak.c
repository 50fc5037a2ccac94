#include "tests/support/heap_crowd.h"
#include "tests/support/heap_fresh.h"
#include "tests/support/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/*
 * soak SECONDS [SEED]: lives of a heap (heap_crowd.h), each on a fresh one, until
 * the time is up.  Each life's seed is printed before it begins, and given as SEED
 * it is lived first: alone it repeats exactly, in a crowd as far as threads do.
 */
static struct heap_crowd crowd_of(uint64_t seed)
{
	bool alone = seed % 3 == 0;

	return (struct heap_crowd){
		.seed = seed,
		.seats = alone ? 1 : 2 + (unsigned)(seed / 3 % (HEAP_CROWD_SEATS_MAX - 1)),
		.thieves = alone ? 0 : (unsigned)(seed / 32 % (HEAP_CROWD_THIEVES_MAX + 1)),
		.rounds = 1 + (unsigned)(seed / 256 % 10),
		.operations = alone ? 100000 : 20000,
		.forks = !alone && seed / 4096 % 2 == 0,
	};
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atol(argv[1]) : 60);
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	uint64_t operations = 0;
	unsigned lives = 0;

	random_state = RANDOM_SEED ^ seed;
	for (; lives == 0 || time(NULL) < end; lives++) {
		struct heap_crowd crowd = crowd_of(seed);
		const char *wrong;

		printf("seed %#" PRIx64 ": %u seats, %u thieves, %u rounds%s\n", seed, crowd.seats,
			crowd.thieves, crowd.rounds, crowd.forks ? ", forks" : "");
		fflush(stdout);
		heap_fresh();
		wrong = heap_crowd_live(&crowd);
		if (wrong != NULL) {
			printf("seed %#" PRIx64 ": %s\n", seed, wrong);
			return 1;
		}
		operations += (uint64_t)crowd.seats * crowd.rounds * crowd.operations;
		seed = random_next();
	}
	printf("%u lives, %" PRIu64 " operations\n", lives, operations);
	return 0;
}
