#ifndef SHIM_HEAP_BASE_RUN_BIN_H
#define SHIM_HEAP_BASE_RUN_BIN_H

#include "shim/heap/base/bits.h"

#include <stddef.h>

/*
 * Lengths of large blocks that thread caches keep: bins 1 .. RUN_BINS, eight to a doubling.
 * A block of up to RUN_BIN_PAGES_MAX pages is rounded up to the length of a bin, so that
 * every block of a bin can serve every size of it.  Up to an eighth of a block is not asked
 * for; it is resident only where those pages were dirty before.
 *
 * Longer blocks have no bins: they are rounded to a sixteenth of their doubling, and to
 * RUN_STEP_PAGES_MAX at most.  So one that takes the place of another begins where that one began,
 * or some steps from it, and what programs leave untouched in large blocks, all but the header and
 * the filled part of each piece, stays so.
 */
#define RUN_BINS 40U
#define RUN_BIN_PAGES_MIN ((size_t)9)
#define RUN_BIN_PAGES_MAX ((size_t)256)
#define RUN_STEP_PAGES_MAX ((size_t)32)

/* 0: there is none for so many pages. */
static inline unsigned run_bin_of(size_t pages)
{
	unsigned power;

	if (pages < RUN_BIN_PAGES_MIN || pages > RUN_BIN_PAGES_MAX)
		return 0;
	power = bits_highest(pages - 1) - 3;
	return power * 8 + ((unsigned)(pages - 1) >> power & 7) + 1;
}

static inline size_t run_bin_pages(unsigned bin)
{
	return (size_t)(9 + (bin - 1) % 8) << (bin - 1) / 8;
}

/* So many pages, or as many more as a block of that length has. */
static inline size_t run_bin_round(size_t pages)
{
	unsigned bin = run_bin_of(pages);
	size_t step;

	if (pages <= RUN_BIN_PAGES_MAX)
		return bin != 0 ? run_bin_pages(bin) : pages;
	step = (size_t)1 << (bits_highest(pages) - 4);
	if (step > RUN_STEP_PAGES_MAX)
		step = RUN_STEP_PAGES_MAX;
	return (pages + step - 1) & ~(step - 1);
}

#endif
