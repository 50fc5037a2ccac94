#ifndef TESTS_BENCH_SIMULATE_COST_H
#define TESTS_BENCH_SIMULATE_COST_H

#include <stdint.h>

/*
 * What giving memory back and keeping it cost, in nanoseconds of CPU time: the
 * same for every policy.
 *
 * Pages of 4 KiB, measured over 64 MiB each, median of 15, on Linux 6.18 with two
 * processors (one write per page for the touch).  Advice has a fixed part a
 * range and a part a page: a range of 64 KiB costs exactly what was measured, 277
 * ns a page freed and 403 discarded, and one of 4 KiB or 2 MiB what was measured within a
 * sixth but for discarding 2 MiB, which is 234 ns a page.
 */
#define COST_RANGE_NS 1000U
#define COST_RANGE_PAGES 16U /* of the 64 KiB that the figures a page are for */
#define COST_PAGE_OF(measured_ns) ((measured_ns)-COST_RANGE_NS / COST_RANGE_PAGES)

#define COST_FREE_NS 277U       /* MADV_FREE of a dirty page, its share of the range included */
#define COST_DONTNEED_NS 403U   /* MADV_DONTNEED of a dirty page, likewise */
#define COST_LAZY_GONE_NS 333U  /* MADV_DONTNEED of a page that MADV_FREE had, likewise */
#define COST_FREE_AGAIN_NS 76U  /* MADV_FREE of such a page, likewise */
#define COST_NOTHING_NS 36U     /* a page that is not resident; what is above the range's */
#define COST_REFAULT_NS 1619U   /* a page given back is touched */
#define COST_LAZY_REUSE_NS 180U /* a page freed lazily, and still there, is touched */

/* A wake-up of the background and its look at a heap of some hundred MiB, beside the advice:
 * background_cpu_ns of an idle process that is used now and then, a step. */
#define COST_STEP_NS 15000U

/*
 * Keeping a page costs the price for as long as it idles (heap_tuning.price_ns).
 * A lazily freed page is charged to its cgroup until the kernel wants it, and then
 * goes at no cost to this process: it counts for half of one, whatever a policy takes
 * it for.
 */
#define COST_LAZY_SHARE_PERMILLE 500U

#endif
