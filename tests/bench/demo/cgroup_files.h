#ifndef TESTS_BENCH_DEMO_CGROUP_FILES_H
#define TESTS_BENCH_DEMO_CGROUP_FILES_H

#include <stdint.h>

/*
 * The few numbers the demo reads of the limited cgroup, on cgroup v2 or v1; which
 * of the two it is shows in the files that are there.
 */

/* All 0 where the file or the key is not there. */
uint64_t cgroup_usage_bytes(const char *directory);
uint64_t cgroup_peak_bytes(const char *directory);
uint64_t cgroup_limit_bytes(const char *directory);
uint64_t cgroup_oom_kills(const char *directory);

/* Moves the calling process in.  0 or -errno. */
int cgroup_enter(const char *directory);

#endif
