#ifndef TESTS_BENCH_SIMULATE_SIM_OS_H
#define TESTS_BENCH_SIMULATE_SIM_OS_H

#include "shim/heap/base/os.h"

/*
 * shim/heap/base/os.h for a heap whose blocks nobody touches: hours pass in seconds.
 *
 * The clock stands still but for what is added here, and for what advice costs
 * by cost.h, which also goes to the CPU account that os_cpu_ns reads.  Blocks'
 * memory is address space, advice on it only costs.  What else the heap maps is
 * real, and is really advised.  For one thread.
 */
struct sim_os {
	uint64_t now_ns;
	uint64_t cpu_ns; /* all advice so far */
	uint64_t advise_calls;
	uint64_t advise_ranges;
	uint64_t free_pages; /* dirty pages that were freed lazily */
	uint64_t gone_dirty_pages;
	uint64_t gone_lazy_pages;
	enum os_advice last_advice;
};

extern struct sim_os sim_os;

/* The clock's beginning: not 0, which the heap takes for never. */
#define SIM_OS_START_NS 1000000000000U

#endif
