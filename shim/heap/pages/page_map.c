/* Address to span. */
#include "shim/heap/pages/page_map.h"

#include "shim/heap/base/os.h"
#include "shim/heap/base/size_class.h"

_Atomic(_Atomic uint64_t *) page_map_root[PAGE_MAP_ROOTS];

bool page_map_cover(uintptr_t start, size_t bytes)
{
	size_t entry_bytes = PAGE_MAP_LEAF_PAGES * sizeof(uint64_t);
	size_t leaf_bytes = entry_bytes + round_up(PAGE_MAP_BEHIND_BYTES, os_page_bytes());

	for (uintptr_t at = start >> PAGE_MAP_LEAF_SHIFT;
		at <= (start + bytes - 1) >> PAGE_MAP_LEAF_SHIFT; at++) {
		unsigned char *leaf;

		if (atomic_load_explicit(&page_map_root[at], memory_order_relaxed) != NULL)
			continue;
		leaf = os_reserve(leaf_bytes, PAGE_BYTES);
		if (leaf == NULL)
			return false;
		if (os_commit(leaf, leaf_bytes) != 0) {
			os_unreserve(leaf, leaf_bytes);
			return false;
		}
		*(uintptr_t *)(void *)(leaf + entry_bytes) = at << PAGE_MAP_LEAF_SHIFT;
		atomic_store_explicit(&page_map_root[at], (void *)leaf, memory_order_release);
	}
	return true;
}

void *page_map_behind_leaf(const void *address)
{
	return atomic_load_explicit(&page_map_root[(uintptr_t)address >> PAGE_MAP_LEAF_SHIFT],
		       memory_order_acquire) +
	       PAGE_MAP_LEAF_PAGES;
}

static _Atomic uint64_t *page_map_entry(uintptr_t at)
{
	_Atomic uint64_t *leaf = atomic_load_explicit(
		&page_map_root[at >> PAGE_MAP_LEAF_SHIFT], memory_order_relaxed);

	return &leaf[at >> PAGE_SHIFT & (PAGE_MAP_LEAF_PAGES - 1)];
}

/* Where in its slot a slab's page begins, as far as a slot may begin in another page. */
static uint64_t phase_of(unsigned size_class, size_t page)
{
	const struct size_class *class = &size_classes[size_class];

	if (size_class == 0)
		return 0;
	page -= size_class_group(class, page) * class->group_pages;
	return page * PAGE_BYTES % class->bytes / PAGE_MAP_PHASE_BYTES;
}

void page_map_set(uintptr_t start, size_t pages, struct span *span, unsigned size_class)
{
	uint64_t named = (uint64_t)(uintptr_t)span * 2 | size_class;

	for (size_t i = 0; i < pages; i++) {
		uint64_t entry = 0;

		if (span != NULL)
			entry = named | phase_of(size_class, i) << PAGE_MAP_PHASE_SHIFT;
		atomic_store_explicit(
			page_map_entry(start + i * PAGE_BYTES), entry, memory_order_release);
	}
}

void page_map_touch(uintptr_t start, size_t pages)
{
	/* Entries of a run no longer than a chunk lie in two pages at most. */
	page_map_set(start, 1, NULL, 0);
	page_map_set(start + (pages - 1) * PAGE_BYTES, 1, NULL, 0);
}

struct os_range page_map_of_chunk(uintptr_t start)
{
	_Static_assert(
		CHUNK_PAGES * sizeof(uint64_t) == PAGE_BYTES, "a chunk's entries fill a page");

	return (struct os_range){.start = (void *)page_map_entry(start), .bytes = PAGE_BYTES};
}

bool page_map_claim(uintptr_t start, uint64_t entry)
{
	return atomic_compare_exchange_strong_explicit(
		page_map_entry(start), &entry, 0, memory_order_acq_rel, memory_order_relaxed);
}

bool page_map_keep(uintptr_t start, uint64_t entry)
{
	return !page_map_is_kept(entry) &&
	       atomic_compare_exchange_strong_explicit(page_map_entry(start), &entry,
		       entry | PAGE_MAP_KEPT, memory_order_acq_rel, memory_order_relaxed);
}

void page_map_unkeep(uintptr_t start)
{
	_Atomic uint64_t *entry = page_map_entry(start);

	atomic_store_explicit(entry,
		atomic_load_explicit(entry, memory_order_relaxed) & ~PAGE_MAP_KEPT,
		memory_order_release);
}
