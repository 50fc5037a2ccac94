#ifndef SHIM_HEAP_SCAVENGE_BUDGET_H
#define SHIM_HEAP_SCAVENGE_BUDGET_H

#include <stdint.h>

/*
 * How much was spent over the last ten seconds, so that no ten seconds see more than
 * they may.  By halves of a second: a window of ten seconds touches 21 of them, which
 * all count whole, so the sum is never too low.  What is not spent for a while is
 * there for a burst.
 *
 * Plain data, pure; a budget of zeros is a beginning.  now_ns never falls.
 */

#define BUDGET_SLOT_NS ((uint64_t)500000000)
#define BUDGET_SLOTS 21U

struct budget {
	uint64_t spent_ns[BUDGET_SLOTS]; /* by slot number modulo BUDGET_SLOTS */
	uint64_t slot;                   /* the latest, since the clock began */
};

void budget_spend(struct budget *budget, uint64_t now_ns, uint64_t spent_ns);

/* How long from now until so much may be spent under a limit for ten seconds; 0: now.  What
 * exceeds the limit by itself may be spent when nothing else was for that long. */
uint64_t budget_wait_ns(
	const struct budget *budget, uint64_t now_ns, uint64_t need_ns, uint64_t limit_ns);

#endif
