/* Runs of pages that come back to the page heap. */
#include "shim/heap/pages/page_heap.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/base/freed.h"
#include "shim/heap/base/os.h"
#include "shim/heap/pages/huge.h"
#include "shim/heap/pages/page_heap_state.h"

/* Spans' pages come back to the page heap. */

/*
 * Lock held.  A chunk that is all free and clean still has its page of the page
 * map, and the kernel's page table.  One of its pages counts as dirty for them,
 * so that a hunt comes by for the whole.
 */
static void soil_chunk(struct region *region, size_t page, uint64_t now_ns)
{
	size_t base = page - page % CHUNK_PAGES;

	if (!region_chunk_is_free(region, page) ||
		region_count(region, base, CHUNK_PAGES).clean != CHUNK_PAGES)
		return;
	region_take(region, page, 1);
	region_give(region, page, 1, 0, now_ns);
	page_heap.stats.clean--;
	page_heap.stats.dirty++;
}

void page_heap_put(void *start, size_t pages, uint64_t clean_mask)
{
	uint64_t now_ns = os_now_coarse_ns();
	struct region *region;
	size_t clean;
	size_t page;

	lock_take(&page_heap.lock);
	region = page_heap_region((uintptr_t)start);
	page = region_page(region, (uintptr_t)start);
	if (region->once_huge)
		clean_mask = huge_clean_mask_locked(region, page, clean_mask);
	clean = bits_count(clean_mask);
	region_give(region, page, pages, clean_mask, now_ns);
	page_heap.stats.in_use -= pages;
	page_heap.stats.clean += clean;
	page_heap.stats.dirty += pages - clean;
	if (clean != 0) {
		soil_chunk(region, page, now_ns);
		soil_chunk(region, page + pages - 1, now_ns);
	}
	lock_drop(&page_heap.lock);
	freed_note(pages * PAGE_BYTES);
}

/*
 * Lock held.  The part of a clean run that may count as clean: where chunks may be huge pages, the
 * kernel frees nothing of a part of one, so that the others stay dirty.
 */
static void clean_part(const struct region *region, size_t *page, size_t *end)
{
	if (!region->once_huge)
		return;
	*page = round_up(*page, CHUNK_PAGES);
	*end -= *end % CHUNK_PAGES;
	if (*end < *page)
		*end = *page;
}

/* Lock held. */
static void put_clean_locked(struct region *region, size_t page, size_t pages, bool fresh)
{
	uint64_t now_ns = os_now_coarse_ns();
	size_t first = page;
	size_t end = page + pages;

	clean_part(region, &first, &end);
	region_give(region, page, pages, 0, now_ns);
	page_heap.stats.in_use -= pages;
	page_heap.stats.clean += end - first;
	page_heap.stats.dirty += pages - (end - first);
	if (end == first)
		return;
	if (region->once_huge)
		huge_gone_locked(region, first, end - first);
	region_blank(region, first, end - first, fresh);
	/* What was touched has page tables everywhere, else only the first page has an entry. */
	for (size_t at = first; at < end && !fresh; at += CHUNK_PAGES)
		soil_chunk(region, at, now_ns);
	soil_chunk(region, first, now_ns);
	soil_chunk(region, end - 1, now_ns);
}

void page_heap_put_clean(void *start, size_t pages, bool fresh)
{
	struct region *region;

	lock_take(&page_heap.lock);
	region = page_heap_region((uintptr_t)start);
	put_clean_locked(region, region_page(region, (uintptr_t)start), pages, fresh);
	lock_drop(&page_heap.lock);
}
