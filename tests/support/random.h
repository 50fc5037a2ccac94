#ifndef TESTS_SUPPORT_RANDOM_H
#define TESTS_SUPPORT_RANDOM_H

#include <stdint.h>

/* The same numbers in every run (xorshift64*, Vigna 2016), a row of them per thread. */
static __thread uint64_t random_state = 88172645463325252ULL;

static inline uint64_t random_next(void)
{
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
