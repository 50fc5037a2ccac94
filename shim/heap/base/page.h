#ifndef SHIM_HEAP_BASE_PAGE_H
#define SHIM_HEAP_BASE_PAGE_H

#include <stddef.h>
#include <stdint.h>

/*
 * The heap's own page.  A kernel page may be larger (then advice is given for
 * whole kernel pages only), never smaller.
 */
#define PAGE_SHIFT 12
#define PAGE_BYTES ((size_t)1 << PAGE_SHIFT)

/* A chunk is what bitmaps and growth go by: one huge page. */
#define CHUNK_PAGES ((size_t)512)
#define CHUNK_BYTES (CHUNK_PAGES * PAGE_BYTES)
#define CHUNK_WORDS (CHUNK_PAGES / 64)

#define ADDRESS_BITS 48

/* What a process is given of them by a kernel that was not asked for more. */
#if defined(__x86_64__)
#define USER_ADDRESS_BITS 47
#else
#define USER_ADDRESS_BITS ADDRESS_BITS
#endif

static inline size_t round_up(size_t value, size_t power_of_two)
{
	return (value + power_of_two - 1) & ~(power_of_two - 1);
}

#endif
