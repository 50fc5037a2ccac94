/* mimalloc's collection. */
#include "shim/agent/allocator.h"

#include "shim/protocol.h"
#include "shim/symbol.h"

/*
 * mi_collect gives back unused segments and arenas, what dead threads left, and what the calling
 * thread holds; what other threads hold they give back themselves, when they next allocate.  Its
 * options are numbered differently in each version and are left alone, and no statistic that all
 * versions have tells what is idle.
 */

static void (*collect)(bool force);

static bool mimalloc_find(uintptr_t malloc_base)
{
	uintptr_t base;

	(void)malloc_base;
	*(void **)&collect = symbol_first("mi_collect", &base);
	return collect != NULL;
}

static bool mimalloc_figures(struct heap_stats *stats, uint64_t resident_bytes)
{
	(void)stats;
	(void)resident_bytes;
	return false;
}

static bool mimalloc_release(enum heap_level level, uint64_t max_bytes)
{
	(void)max_bytes;
	if (level != HEAP_CALM)
		collect(level >= HEAP_EAGER);
	return false;
}

const struct allocator allocator_mimalloc = {
	.name = "mimalloc",
	.number = LINK_ALLOCATOR_MIMALLOC,
	.find = mimalloc_find,
	.figures = mimalloc_figures,
	.release = mimalloc_release,
};
