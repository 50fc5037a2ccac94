#ifndef SHIM_HEAP_PAGES_REFAULT_H
#define SHIM_HEAP_PAGES_REFAULT_H

#include <stddef.h>
#include <stdint.h>

/*
 * What of the clean pages that were handed out again was really touched.
 *
 * The heap sees which clean pages it hands out, not which of them are written to;
 * the kernel's counters of faults know neither whose pages they were nor that
 * they had been here before.  So ranges are sampled: every eighth one that was
 * clean throughout is remembered, a window of at most 512 pages of it, sixteen at
 * once.  A second or more later the background asks mincore how much of the
 * window is resident, unless it was freed or given back meanwhile.  Pages found
 * over pages looked at, both halved when they become many, is the part by which
 * clean pages handed out count as refaults.  Before the first sample all count.
 *
 * What is freed within the second is not seen; a page whose neighbour in the same
 * kernel page was touched is.
 */

#define REFAULT_SAMPLES 16U
#define REFAULT_EVERY 8U
#define REFAULT_WINDOW_PAGES ((size_t)512)
#define REFAULT_AGE_NS ((uint64_t)1000000000)

/* The page heap's lock is held.  Clean pages are handed out. */
void refault_note_locked(uintptr_t start, size_t pages, uint64_t now_ns);

/* No lock is held.  Looks at samples that are old enough; one caller at a time. */
void refault_look(uint64_t now_ns);

/* The page heap's lock is held.  Of so many pages handed out clean in all, those that were touched;
 * never falls. */
size_t refault_touched_locked(size_t refaulted_pages);

#endif
