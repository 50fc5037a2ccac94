/* jemalloc's decay, purge and statistics. */
#include "shim/agent/allocator.h"

#include "shim/heap/base/os.h"
#include "shim/protocol.h"
#include "shim/symbol.h"

#include <stdatomic.h>

/*
 * By mallctl, of jemalloc 3.6 on.  What the versions call the same thing differs:
 *
 *	all arenas	5.x: arena.4096, MALLCTL_ARENAS_ALL; before: arena.<arenas.narenas>
 *	decay		4.1 on: gives back what the curve of dirty_decay_ms says by now
 *	purge		3.6 on: everything that is unused, dirty and muzzy
 *	statistics	5.x: stats.arenas.4096.pdirty; before: stats.arenas.<arenas.narenas>.pdirty
 *
 * The two ways to say "all" are tried in this order, once.
 *
 * By itself jemalloc gives back only in threads that allocate, or by background_thread, which is
 * off by default.  So at calm and lazy its decay is called; how fast that goes stays what the
 * program and MALLOC_CONF say.  At eager and full everything unused is purged.  Either way each
 * arena's lock is held for short moments only, not while the kernel works.
 *
 * What other threads' caches (tcache) hold stays: only a thread itself may flush its own.
 */

typedef int (*mallctl_function)(
	const char *name, void *old, size_t *old_size, void *new, size_t new_size);

/* As the programs that link jemalloc in call it. */
static const char *const names[] = {"mallctl", "je_mallctl", "_rjem_mallctl"};

#define ARENAS_ALL 4096U
#define NAME_BYTES 64U

static mallctl_function mallctl_call;
static unsigned arenas_all;
static size_t page_bytes;

/* "PREFIX.<number>.SUFFIX" without stdio, which may allocate. */
static const char *arena_name(char text[NAME_BYTES], const char *prefix, const char *suffix)
{
	char digits[10];
	size_t count = 0;
	size_t length = 0;

	for (unsigned rest = arenas_all; rest != 0 || count == 0; rest /= 10)
		digits[count++] = (char)('0' + rest % 10);
	for (; *prefix != '\0'; prefix++)
		text[length++] = *prefix;
	while (count > 0)
		text[length++] = digits[--count];
	for (; *suffix != '\0'; suffix++)
		text[length++] = *suffix;
	text[length] = '\0';
	return text;
}

static bool read_size(const char *name, size_t *value)
{
	size_t size = sizeof *value;

	return mallctl_call(name, value, &size, NULL, 0) == 0 && size == sizeof *value;
}

static bool arenas_command(const char *command)
{
	char name[NAME_BYTES];

	return mallctl_call(arena_name(name, "arena.", command), NULL, NULL, NULL, 0) == 0;
}

static bool jemalloc_find(uintptr_t malloc_base)
{
	uintptr_t base;
	unsigned narenas = 0;
	size_t size = sizeof narenas;

	for (size_t i = 0; i < sizeof names / sizeof names[0] && mallctl_call == NULL; i++) {
		void *found = symbol_first(names[i], &base);

		if (found != NULL && (i > 0 || base == malloc_base))
			*(void **)&mallctl_call = found;
	}
	if (mallctl_call == NULL)
		return false;
	arenas_all = ARENAS_ALL;
	if (!arenas_command(".decay")) {
		arenas_all = 0;
		if (mallctl_call("arenas.narenas", &narenas, &size, NULL, 0) == 0)
			arenas_all = narenas;
	}
	if (!read_size("arenas.page", &page_bytes))
		page_bytes = os_page_bytes();
	return true;
}

/* Pages of all arenas; 0: the statistics are not built in. */
static uint64_t arenas_pages(const char *which)
{
	char name[NAME_BYTES];
	size_t pages = 0;

	if (!read_size(arena_name(name, "stats.arenas.", which), &pages))
		return 0;
	return (uint64_t)pages * page_bytes;
}

static bool jemalloc_figures(struct heap_stats *stats, uint64_t resident_bytes)
{
	uint64_t epoch = 1;
	size_t allocated;
	size_t active;
	size_t metadata = 0;
	size_t retained = 0;

	(void)resident_bytes;
	/* Gathers what the names below read. */
	(void)mallctl_call("epoch", NULL, NULL, &epoch, sizeof epoch);
	if (!read_size("stats.allocated", &allocated) || !read_size("stats.active", &active))
		return false;
	(void)read_size("stats.metadata", &metadata);
	(void)read_size("stats.retained", &retained);
	stats->in_use_bytes += active;
	stats->free_slot_bytes += active > allocated ? active - allocated : 0;
	stats->idle_dirty_bytes += arenas_pages(".pdirty");
	stats->lazy_bytes += arenas_pages(".pmuzzy");
	stats->clean_bytes += retained;
	stats->metadata_bytes += metadata;
	return true;
}

static bool jemalloc_release(enum heap_level level, uint64_t max_bytes)
{
	(void)max_bytes;
	/* Without decay, lazy purges as well. */
	if ((level >= HEAP_EAGER || !arenas_command(".decay")) && level != HEAP_CALM)
		(void)arenas_command(".purge");
	return false;
}

const struct allocator allocator_jemalloc = {
	.name = "jemalloc",
	.number = LINK_ALLOCATOR_JEMALLOC,
	.find = jemalloc_find,
	.figures = jemalloc_figures,
	.release = jemalloc_release,
};
