#ifndef TESTS_SUPPORT_FAKE_CLOCK_H
#define TESTS_SUPPORT_FAKE_CLOCK_H

#include <stdint.h>

/*
 * A clock that a sleep moves.
 *
 * poll() without descriptors, which is how the supervisor sleeps, takes no time,
 * and clock_gettime() seems to have gone on by it (WRAP_cgroup in the Makefile).
 */

/* How long the code under test has slept so far. */
uint64_t fake_clock_slept_ms(void);

#endif
