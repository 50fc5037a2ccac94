#ifndef SHIM_HEAP_PAGES_GROWN_H
#define SHIM_HEAP_PAGES_GROWN_H

#include <stddef.h>

/*
 * Pages that the calling thread took and that were not resident: the page heap counts them, and
 * whoever called it pays for them once no lock is held (growth.h).
 */
extern __thread size_t grown_pages;

static inline void grown_note(size_t cold_pages)
{
	grown_pages += cold_pages;
}

/* How many since the last call. */
static inline size_t grown_settle(void)
{
	size_t pages = grown_pages;

	grown_pages = 0;
	return pages;
}

#endif
