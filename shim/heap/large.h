#ifndef SHIM_HEAP_LARGE_H
#define SHIM_HEAP_LARGE_H

#include "shim/heap/span.h"

/* Blocks of whole pages, each a span of its own. */

/* *zero: the block is zero already. */
void *large_take(size_t size, size_t alignment, bool *zero);
/* Zeroes a block as large_take gave it.  Where little of it is resident, that little is given back
 * rather than the rest written. */
void large_zero(void *block, size_t bytes);
void large_put(void *block, uint64_t entry);

/* Brings the block to this size where it is; false: it cannot. */
bool large_resize(void *block, struct span *span, size_t size);

size_t large_usable_bytes(const struct span *span);
void large_stats(uint64_t *blocks, uint64_t *bytes);

#endif
