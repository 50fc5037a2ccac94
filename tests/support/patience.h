#ifndef TESTS_SUPPORT_PATIENCE_H
#define TESTS_SUPPORT_PATIENCE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

/*
 * Deadlines that stretch with the load of the machine.
 *
 * A test that waits for an event polls for it until its patience is over.
 * Time counts in full while there is a processor for each runnable thread,
 * and in proportion where there are more of these: with 2 processors and 10
 * runnable threads a second counts as 200 ms.  Between two polls at most 100
 * ms count, so that a machine that stood still costs no patience.
 *
 * Such a deadline is for an event that must come: the longer it is the better,
 * since only a failure waits for its end.  It proves nothing about speed.
 *
 *	if (!WAIT_UNTIL(10, child_has_ended()))
 *		fail();
 *
 * tests/support/tap.sh has the same for scripts: wait_until.
 */
struct patience {
	uint64_t left_ns;
	uint64_t polled_ns;
	uint64_t processors;
};

static inline uint64_t patience_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Threads that run or wait for a processor, the caller included; at least 1. */
static inline uint64_t patience_runnable(void)
{
	unsigned long runnable = 1;
	FILE *file = fopen("/proc/loadavg", "re");

	if (file == NULL)
		return 1;
	if (fscanf(file, "%*s %*s %*s %lu/", &runnable) != 1 || runnable == 0)
		runnable = 1;
	fclose(file);
	return runnable;
}

static inline struct patience patience_new(unsigned seconds)
{
	struct patience patience = {.polled_ns = patience_now_ns(), .processors = 1};
	cpu_set_t allowed;

	if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
		patience.processors = (uint64_t)CPU_COUNT(&allowed);
	patience.left_ns = seconds * UINT64_C(1000000000);
	return patience;
}

/* To be asked at every poll; the first true is the last poll. */
static inline bool patience_is_over(struct patience *patience)
{
	uint64_t now_ns = patience_now_ns();
	uint64_t counts_ns = now_ns - patience->polled_ns;
	uint64_t runnable = patience_runnable();

	if (counts_ns > 100000000)
		counts_ns = 100000000;
	if (runnable > patience->processors)
		counts_ns = counts_ns * patience->processors / runnable;
	patience->polled_ns = now_ns;
	patience->left_ns -= counts_ns < patience->left_ns ? counts_ns : patience->left_ns;
	return patience->left_ns == 0;
}

static inline void patience_pause(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* Polls until condition holds, with a deadline that stretches; whether it held. */
#define WAIT_UNTIL(seconds, condition) \
	({ \
		struct patience wait_patience = patience_new(seconds); \
		bool wait_held; \
		while (!(wait_held = (condition)) && !patience_is_over(&wait_patience)) \
			patience_pause(); \
		wait_held; \
	})

#endif
