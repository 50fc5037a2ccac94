#ifndef SHIM_HEAP_PAGES_MAPPED_H
#define SHIM_HEAP_PAGES_MAPPED_H

#include "shim/heap/pages/span.h"

/*
 * Large blocks that have a mapping of their own, outside the page heap's regions.
 *
 * Which blocks these are:
 *
 *	- blocks of MAPPED_BYTES_MIN and more.  The kernel judges the size (os_map), so that a
 *	  size that the machine cannot have is refused here as it is by libc's malloc, and a
 *	  block that is never touched costs a span record and a page of the page map,
 *	  whatever its size;
 *	- blocks of MAPPED_MOVED_MIN and more that realloc cannot grow in place.  Growing
 *	  by page tables costs 20 to 50 us at any size; copying costs about 0.1 ms a MiB, and 0.7 ms
 *	  where the new pages must come from the kernel, which then has both copies.
 *
 * A smaller block that is allocated and freed again is better off in the page heap, where the
 * next one finds its pages resident: below MAPPED_BYTES_MIN no block is mapped for its size alone.
 *
 * A mapped block is one mapping in the kernel as long as the program does not split it (mprotect,
 * madvise).  A split one cannot be moved by page tables and is copied.  Every mapping counts
 * against vm.max_map_count (65530), so that no more blocks move to mappings of their own while
 * there are MAPPED_BLOCKS_MAX.
 *
 * Free and shrinking give the pages back to the kernel at once.  Nothing of a mapped block is ever
 * idle, so that the scavenger has no business here.
 *
 * The span has `mapped` set.  All mapped spans are in a list, under the page heap's lock, which
 * also guards the making of page map leaves; no lock is held over a system call.
 */

#define MAPPED_BYTES_MIN ((size_t)256 << 20)
#define MAPPED_MOVED_MIN ((size_t)4 << 20)
#define MAPPED_BLOCKS_MAX 8192U

/*
 * A new block, which is zero; NULL: the kernel refuses it.  leaving: so many pages of another
 * block go as those of this one become resident, and the gate is asked for the difference.
 */
void *mapped_take(struct span *span, size_t size, size_t alignment, size_t leaving);

/* The block's entry in the page map is gone already.  Frees the span record. */
void mapped_put(struct span *span);

/* Brings a block to a size, at the same address or another one; NULL: it cannot, and nothing
 * changed. */
void *mapped_resize(struct span *span, uint64_t entry, size_t size);

/*
 * Moves a block of the page heap to a mapping of its own that is larger, without a copy.  All of
 * its old pages are clean then; they are the caller's, to put back.  NULL: it cannot, and nothing
 * changed.
 */
void *mapped_adopt(struct span *span, uint64_t entry, size_t size);

/* The page heap is locked.  NULL: all invariants hold. */
const char *mapped_check_locked(void);

#endif
