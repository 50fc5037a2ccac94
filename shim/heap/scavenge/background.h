#ifndef SHIM_HEAP_SCAVENGE_BACKGROUND_H
#define SHIM_HEAP_SCAVENGE_BACKGROUND_H

#include "shim/heap/scavenge/scavenge_policy.h"

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

struct heap_tuning {
	enum heap_policy policy;
	bool dontneed_only;    /* MADV_DONTNEED where the policy would use MADV_FREE */
	uint32_t cpu_permille; /* of one CPU over any ten seconds; 1 to 1000 */
	uint64_t price_ns;     /* keeping one idle page for one second, in ns of CPU time; not 0 */
};

/* Live: takes effect with the next step.  What is out of bounds becomes the default, a higher price
 * the highest. */
void heap_tune(const struct heap_tuning *now);

/*
 * One step of scavenging at calm, a millisecond of work at most but for what a last
 * pass overruns.  One caller at a time.  When to call again, in nanoseconds from now;
 * HEAP_UNTIL_USED: not before the heap was used again.
 */
uint64_t heap_background(uint64_t now_ns);

struct background_stats {
	uint64_t break_even_ns;
	uint64_t cpu_ns;
	struct scavenge_costs costs;
};

void background_stats(struct background_stats *stats);

/* In the child of a fork. */
void background_after_fork(void);

#endif
