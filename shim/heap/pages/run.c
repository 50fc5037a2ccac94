/* Counts large blocks, and ends those that need no closer look at their pages. */
#include "shim/heap/pages/run.h"

#include "shim/heap/base/meta.h"
#include "shim/heap/base/page.h"
#include "shim/heap/pages/page_heap.h"

static _Atomic uint64_t run_blocks;
static _Atomic uint64_t run_pages;

void run_count(int64_t blocks, int64_t pages)
{
	if (blocks != 0)
		atomic_fetch_add_explicit(&run_blocks, (uint64_t)blocks, memory_order_relaxed);
	atomic_fetch_add_explicit(&run_pages, (uint64_t)pages, memory_order_relaxed);
}

void run_stats(uint64_t *blocks, uint64_t *bytes)
{
	*blocks = atomic_load_explicit(&run_blocks, memory_order_relaxed);
	*bytes = atomic_load_explicit(&run_pages, memory_order_relaxed) * PAGE_BYTES;
}

void run_put(struct span *span)
{
	void *start = (void *)span->start;
	size_t pages = atomic_load_explicit(&span->pages, memory_order_relaxed);

	meta_put(span, sizeof *span);
	page_heap_put(start, pages, 0);
	run_count(-1, -(int64_t)pages);
}
