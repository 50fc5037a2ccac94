/* Samples which pages that were given back are touched again. */
#include "shim/heap/pages/refault.h"

#include "shim/heap/base/os.h"
#include "shim/heap/pages/page_heap_state.h"

#include <stdatomic.h>

#define SUM_MAX ((uint64_t)1 << 14)

struct sample {
	uintptr_t start; /* 0: none */
	size_t pages;
	uint64_t taken_ns;
};

/* Under the page heap's lock. */
static struct sample samples[REFAULT_SAMPLES];
static uint64_t notes;

static _Atomic uint64_t looked_pages;
static _Atomic uint64_t found_pages;

/* Under the page heap's lock. */
static struct {
	size_t refaulted_pages; /* up to here it is settled, */
	size_t touched_pages;   /* and was so many */
} settled;

void refault_note_locked(uintptr_t start, size_t pages, uint64_t now_ns)
{
	uint64_t turn = notes++;
	struct sample *sample = &samples[turn / REFAULT_EVERY % REFAULT_SAMPLES];

	if (turn % REFAULT_EVERY != 0 || sample->start != 0)
		return;
	/* A window that is not always the first of a large block. */
	if (pages > REFAULT_WINDOW_PAGES) {
		size_t windows = pages / REFAULT_WINDOW_PAGES;

		start += turn / REFAULT_EVERY % windows * REFAULT_WINDOW_PAGES * PAGE_BYTES;
		pages = REFAULT_WINDOW_PAGES;
	}
	*sample = (struct sample){.start = start, .pages = pages, .taken_ns = now_ns};
}

/* Lock held.  Whether the sampled pages have been in use all the time. */
static bool still_taken(const struct sample *sample)
{
	const struct region *region = page_heap_region(sample->start);
	size_t page = region_page(region, sample->start);

	for (size_t at = page; at < page + sample->pages; at = (at | 63) + 1)
		if (region_chunk(region, at)->released_ns[at % CHUNK_PAGES / 64] > sample->taken_ns)
			return false;
	return !region_is_any_free(region, page, sample->pages);
}

void refault_look(uint64_t now_ns)
{
	for (size_t i = 0; i < REFAULT_SAMPLES; i++) {
		struct sample sample;
		uint64_t looked;
		uint64_t found;
		bool valid;

		lock_take(&page_heap.lock);
		sample = samples[i];
		valid = sample.start != 0 && now_ns >= sample.taken_ns + REFAULT_AGE_NS;
		if (valid) {
			samples[i].start = 0;
			valid = still_taken(&sample);
		}
		lock_drop(&page_heap.lock);
		if (!valid)
			continue;
		looked = atomic_load_explicit(&looked_pages, memory_order_relaxed) + sample.pages;
		found = atomic_load_explicit(&found_pages, memory_order_relaxed) +
			os_resident_bytes((void *)sample.start, sample.pages * PAGE_BYTES) /
				PAGE_BYTES;
		if (looked > SUM_MAX) {
			looked /= 2;
			found /= 2;
		}
		atomic_store_explicit(&looked_pages, looked, memory_order_relaxed);
		atomic_store_explicit(&found_pages, found, memory_order_relaxed);
	}
}

size_t refault_touched_locked(size_t refaulted_pages)
{
	uint64_t looked = atomic_load_explicit(&looked_pages, memory_order_relaxed);
	uint64_t found = atomic_load_explicit(&found_pages, memory_order_relaxed);

	if (refaulted_pages > settled.refaulted_pages) {
		uint64_t more = refaulted_pages - settled.refaulted_pages;

		settled.refaulted_pages = refaulted_pages;
		settled.touched_pages +=
			looked == 0 ? more : more / looked * found + more % looked * found / looked;
	}
	return settled.touched_pages;
}
