#ifndef TESTS_BENCH_DEMO_SPILLWAY_LOG_H
#define TESTS_BENCH_DEMO_SPILLWAY_LOG_H

#include "tests/bench/demo/record.h"

/*
 * Adds up, over all services, what the supervisor's last lines say was returned:
 *
 *   ... worker0: in all: returned 0 in the background, 1.5M for growth, 0 at lazy,
 *   12M at eager, 800K at full; ...
 *
 * The numbers are rounded as they are written.  0, -ENOENT where no such line
 * stands in the file, or -errno.
 */
int spillway_log_totals(const char *path, struct record_totals *totals);

#endif
