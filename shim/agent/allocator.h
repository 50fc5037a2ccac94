#ifndef SHIM_AGENT_ALLOCATOR_H
#define SHIM_AGENT_ALLOCATOR_H

#include "shim/heap/front/heap.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * An allocator that a program brings along, and its own means of giving memory back.
 *
 * All of them are found by the names of their functions, once, by the constructor (symbol_first).
 * Those with the usual names count only where malloc itself comes from the same object: an
 * allocator that lies there unused is left alone.  Those with a prefix of their own (je_, _rjem_,
 * mi_) are used beside another malloc, so more than one may be driven.
 *
 * Their functions are called by the scavenger's thread alone, never by a signal's or fork's
 * handler, and with no lock of ours held.  They may take the allocator's locks, so that threads
 * which allocate wait meanwhile: that is what foreign.c limits.
 */
struct allocator {
	const char *name;
	uint32_t number; /* enum link_allocator */
	/* Looks for the functions.  malloc_base: the object of the program's malloc, 0: none. */
	bool (*find)(uintptr_t malloc_base);
	/* Once, right after that, before the program begins.  environment NULL: one that is not to
	 * be trusted.  NULL: nothing is to be set. */
	void (*begin)(char **environment);
	/* Adds in_use, free_slot, idle_dirty, lazy, clean and metadata bytes; false: it does not
	 * tell.  resident_bytes: what the process has resident that is no file's. */
	bool (*figures)(struct heap_stats *stats, uint64_t resident_bytes);
	/* Gives back at a level, calm included, about max_bytes where it can be told how much.
	 * True: there may be more. */
	bool (*release)(enum heap_level level, uint64_t max_bytes);
	/* The level in force has changed.  NULL: that makes no difference by itself. */
	void (*level)(enum heap_level level);
	/* Everything stands still while figures are read, so they are read seldom. */
	bool figures_stall;
};

extern const struct allocator allocator_glibc;
extern const struct allocator allocator_jemalloc;
extern const struct allocator allocator_tcmalloc;
extern const struct allocator allocator_mimalloc;

#endif
