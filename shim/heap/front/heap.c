/* malloc, free and realloc of the heap, its figures, and fork. */
#include "shim/heap/front/heap.h"

#include "shim/heap/base/lock.h"
#include "shim/heap/base/meta.h"
#include "shim/heap/base/os.h"
#include "shim/heap/base/transit.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap_fast.h"
#include "shim/heap/front/large.h"
#include "shim/heap/front/locks.h"
#include "shim/heap/pages/huge.h"
#include "shim/heap/pages/mapped.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/pages/page_map.h"
#include "shim/heap/scavenge/background.h"
#include "shim/heap/scavenge/growth.h"
#include "shim/heap/scavenge/huge_look.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/heap/slabs/central.h"

#include <string.h>

/* A block that shrinks to less than this part of its slot moves. */
#define SHRINK_DIVISOR 2

/* A large block is not moved into a slab before it shrinks to this, and calloc
 * asks the page heap, which knows what is zero, from here on. */
#define LARGE_BYTES_MIN ((size_t)32 << 10)

/* Memory is out: what other threads keep may be all that is missing. */
static void reclaim_slabs(void)
{
	cache_drain_all(UINT64_MAX);
	central_dissolve(UINT64_MAX);
}

/* Whether so much could be free once all slabs are: more than that was refused for good, and to
 * look for it would cost every thread its cache. */
static bool is_within_heap(size_t size)
{
	struct page_stats pages;
	uint64_t blocks;
	uint64_t bytes;

	page_heap_stats(&pages);
	large_stats(&blocks, &bytes);
	return size <= (pages.committed + pages.mapped) * PAGE_BYTES - bytes;
}

static void *large_or_null(size_t size, size_t alignment, bool *zero)
{
	void *block;

	if (size > PTRDIFF_MAX)
		return NULL;
	block = large_take(size, alignment, zero);
	/* A block that gets a mapping of its own has no use for free pages of slabs. */
	if (block == NULL && size < MAPPED_BYTES_MIN && is_within_heap(size)) {
		reclaim_slabs();
		block = large_take(size, alignment, zero);
	}
	growth_settle();
	return block;
}

/* Out of the way of the fast paths. */
static __attribute__((noinline)) void *class_take_slow(unsigned size_class)
{
	void *slot = cache_take_slow(size_class);

	if (slot == NULL) {
		reclaim_slabs();
		slot = cache_take_slow(size_class);
	}
	growth_settle();
	return slot;
}

static inline void *class_take(unsigned size_class)
{
	void *slot = heap_fast_take(size_class);

	return __builtin_expect(slot != NULL, 1) ? slot : class_take_slow(size_class);
}

void *heap_malloc(size_t size)
{
	bool zero;

	if (__builtin_expect(size <= SIZE_CLASS_MAX_BYTES, 1))
		return class_take(size_class_of(size));
	return large_or_null(size, PAGE_BYTES, &zero);
}

void *heap_calloc(size_t count, size_t size)
{
	bool zero;
	size_t bytes;
	void *block;

	if (__builtin_mul_overflow(count, size, &bytes))
		return NULL;
	if (bytes <= LARGE_BYTES_MIN) {
		block = class_take(size_class_of(bytes));
		return block != NULL ? memset(block, 0, bytes) : NULL;
	}
	/* The page heap knows what is zero already. */
	block = large_or_null(bytes, PAGE_BYTES, &zero);
	if (block != NULL && !zero)
		large_zero(block, bytes);
	return block;
}

void *heap_memalign(size_t alignment, size_t size)
{
	unsigned size_class = size_class_aligned(size, alignment);
	bool zero;

	if (size_class != 0)
		return class_take(size_class);
	return large_or_null(size, alignment > PAGE_BYTES ? alignment : PAGE_BYTES, &zero);
}

void heap_free(void *ptr)
{
	uint64_t entry = page_map_get(ptr);
	unsigned size_class = page_map_class(entry);

	if (size_class != 0) {
		if (!size_class_starts(size_class, page_map_offset(entry, ptr)))
			os_panic("free(): invalid pointer", ptr);
		if (!heap_fast_put(size_class, ptr))
			cache_put_slow(size_class, ptr);
	} else if (entry != 0) {
		large_put(ptr, entry);
	} else if (ptr != NULL) {
		os_panic("free(): invalid pointer", ptr);
	}
}

/* The entry of a block, which must be one. */
static uint64_t block_entry(const void *ptr, const char *otherwise)
{
	uint64_t entry = page_map_get(ptr);
	unsigned size_class = page_map_class(entry);

	if (entry == 0 ||
		(size_class != 0 && !size_class_starts(size_class, page_map_offset(entry, ptr))) ||
		(size_class == 0 && (uintptr_t)ptr % PAGE_BYTES != 0) || page_map_is_kept(entry))
		os_panic(otherwise, ptr);
	return entry;
}

static size_t entry_bytes(uint64_t entry)
{
	unsigned size_class = page_map_class(entry);

	return size_class != 0 ? size_classes[size_class].bytes
			       : large_usable_bytes(page_map_span(entry));
}

size_t heap_usable_size(const void *ptr)
{
	if (ptr == NULL)
		return 0;
	return entry_bytes(block_entry(ptr, "malloc_usable_size(): invalid pointer"));
}

