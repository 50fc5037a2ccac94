/* tcmalloc's release to the system, gperftools' and Google's own. */
#include "shim/agent/allocator.h"

#include "shim/protocol.h"
#include "shim/symbol.h"

#include <string.h>

/*
 * gperftools exports functions in C, MallocExtension_*; google/tcmalloc has a pair of its own. Both
 * release from the page heap, so many bytes at a time.  The lock of the page heap is held
 * meanwhile, hence the pieces.
 *
 * What the caches of threads and the central lists hold is not reached: a span is in the page heap
 * only when all its objects are there.
 */

#define PIECE_BYTES ((uint64_t)16 * 1024 * 1024)

static struct {
	void (*release)(size_t bytes);
	int (*gperftools_property)(const char *name, size_t *value);
	bool (*google_property)(const char *name, size_t length, size_t *value);
} call;

static bool tcmalloc_find(uintptr_t malloc_base)
{
	*(void **)&call.release = symbol_beside("MallocExtension_ReleaseToSystem", malloc_base);
	*(void **)&call.gperftools_property =
		symbol_beside("MallocExtension_GetNumericProperty", malloc_base);
	if (call.release != NULL)
		return true;
	*(void **)&call.release =
		symbol_beside("MallocExtension_Internal_ReleaseMemoryToSystem", malloc_base);
	*(void **)&call.google_property =
		symbol_beside("MallocExtension_Internal_GetNumericProperty", malloc_base);
	return call.release != NULL;
}

static bool property(const char *name, size_t *value)
{
	*value = 0;
	if (call.gperftools_property != NULL)
		return call.gperftools_property(name, value) != 0;
	return call.google_property != NULL && call.google_property(name, strlen(name), value);
}

static bool tcmalloc_figures(struct heap_stats *stats, uint64_t resident_bytes)
{
	size_t allocated;
	size_t heap;
	size_t idle;
	size_t clean;

	(void)resident_bytes;
	if (!property("generic.current_allocated_bytes", &allocated) ||
		!property("generic.heap_size", &heap) ||
		!property("tcmalloc.pageheap_free_bytes", &idle) ||
		!property("tcmalloc.pageheap_unmapped_bytes", &clean) || heap < idle)
		return false;
	/* gperftools counts unmapped bytes as part of the heap, google/tcmalloc does not. */
	if (call.gperftools_property != NULL)
		heap = heap > clean ? heap - clean : 0;
	heap = heap > idle ? heap - idle : 0;
	stats->in_use_bytes += heap;
	stats->free_slot_bytes += heap > allocated ? heap - allocated : 0;
	stats->idle_dirty_bytes += idle;
	stats->clean_bytes += clean;
	return true;
}

static uint64_t idle_bytes(void)
{
	size_t idle;

	return property("tcmalloc.pageheap_free_bytes", &idle) ? idle : 0;
}

static bool tcmalloc_release(enum heap_level level, uint64_t max_bytes)
{
	uint64_t before = idle_bytes();
	uint64_t after;

	if (level < HEAP_EAGER)
		return false;
	call.release(max_bytes < PIECE_BYTES ? max_bytes : PIECE_BYTES);
	after = idle_bytes();
	return after != 0 && after < before;
}

const struct allocator allocator_tcmalloc = {
	.name = "tcmalloc",
	.number = LINK_ALLOCATOR_TCMALLOC,
	.find = tcmalloc_find,
	.figures = tcmalloc_figures,
	.release = tcmalloc_release,
};
