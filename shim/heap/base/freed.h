#ifndef SHIM_HEAP_BASE_FREED_H
#define SHIM_HEAP_BASE_FREED_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Counts freed bytes for freed_set_hook: batches of slots that go back to their class, and
 * runs of pages that go back to the page heap.  A slab that becomes free counts as both.
 *
 * The count is shared by all threads, so it is written only while somebody waits for it: a process
 * without a scavenger thread.
 */

/* What is still to be freed before the hook is called; 0: nobody waits. */
extern _Atomic uint64_t freed_left_bytes;

/*
 * Calls the hook once, when so many bytes were freed from now on; hook NULL: no more.
 * It is called within free and realloc, maybe with locks of the heap held: it may only take a
 * note.
 */
void freed_set_hook(uint64_t bytes, void (*hook)(void));

void freed_count(size_t bytes);

static inline void freed_note(size_t bytes)
{
	if (__builtin_expect(atomic_load_explicit(&freed_left_bytes, memory_order_relaxed) != 0, 0))
		freed_count(bytes);
}

#endif
