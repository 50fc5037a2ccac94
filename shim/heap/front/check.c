/* Walks the invariants of the whole heap, for tests. */
#include "shim/heap/base/meta.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/pages/mapped.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/pages/page_map.h"
#include "shim/heap/pages/span.h"
#include "shim/heap/slabs/central.h"
#include "shim/heap/slabs/slab_index.h"

#include "shim/heap/base/bits.h"

#include <string.h>

/* What the walk adds up. */
struct sums {
	uint64_t used[SIZE_CLASSES + 1];
	uint64_t ready[SIZE_CLASSES + 1];
	unsigned empty[SIZE_CLASSES + 1];
	size_t hole_pages;
	size_t span_pages;
};

static const char *check_sets(const struct span *span)
{
	bool is_ready = span->ready_slots != 0;
	bool is_holed = !is_ready && span->hole != 0;

	if (span->listed != (is_ready || is_holed))
		return is_ready || is_holed ? "a slab with free slots is in no set"
					    : "a full slab is in a set";
	if (slab_set_has(SLAB_READY, span) != is_ready ||
		slab_set_has(SLAB_HOLED, span) != is_holed)
		return "a slab is in another set than its slots say";
	return NULL;
}

static const char *check_slab(const struct span *span, struct sums *sums)
{
	const struct size_class *class = &size_classes[span->size_class];
	size_t pages = class->pages;
	const char *wrong = span_check(span);

	if (wrong == NULL)
		wrong = check_sets(span);
	if (wrong != NULL)
		return wrong;
	for (size_t i = 0; i < pages; i++) {
		uint64_t entry = page_map_get((void *)(span->start + i * PAGE_BYTES));

		if (page_map_span(entry) != span || page_map_class(entry) != span->size_class ||
			page_map_offset(entry, (void *)span->start) !=
				i % class->group_pages * PAGE_BYTES % class->bytes)
			return "the page map is wrong about a slab's page";
	}
	sums->used[span->size_class] += span->used;
	sums->ready[span->size_class] += span->ready_slots;
	sums->empty[span->size_class] += span->used == 0;
	sums->hole_pages += bits_count(span->hole);
	sums->span_pages += pages;
	return NULL;
}

static const char *check_spans(struct sums *sums)
{
	uintptr_t start;
	size_t pages;

	for (size_t i = 0; page_heap_region_locked(i, &start, &pages); i++) {
		size_t at = 0;

		while (at < pages) {
			uintptr_t address = start + at * PAGE_BYTES;
			uint64_t entry = page_map_get((void *)address);
			const struct span *span = page_map_span(entry);
			const char *wrong = NULL;

			at++;
			if (entry == 0)
				continue;
			if (span->start != address || span->size_class != page_map_class(entry))
				return "the page map names a span that begins elsewhere";
			if (span->size_class != 0)
				wrong = check_slab(span, sums);
			else
				sums->span_pages += span->pages;
			if (wrong != NULL)
				return wrong;
			at += span->pages - 1;
		}
	}
	return NULL;
}

static const char *check_all(void)
{
	struct sums sums;
	const char *wrong;

	memset(&sums, 0, sizeof sums);
	wrong = check_spans(&sums);
	for (unsigned c = 1; c <= SIZE_CLASSES && wrong == NULL; c++) {
		wrong = central_check_locked(c, sums.used[c], sums.ready[c], sums.empty[c]);
		if (wrong == NULL && cache_check_locked(c) > sums.used[c])
			wrong = "caches keep more slots of a class than are used";
	}
	if (wrong == NULL)
		wrong = mapped_check_locked();
	if (wrong == NULL)
		wrong = page_heap_check_locked(sums.hole_pages, sums.span_pages);
	if (wrong == NULL)
		wrong = meta_check_locked();
	return wrong;
}

const char *heap_check(void)
{
	const char *wrong;

	heap_fork_prepare();
	wrong = check_all();
	heap_fork_parent();
	return wrong;
}
