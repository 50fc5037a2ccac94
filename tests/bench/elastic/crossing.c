#include "tests/bench/elastic/crossing.h"

#include "tests/bench/idle/block.h"
#include "tests/preload/check.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define TRIPS 100000U

struct side {
	int cpu;
	uint32_t parity;
	uint64_t ns;
};

static _Alignas(128) _Atomic uint32_t ball;

/* Waits for a number of its parity and makes it the next. */
static void *side_run(void *arg)
{
	struct side *side = arg;
	uint64_t begin_ns;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(side->cpu, &set);
	CHECK(pthread_setaffinity_np(pthread_self(), sizeof set, &set) == 0);
	begin_ns = clock_ns(CLOCK_MONOTONIC);
	for (uint32_t i = 0; i < TRIPS; i++) {
		while (atomic_load(&ball) % 2 != side->parity)
			;
		atomic_fetch_add(&ball, 1);
		/* Both are there now. */
		if (i == TRIPS / 10)
			begin_ns = clock_ns(CLOCK_MONOTONIC);
	}
	side->ns = clock_ns(CLOCK_MONOTONIC) - begin_ns;
	return NULL;
}

uint32_t crossing_ns(void)
{
	struct side sides[2];
	pthread_t threads[2];
	unsigned found = 0;
	cpu_set_t set;

	CHECK(pthread_getaffinity_np(pthread_self(), sizeof set, &set) == 0);
	for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
		if (CPU_ISSET(cpu, &set)) {
			sides[found] = (struct side){.cpu = cpu, .parity = found};
			found++;
		}
	if (found < 2)
		return 0;
	atomic_store(&ball, 0);
	for (unsigned i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, side_run, &sides[i]) == 0);
	for (unsigned i = 0; i < 2; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
	return (uint32_t)(sides[0].ns / (TRIPS - TRIPS / 10));
}
