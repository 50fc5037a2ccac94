/*
 * The sibling of a hostile service: works for a while and says how much it has done.
 *
 *   worker MIB SECONDS
 *
 * Over and over it builds MIB of mixed blocks (survival/load.h), works on them and frees them, for
 * SECONDS after the first second, in which all services start.  Then it prints
 * "rounds N wall_us W delay_us D", where D is how long it was ready to run and had no processor.
 */
#include "tests/bench/survival/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define START_US 1000000U

static uint64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

/* The main thread's; 0 where the kernel does not count it. */
static uint64_t delay_us(void)
{
	unsigned long long ran_ns;
	unsigned long long delay_ns = 0;
	FILE *file = fopen("/proc/self/schedstat", "re");
	if (file == NULL)
		return 0;
	if (fscanf(file, "%llu %llu", &ran_ns, &delay_ns) != 2)
		delay_ns = 0;
	fclose(file);
	return delay_ns / 1000U;
}

static struct load_live *live;
static struct load load = {.seed = 7};
static size_t bytes;

static void round_run(void)
{
	load_build(&load, load_shape("mixed"), bytes);
	load_use(&load);
	load_free(&load, true);
}

/* Rounds until that much time has passed. */
static unsigned long rounds_run(uint64_t us)
{
	uint64_t until_us = now_us() + us;
	unsigned long rounds = 0;
	for (; now_us() < until_us; rounds++)
		round_run();
	return rounds;
}

int main(int count, char **argument)
{
	if (count != 3) {
		fprintf(stderr, "usage: worker MIB SECONDS\n");
		return 2;
	}
	live = load_share(NULL);
	load.live = live;
	bytes = strtoul(argument[1], NULL, 10) * LOAD_MIB;
	rounds_run(START_US);
	uint64_t wall_us = now_us();
	uint64_t before_us = delay_us();
	unsigned long rounds = rounds_run(strtoul(argument[2], NULL, 10) * 1000000U);
	printf("rounds %lu wall_us %llu delay_us %llu\n", rounds,
		(unsigned long long)(now_us() - wall_us),
		(unsigned long long)(delay_us() - before_us));
	return 0;
}
