/* mimalloc's collection. */
#include "shim/agent/allocator.h"

#include "shim/protocol.h"
#include "shim/symbol.h"

/*
 * mi_collect gives back unused segments and arenas, what dead threads left, and what the calling
 * thread holds.  What other threads hold they alone give back, while they free and allocate: after
 * a delay that is one of its options, and that is none from lazy on.  So what threads freed before
 * and then slept stays.
 *
 * That option has the same number in all versions since 2.0, whatever it is called (reset_delay,
 * decommit_delay, purge_delay): the list is kept compatible.  No statistic that all versions have
 * tells what is idle.
 */

#define OPTION_DELAY 15
#define VERSION_LEAST 200

static void (*collect)(bool force);
static void (*option_set)(int option, long value);
static long delay_usual;

static bool mimalloc_find(uintptr_t malloc_base)
{
	int (*version)(void);
	long (*option_get)(int option);
	uintptr_t base;

	(void)malloc_base;
	*(void **)&collect = symbol_first("mi_collect", &base);
	if (collect == NULL)
		return false;
	*(void **)&version = symbol_beside("mi_version", base);
	*(void **)&option_get = symbol_beside("mi_option_get", base);
	if (version == NULL || option_get == NULL || version() < VERSION_LEAST)
		return true;
	*(void **)&option_set = symbol_beside("mi_option_set", base);
	delay_usual = option_get(OPTION_DELAY);
	return true;
}

static void mimalloc_level(enum heap_level level)
{
	if (option_set != NULL)
		option_set(OPTION_DELAY, level == HEAP_CALM ? delay_usual : 0);
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
	.level = mimalloc_level,
};
