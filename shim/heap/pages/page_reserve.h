#ifndef SHIM_HEAP_PAGES_PAGE_RESERVE_H
#define SHIM_HEAP_PAGES_PAGE_RESERVE_H

#include "shim/heap/pages/region.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Where the page heap's regions come from.
 *
 * Address space is not free.  `ulimit -v` limits it, mlockall compares all of it with
 * the limit for locked memory, and people watch VmSize.  So it is reserved by need:
 * half as much again as there is, 1 GiB at most at a time, and less, down to what
 * is missing, where the kernel refuses.  On a heap of some size, reserved and not yet
 * committed is at most half of what is committed.
 *
 * A region grows in place, so that a heap of any size has few of them: whole runs
 * may lie anywhere in a region and in one only, and every search goes through all.
 * To have room, the first region begins well below where the kernel puts mappings
 * that may lie anywhere, which it stacks downward, at a distance that depends on
 * the size of the address space alone: its start is as random as theirs.
 *
 * A region's metadata are reserved for its capacity and never move.  The first
 * region's is small, and each further region's is a multiple of what is reserved by
 * then, so that some five regions, one right behind the other, make a TiB.  Where
 * something lies in the way, the region's capacity ends there and a new region begins
 * elsewhere.
 *
 * Where there is a limit, blocks must not take all of it: what describes them needs some,
 * too, and else free memory could not be handed out again as blocks of another size.
 * So a reservation is made only where a little more could be had.
 *
 * A chunk that is given back as a whole is decommitted where it lies ("away"): what is
 * committed is charged where memory is not overcommitted (vm.overcommit_memory=2), so that
 * a fork is refused for a peak of long ago, and makes core files as wide as that peak.
 * It costs a mapping more at most, of which there may be AWAY_PIECES_MAX.  The
 * pages are free and clean like others.  What a region grows by begins that way, too.  Whoever
 * takes some of them commits their chunks, after the lock was dropped: mprotect waits while the
 * kernel gives back other ranges, and nobody else has to wait for that.  Until it is done the chunk
 * stays marked, so that whoever takes other pages of it meanwhile commits it too.  It is not
 * decommitted anew, since a part of it is in use.
 *
 * All of it under the page heap's lock, but for page_reserve_back.
 */

/* Some region grows for a run of so many pages; false: memory is out. */
bool page_reserve_grow_locked(size_t pages);

/* This region grows by so many pages, whole chunks; false: memory is out, or there is no room. */
bool page_reserve_extend_locked(struct region *region, size_t pages);

/* Pages that were taken: must page_reserve_back be called before they are used? */
bool page_reserve_is_away_locked(const struct region *region, size_t page, size_t pages);

/* Commits the chunks of pages that the caller has taken; false: memory is out, and it gives them
 * back unused. */
bool page_reserve_back(void *start, size_t pages);

/* The chunk at a page, of which nothing is resident, was decommitted. */
void page_reserve_away_locked(struct region *region, size_t page);

/* Pages were taken: counts what the page map will have of them. */
void page_reserve_mapped_locked(struct region *region, size_t page, size_t pages);
/* The chunk at a page, of which nothing is in use, has lost its page of the page map. */
void page_reserve_unmapped_locked(struct region *region, size_t page);

#endif
