#ifndef SHIM_HEAP_HOLES_H
#define SHIM_HEAP_HOLES_H

#include "shim/heap/os.h"

/*
 * Giving back pages that are free inside part-used slabs.
 *
 * Each class lists the slabs into which slots were freed since they were last
 * looked at.  A slab's idle pages are marked as holes and as being advised under
 * the lock of its class, so that no slot over them is handed out; then `advise`
 * is called with no lock held (0 = done; what fails is filled again).
 *
 * Only slabs that nobody used since before idle_before_ns are looked at (UINT64_MAX: any).
 * At most max_bytes are advised; *clean_bytes grows by what went.  True: there
 * is more to do.
 */
bool holes_make(int (*advise)(void *with, const struct os_range *ranges, size_t count), void *with,
	uint64_t max_bytes, uint64_t idle_before_ns, uint64_t *clean_bytes);

#endif
