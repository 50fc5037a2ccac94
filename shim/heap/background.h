#ifndef SHIM_HEAP_BACKGROUND_H
#define SHIM_HEAP_BACKGROUND_H

#include "shim/heap/heap.h"

/*
 * Scavenging at calm: heap_background, one step under the policy in force.
 *
 * The budget.  No ten seconds see more work than cpu_permille of one CPU, by
 * what the calling thread really spent (os_cpu_ns): four tenths of that may be
 * saved up while there is nothing to do, half flows in as time goes by, and
 * the rest is for a pass that overruns its millisecond, which is a debt then.
 *
 * Nothing to do is told from what is left: when no more is idle than the policy
 * keeps, or what is idle stays in spite of some steps while the heap was hardly
 * used, the answer is HEAP_UNTIL_USED, and the process has no wake-ups.
 */

void background_stats(struct heap_stats *stats);

/* In the child of a fork. */
void background_after_fork(void);

#endif
