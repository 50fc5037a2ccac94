#ifndef SHIM_HEAP_FRONT_LARGE_H
#define SHIM_HEAP_FRONT_LARGE_H

#include "shim/heap/pages/span.h"

/*
 * Blocks of whole pages, each a span of its own: a run of pages of the page heap, or a mapping of
 * its own (mapped.h says which).
 *
 * A block of 9 to 256 pages has the length of a cache's bin (run_bin.h).  When it is freed it stays
 * a span that is counted and in the page map, and only its entry there says that a cache keeps it
 * (page_map.h).
 *
 * A block that grows and must move never has both copies resident: it moves by page tables
 * (mapped.h), or is copied in pieces of LARGE_PIECE_BYTES, and of each piece the old pages are
 * given back before the next is copied.  They are kept where the new pages are resident already, or
 * where the block is smaller than LARGE_PIECES_MIN, or where the kernel refuses (locked
 * memory).  The gate is asked for what becomes resident in excess of what goes.
 *
 * Memory that was never touched is not idle when its block is freed.  A block of which
 * LARGE_SIFT_PAGES or more were not resident when they were taken is looked through with
 * mincore, and chunks of which nothing is resident become fresh again.  A page in swap looks the
 * same, so that such chunks are given back for certain first.  Only whole chunks: a look takes
 * about 2 us, and a block that is written to here and there would come back in parts that the
 * next block has to fault in again.
 */
#define LARGE_PIECE_BYTES ((size_t)256 << 10)
#define LARGE_PIECES_MIN ((size_t)1 << 20)
#define LARGE_SIFT_PAGES ((size_t)1024)

/* *zero: the block is zero already. */
void *large_take(size_t size, size_t alignment, bool *zero);
/* Zeroes a block as large_take gave it.  Where little of it is resident, that little is given back
 * rather than the rest written. */
void large_zero(void *block, size_t bytes);
void large_put(void *block, uint64_t entry);

/*
 * Brings the block to a size that is a large block's, where it is or elsewhere; what both sizes
 * have is kept.  NULL: it cannot, and the block is as it was.
 */
void *large_resize(void *block, uint64_t entry, size_t size);

size_t large_usable_bytes(const struct span *span);
void large_stats(uint64_t *blocks, uint64_t *bytes);

#endif