void *heap_realloc(void *ptr, size_t size)
{
	uint64_t entry;
	size_t had;
	void *block;

	if (ptr == NULL)
		return heap_malloc(size);
	if (size > PTRDIFF_MAX)
		return NULL;
	entry = block_entry(ptr, "realloc(): invalid pointer");
	had = entry_bytes(entry);
	if (page_map_class(entry) == 0) {
		block = size > LARGE_BYTES_MIN ? large_resize(ptr, entry, size) : NULL;
		growth_settle();
		if (block != NULL)
			return block;
	} else if (size <= had && size >= had / SHRINK_DIVISOR) {
		return ptr;
	}
	block = heap_malloc(size);
	if (block == NULL)
		return size <= had ? ptr : NULL;
	memcpy(block, ptr, size < had ? size : had);
	heap_free(ptr);
	return block;
}

_Static_assert(FIGURES_BYTES(FIGURES_RELEASED) == HEAP_CAUSES * sizeof(uint64_t),
	"each cause has a figure");

static void scavenge_read(struct heap_stats *stats)
{
	struct scavenge_stats passes;

	scavenge_stats(&passes);
	stats->released_background_bytes = passes.released_bytes[HEAP_BACKGROUND];
	stats->released_growth_bytes = passes.released_bytes[HEAP_GROWTH];
	stats->released_lazy_bytes = passes.released_bytes[HEAP_BY_LAZY];
	stats->released_eager_bytes = passes.released_bytes[HEAP_BY_EAGER];
	stats->released_full_bytes = passes.released_bytes[HEAP_BY_FULL];
	stats->advise_calls = passes.advise_calls;
	stats->advise_ns = passes.advise_ns;
}

static void background_read(struct heap_stats *stats)
{
	struct background_stats background;

	background_stats(&background);
	stats->break_even_ns = background.break_even_ns;
	stats->background_cpu_ns = background.cpu_ns;
	stats->free_page_ns = background.costs.free_page_ns[RUN_16_PAGES];
	stats->dontneed_page_ns = background.costs.dontneed_page_ns[RUN_16_PAGES];
	stats->refault_page_ns = background.costs.refault_page_ns;
	stats->refault_huge_page_ns = background.costs.refault_huge_page_ns;
}

void heap_stats_read(struct heap_stats *stats)
{
	struct central_stats slots;
	struct page_stats pages;
	struct lock_stats locks;
	uint64_t cached_slots;
	uint64_t cached_bytes;
	uint64_t kept_blocks;
	uint64_t kept_bytes;

	memset(stats, 0, sizeof *stats);
	cache_stats(&cached_slots, &cached_bytes);
	cache_run_stats(&kept_blocks, &kept_bytes);
	central_stats(&slots);
	large_stats(&stats->large_blocks, &stats->large_bytes);
	page_heap_stats(&pages);
	stats->in_use_bytes = (pages.in_use + pages.mapped) * PAGE_BYTES;
	stats->idle_dirty_bytes = pages.dirty * PAGE_BYTES;
	stats->lazy_bytes = pages.lazy * PAGE_BYTES;
	stats->clean_bytes = pages.clean * PAGE_BYTES;
	stats->metadata_bytes = pages.metadata * PAGE_BYTES + meta_bytes();
	stats->mapped_bytes = (pages.committed + pages.mapped) * PAGE_BYTES + stats->metadata_bytes;
	stats->peak_in_use_bytes = pages.peak_in_use * PAGE_BYTES;
	stats->refault_bytes = pages.refaulted * PAGE_BYTES;
	stats->refault_touched_bytes = pages.refaulted_touched * PAGE_BYTES;
	stats->regret_release_bytes = pages.regret_release * PAGE_BYTES;
	stats->regret_hold_bytes = pages.regret_hold * PAGE_BYTES;
	stats->huge_bytes = pages.huge * CHUNK_BYTES;
	stats->huge_broken = pages.huge_broken;
	stats->huge_filled = pages.huge_filled;
	stats->free_slot_bytes = slots.ready_bytes + cached_bytes + kept_bytes;
	stats->blocks = stats->large_blocks;
	/* The counts are read one after the other while others change them. */
	if (slots.used_slots > cached_slots)
		stats->blocks += slots.used_slots - cached_slots;
	scavenge_read(stats);
	background_read(stats);
	lock_stats(&locks);
	stats->lock_waits = locks.waits;
	stats->lock_wait_ns = locks.wait_ns;
	stats->lock_wait_max_ns = locks.wait_max_ns;
}

void heap_fork_prepare(void)
{
	transit_stop(heap_is_inside());
	locks_take_for_fork();
	cache_fork_prepare();
}

void heap_fork_parent(void)
{
	cache_fork_done();
	locks_drop_in_parent();
	transit_resume();
}

void heap_fork_child(void)
{
	bool inside = lock_is_any_kept();

	lock_fork_child();
	cache_fork_child();
	locks_drop_in_child();
	transit_after_fork();
	transit_resume();
	scavenge_after_fork();
	background_after_fork();
	huge_after_fork();
	cache_after_fork(inside);
}

bool heap_is_inside(void)
{
	return locks_is_any_mine();
}
