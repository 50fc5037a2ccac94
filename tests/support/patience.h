#ifndef TESTS_SUPPORT_PATIENCE_H
#define TESTS_SUPPORT_PATIENCE_H

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

/*
 * Threads that run or wait for a processor, the caller included; at least 1.
 * Allocates nothing: a program that waits may be there to test malloc.
 */
static inline uint64_t patience_runnable(void)
{
	char text[128];
	unsigned long runnable = 0;
	int file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
	const char *slash;

	if (file >= 0)
		close(file);
	text[length > 0 ? length : 0] = '\0';
	/* 0.52 0.61 0.70 3/215 4711: three averages, then runnable/all. */
	slash = strchr(text, '/');
	while (slash != NULL && slash > text && slash[-1] != ' ')
		slash--;
	if (slash != NULL)
		runnable = strtoul(slash, NULL, 10);
	return runnable > 0 ? runnable : 1;
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
