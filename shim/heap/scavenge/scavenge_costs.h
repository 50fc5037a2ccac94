#ifndef SHIM_HEAP_SCAVENGE_SCAVENGE_COSTS_H
#define SHIM_HEAP_SCAVENGE_SCAVENGE_COSTS_H

#include "shim/heap/base/os.h"
#include "shim/heap/scavenge/scavenge_policy.h"

/*
 * What giving back and faulting in cost here: moving averages over real calls,
 * by CPU time, since on a busy machine other time goes by as well.
 *
 * The share of a call that a page has depends on how long the ranges are, so advice is
 * averaged by their mean length.  The search for the pages is not part of it: it costs what the
 * size of the heap makes it cost, whichever pages go, and as a price of pages it would raise the
 * break-even of all of them.  The background's budget pays for it.  Faults happen in the service's
 * own threads, where nothing is measured; so now and then the background, which has just given back
 * a range and holds it in transit, writes to sixteen pages of it, MADV_FREEs them, writes again and
 * gives them back: 40 us or so, eight times within seconds at first, then once a minute.
 *
 * Where whole chunks become huge pages, one of them is touched as a whole in the same
 * manner, and what that costs a page is kept beside.
 *
 * An outlier moves an average by an eighth, and no average goes further from the
 * first value than 64 times up or 8 times down.
 */

void scavenge_costs_read(struct scavenge_costs *costs);

/* Advising so many warm pages in one call, all dirty or all lazy. */
void scavenge_costs_note(
	enum os_advice advice, bool were_lazy, size_t pages, size_t ranges, uint64_t spent_ns);

/* Whether it is time to measure again; then the caller is the one to do it. */
bool scavenge_costs_due(uint64_t now_ns);
bool scavenge_costs_huge_due(uint64_t now_ns);

/* In transit and clean: measures, and leaves it clean.  0 or -errno of giving it back. */
int scavenge_costs_measure(void *start, size_t bytes);
int scavenge_costs_measure_huge(void *chunk);
#define SCAVENGE_MEASURE_BYTES ((size_t)64 << 10)

#endif
