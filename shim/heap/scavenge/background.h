#ifndef SHIM_HEAP_SCAVENGE_BACKGROUND_H
#define SHIM_HEAP_SCAVENGE_BACKGROUND_H

#include "shim/heap/front/heap.h"

/*
 * Scavenging at calm: heap_background, one step under the policy in force.
 *
 * The budget.  No ten seconds see more work than cpu_permille of one CPU, by
 * what the calling thread really spent (os_cpu_ns, budget.h).  A step begins only
 * when there is room for its millisecond and a tenth of the whole, for a pass that
 * overruns.
 *
 * In a large heap a step may not get around.  Pages of the right age are found by an index
 * (region.h), and a pass that has looked at much and found little leaves the rest to the
 * next one, in the same step or a later one; so a step's work and what it finds
 * do not depend on the heap's size.
 *
 * A burst may need most of that at once.  So a look by the adaptive policy that found little,
 * with little left to find, is followed by a rest, in which it is only asked now and then
 * whether more became idle, and looks at little leave the budget to what is worth more.
 *
 * Nothing to do is told from what is left: when no more is idle than the policy
 * keeps, or what is idle stays in spite of some steps while the heap was hardly
 * used, the answer is HEAP_UNTIL_USED, and the process has no wake-ups.
 */

void background_stats(struct heap_stats *stats);

/* In the child of a fork. */
void background_after_fork(void);

#endif
