#ifndef TESTS_BENCH_ELASTIC_CROSSING_H
#define TESTS_BENCH_ELASTIC_CROSSING_H

#include <stdint.h>

/*
 * How far apart the first two processors of this process are: ns in which a cache line that both
 * write goes from one to the other and back, a mean of ninety thousand; 0 where there is but one.
 *
 * A host may put a guest's two processors under one last-level cache or under two, and change that
 * at any time: 75 and 375 ns were seen on one machine within a minute.  What threads flat out
 * do with shared memory then takes up to twice as long, whatever they run.
 */
uint32_t crossing_ns(void);

#endif
