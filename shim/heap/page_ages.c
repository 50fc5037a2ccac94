#include "shim/heap/page_ages.h"

#include "shim/heap/os.h"
#include "shim/heap/page_heap_state.h"
#include "shim/heap/refault.h"

/* Looked at before the lock is dropped for a moment, and in all. */
#define CHUNKS_AT_ONCE 64U
#define CHUNKS_MAX 4096U

static size_t chunk_end(size_t page, size_t end)
{
	size_t next = (page / CHUNK_PAGES + 1) * CHUNK_PAGES;

	return next < end ? next : end;
}

static uint64_t since_ns(uint64_t now_ns, uint64_t then_ns)
{
	return now_ns > then_ns ? now_ns - then_ns : 0;
}

/* Pages of one chunk, not all of them fresh. */
static void chunk_taken(const struct region *region, size_t page, size_t pages,
	const struct page_counts *counts, uint64_t now_ns)
{
	const struct chunk *chunk = &region->chunks[page / CHUNK_PAGES];
	uint64_t age_ns = since_ns(now_ns, chunk->idle_since_ns);
	size_t clean = counts->clean - counts->fresh;

	reuse_wanted(&page_heap.reuse, region_run_class(region, page), age_ns,
		counts->dirty + counts->lazy + clean);
	if (page_heap.break_even_ns != 0 && age_ns > page_heap.break_even_ns)
		page_heap.stats.regret_hold += counts->dirty;
	if (clean == 0)
		return;
	if (since_ns(now_ns, chunk->released_ns) < page_heap.break_even_ns)
		page_heap.stats.regret_release += clean;
	if (clean == pages)
		refault_note_locked(region_address(region, page), clean, now_ns);
}

void page_ages_taken_locked(
	const struct region *region, size_t page, size_t pages, const struct page_counts *counts)
{
	uint64_t now_ns;
	size_t end = page + pages;

	if (counts->fresh == pages)
		return;
	now_ns = os_now_coarse_ns();
	if (chunk_end(page, end) == end) {
		chunk_taken(region, page, pages, counts, now_ns);
		return;
	}
	for (size_t next; page < end; page = next) {
		struct page_counts part;

		next = chunk_end(page, end);
		part = region_count(region, page, next - page);
		if (part.fresh != next - page)
			chunk_taken(region, page, next - page, &part, now_ns);
	}
}

void page_ages_released_locked(struct region *region, size_t page, size_t pages, bool clean)
{
	uint64_t now_ns = os_now_coarse_ns();
	size_t end = page + pages;

	for (size_t next; page < end; page = next) {
		struct chunk *chunk = &region->chunks[page / CHUNK_PAGES];

		next = chunk_end(page, end);
		if (page_heap.break_even_ns != 0 &&
			since_ns(now_ns, chunk->idle_since_ns) > page_heap.break_even_ns)
			page_heap.stats.regret_hold +=
				region_count(region, page, next - page).dirty;
		if (clean)
			chunk->released_ns = now_ns;
	}
}

/* One look: the chunk's idle pages grew older since from_ns. */
static void chunk_account(
	const struct region *region, size_t chunk, uint64_t from_ns, uint64_t now_ns, size_t weight)
{
	uint64_t idle_since_ns = region->chunks[chunk].idle_since_ns;
	size_t pages;

	if (idle_since_ns == 0 || region->levels[0][chunk].max[RUN_ANY] == 0)
		return;
	pages = region_used_once(&region->chunks[chunk]);
	reuse_exposed(&page_heap.reuse, region_run_class(region, chunk * CHUNK_PAGES),
		since_ns(from_ns, idle_since_ns), since_ns(now_ns, idle_since_ns), pages * weight);
}

/* Chunks of one region from *chunk on, until enough were looked at; false: the region's end. */
static bool region_account(
	size_t index, size_t *chunk, size_t stride, uint64_t from_ns, uint64_t now_ns)
{
	const struct region *region;
	bool more = false;

	lock_take(&page_heap.lock);
	if (index < page_heap.count) {
		size_t chunks;

		region = &page_heap.regions[index];
		chunks = region->committed / CHUNK_PAGES;
		for (unsigned looks = 0; *chunk < chunks && looks < CHUNKS_AT_ONCE; looks++) {
			chunk_account(region, *chunk, from_ns, now_ns, stride);
			*chunk += stride;
		}
		more = *chunk < chunks;
	}
	lock_drop_kindly(&page_heap.lock);
	return more;
}

void page_ages_account(uint64_t now_ns, uint64_t break_even_ns, struct reuse *reuse)
{
	static uint64_t last_ns;
	static size_t turn;
	size_t regions;
	size_t stride;

	lock_take(&page_heap.lock);
	reuse_decay(&page_heap.reuse, now_ns);
	page_heap.break_even_ns = break_even_ns;
	regions = page_heap.count;
	stride = page_heap.stats.committed / CHUNK_PAGES / CHUNKS_MAX + 1;
	lock_drop(&page_heap.lock);
	turn++;
	for (size_t i = 0; i < regions && last_ns != 0; i++) {
		size_t chunk = turn % stride;

		while (region_account(i, &chunk, stride, last_ns, now_ns))
			;
	}
	last_ns = now_ns;
	lock_take(&page_heap.lock);
	*reuse = page_heap.reuse;
	lock_drop(&page_heap.lock);
}
