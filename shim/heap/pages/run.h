#ifndef SHIM_HEAP_PAGES_RUN_H
#define SHIM_HEAP_PAGES_RUN_H

#include "shim/heap/pages/span.h"

/*
 * Large blocks as the page heap has them: how many there are, and the end of one.  Blocks that a
 * thread cache keeps are counted, too.
 */
void run_count(int64_t blocks, int64_t pages);
void run_stats(uint64_t *blocks, uint64_t *bytes);

/* The pages of a block, which are all dirty, and its record go back; its entry in the page map is
 * gone already. */
void run_put(struct span *span);

#endif
