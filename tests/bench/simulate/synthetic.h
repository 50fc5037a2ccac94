#ifndef TESTS_BENCH_SIMULATE_SYNTHETIC_H
#define TESTS_BENCH_SIMULATE_SYNTHETIC_H

/*
 * Made-up lives of services, the same in every run.  Blocks have sizes from 256
 * bytes to 8 MiB, mostly a few KiB by number and large by bytes.
 *
 *	burst		100 MiB live; every five minutes 400 MiB more for ten seconds; 2 h
 *	query		100 MiB live; after a minute 1 GiB once, then 1 h of small things
 *	saw-1s, saw-10s, saw-60s	grows by 300 MiB evenly over the period, and drops it
 *	steady		200 MiB live, +- 2 %, blocks come and go; 1 h
 *	diurnal		one day: 50 to 400 MiB by the hour, with requests on top
 *	late		64 MiB freed, and wanted again just after the break-even, 30 min
 *	fooling		64 MiB: long rows of gaps that are soon over, then of long ones
 */
struct synthetic {
	const char *name;
	double seconds;
	void (*play)(void);
};

extern const struct synthetic synthetics[];
extern const unsigned synthetics_count;

#endif
