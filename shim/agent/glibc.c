/* glibc's malloc: malloc_trim, and parameters that keep it small. */
#include "shim/agent/allocator.h"

#include "shim/agent/processors.h"
#include "shim/environment.h"
#include "shim/protocol.h"
#include "shim/symbol.h"

#include <malloc.h>
#include <string.h>

/*
 * At the start, unless the user has set the parameter (MALLOC_*, GLIBC_TUNABLES); what the program
 * sets later by mallopt is in force then:
 *
 *   arenas      two for each CPU that the process may use.  glibc makes up to eight for each CPU of
 *               the machine, and what is free in one is of no use to another
 *   thresholds  a block of 1 MiB or more is a mapping of its own, and 2 MiB at the top of the heap
 *               are kept.  glibc raises both, up to 32 and 64 MiB, when such a block is freed, and
 *               then gives back less
 *
 * malloc_trim takes every arena's lock in turn and holds it while it walks the free blocks and the
 * kernel takes their pages.  So it is called from eager on, and at calm when the process is quiet.
 * It gives back whole pages inside free blocks, but not the top of an arena other than the first,
 * and nothing of what the caches of threads hold.
 *
 * mallinfo2 walks the same blocks under the same locks and costs as much.  It says what is free and
 * not what of that is resident.  So idle is what is free and resident, less what a trim has left
 * so. glibc before 2.33 has no mallinfo2: there nothing is known of what is idle.
 */

#define MMAP_THRESHOLD (1 << 20)
#define TRIM_THRESHOLD (2 << 20)
#define ARENAS_PER_PROCESSOR 2U

static struct {
	int (*malloc_trim)(size_t pad);
	int (*mallopt)(int parameter, int value);
	struct mallinfo2 (*mallinfo2)(void);
} call;

/* Free and resident after the last malloc_trim. */
static uint64_t stuck_bytes;
static bool trimmed;

static bool glibc_find(uintptr_t malloc_base)
{
	/* Others than glibc stand in for malloc_trim as well. */
	if (symbol_beside("gnu_get_libc_version", malloc_base) == NULL)
		return false;
	*(void **)&call.malloc_trim = symbol_beside("malloc_trim", malloc_base);
	*(void **)&call.mallopt = symbol_beside("mallopt", malloc_base);
	*(void **)&call.mallinfo2 = symbol_beside("mallinfo2", malloc_base);
	return call.malloc_trim != NULL;
}

static bool is_set(char **environment, const char *variable, const char *tunable)
{
	const char *tunables = environment_find(environment, "GLIBC_TUNABLES");

	return environment_find(environment, variable) != NULL ||
	       (tunables != NULL && strstr(tunables, tunable) != NULL);
}

static void glibc_begin(char **environment)
{
	static char *empty[] = {NULL};
	uint32_t arenas = processors_count() * ARENAS_PER_PROCESSOR;

	if (call.mallopt == NULL)
		return;
	if (environment == NULL)
		environment = empty;
	if (arenas != 0 && !is_set(environment, "MALLOC_ARENA_MAX", "glibc.malloc.arena_max"))
		(void)call.mallopt(M_ARENA_MAX, (int)arenas);
	if (is_set(environment, "MALLOC_MMAP_THRESHOLD_", "glibc.malloc.mmap_threshold") ||
		is_set(environment, "MALLOC_TRIM_THRESHOLD_", "glibc.malloc.trim_threshold") ||
		is_set(environment, "MALLOC_TOP_PAD_", "glibc.malloc.top_pad"))
		return;
	(void)call.mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	(void)call.mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
}

static bool glibc_figures(struct heap_stats *stats, uint64_t resident_bytes)
{
	struct mallinfo2 info;
	uint64_t in_use;
	uint64_t idle = 0;

	if (call.mallinfo2 == NULL)
		return false;
	info = call.mallinfo2();
	in_use = (uint64_t)info.uordblks + info.hblkhd;
	if (resident_bytes > in_use)
		idle = resident_bytes - in_use < info.fordblks ? resident_bytes - in_use
							       : info.fordblks;
	if (trimmed || stuck_bytes > idle)
		stuck_bytes = idle;
	trimmed = false;
	stats->in_use_bytes += in_use + stuck_bytes;
	stats->free_slot_bytes += stuck_bytes;
	stats->idle_dirty_bytes += idle - stuck_bytes;
	stats->clean_bytes += info.fordblks - idle;
	return true;
}

static bool glibc_release(enum heap_level level, uint64_t max_bytes)
{
	(void)max_bytes;
	if (level == HEAP_LAZY)
		return false;
	(void)call.malloc_trim(0);
	trimmed = true;
	return false;
}

const struct allocator allocator_glibc = {
	.name = "glibc",
	.number = LINK_ALLOCATOR_GLIBC,
	.find = glibc_find,
	.begin = glibc_begin,
	.figures = glibc_figures,
	.release = glibc_release,
	.figures_stall = true,
};
