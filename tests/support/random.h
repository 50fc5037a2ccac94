#ifndef TESTS_SUPPORT_RANDOM_H
#define TESTS_SUPPORT_RANDOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Random numbers (xorshift64*, Vigna 2016), a row of them per thread.  Each row
 * begins at the seed of the run: the same in every run, or the environment's
 * SEED.  The program says the seed once, as a comment of TAP, when it uses it
 * first, so that a failing run can be repeated:
 *
 *	SEED=12345 build/release/tests/heap/test_bits
 *
 * A program that forks says it in the parent: main calls random_run_seed().
 * A thread whose row has to differ from the others' calls random_begin().
 */
#define RANDOM_SEED 88172645463325252ULL

/* 0: the thread's row has not begun. */
static __thread uint64_t random_state;

/* One for all of the program's files. */
__attribute__((weak)) _Atomic bool random_seed_said;

static inline uint64_t random_run_seed(void)
{
	const char *given = getenv("SEED");
	uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : RANDOM_SEED;

	if (!atomic_exchange(&random_seed_said, true))
		dprintf(STDOUT_FILENO, "# SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

/* Begins the calling thread's row number; row 0 is what a thread has that does not call this. */
static inline void random_begin(uint64_t row)
{
	random_state = random_run_seed() + row * 977;
	/* The generator stands still at 0. */
	if (random_state == 0)
		random_state = 1;
}

static inline uint64_t random_next(void)
{
	if (random_state == 0)
		random_begin(0);
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545f4914f6cdd1dULL;
}

static inline uint64_t random_below(uint64_t limit)
{
	return random_next() % limit;
}

#endif
