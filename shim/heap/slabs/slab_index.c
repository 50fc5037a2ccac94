/* Sets of slabs by address, as bits. */
#include "shim/heap/slabs/slab_index.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/base/os.h"
#include "shim/heap/pages/page_map.h"

/* 64 blocks, and for each set a bit for each of them. */
struct group {
	struct slab_block *_Atomic blocks[64];
	uint64_t sets[SLAB_ROWS];
};

#define GROUPS_MAX (SLAB_BLOCKS_MAX / 64)

/* Few heaps need more than the first. */
static struct group first_group;
static struct group *_Atomic groups[GROUPS_MAX];
static _Atomic uint32_t block_count;

static struct group *group_of(size_t number)
{
	if (number < 64)
		return &first_group;
	return atomic_load_explicit(&groups[number / 64], memory_order_acquire);
}

static void *map(size_t bytes)
{
	void *start = os_reserve(bytes, PAGE_BYTES);

	if (start == NULL || os_commit(start, bytes) == 0)
		return start;
	os_unreserve(start, bytes);
	return NULL;
}

static size_t whole_pages(size_t bytes)
{
	return round_up(bytes, os_page_bytes());
}

/* Two threads may want the same at once: the later one's goes again. */
static bool group_cover(size_t number)
{
	size_t bytes = whole_pages(sizeof(struct group));
	struct group *none = NULL;
	struct group *group;

	if (group_of(number) != NULL)
		return true;
	group = map(bytes);
	if (group == NULL)
		return false;
	if (!atomic_compare_exchange_strong(&groups[number / 64], &none, group))
		os_unreserve(group, bytes);
	return true;
}

static bool part_cover(struct slab_block *block, size_t number)
{
	size_t bytes = whole_pages(sizeof(struct slab_part));
	struct slab_part *none = NULL;
	struct slab_part *part;

	if (atomic_load_explicit(&block->parts[number], memory_order_acquire) != NULL)
		return true;
	part = map(bytes);
	if (part == NULL)
		return false;
	if (!atomic_compare_exchange_strong(&block->parts[number], &none, part))
		os_unreserve(part, bytes);
	return true;
}

_Static_assert(sizeof(struct slab_block) <= PAGE_MAP_BEHIND_BYTES, "a block fits behind its leaf");
_Static_assert(offsetof(struct slab_block, start) == 0, "the page map writes it");
_Static_assert(sizeof(struct slab_part) <= SLAB_PART_CHUNKS * PAGE_MAP_CHUNK_BYTES,
	"the page heap counts no less");

static struct slab_block *block_of(uintptr_t address)
{
	return page_map_behind_leaf((const void *)address);
}

static size_t row_of(enum slab_kind kind, unsigned size_class)
{
	return size_class * (size_t)SLAB_KINDS + kind;
}

static size_t chunk_of(uintptr_t address)
{
	return address / CHUNK_BYTES % SLAB_BLOCK_CHUNKS;
}

/* The word of a chunk and a set that is covered. */
static uint64_t *slabs_of(const struct slab_block *block, size_t chunk, size_t row)
{
	struct slab_part *part =
		atomic_load_explicit(&block->parts[chunk / SLAB_PART_CHUNKS], memory_order_acquire);

	return &part->slabs[chunk % SLAB_PART_CHUNKS][row];
}

bool slab_index_cover(uintptr_t start)
{
	struct slab_block *block = block_of(start);
	uint32_t none = 0;
	uint32_t number;

	if (!part_cover(block, chunk_of(start) / SLAB_PART_CHUNKS))
		return false;
	if (atomic_load_explicit(&block->number, memory_order_acquire) != 0)
		return true;
	/* Two threads may be here at once: then one number goes unused. */
	number = atomic_load_explicit(&block_count, memory_order_relaxed);
	do {
		if (number == SLAB_BLOCKS_MAX || !group_cover(number))
			return false;
	} while (!atomic_compare_exchange_weak(&block_count, &number, number + 1));
	atomic_store_explicit(&group_of(number)->blocks[number % 64], block, memory_order_release);
	atomic_compare_exchange_strong(&block->number, &none, number + 1);
	return true;
}

/* Where a slab's bit is. */
struct place {
	struct slab_block *block;
	size_t chunk;
	size_t row;
	uint64_t *slabs;
	uint64_t bit;
};

static struct place place_of(enum slab_kind kind, const struct span *span)
{
	struct slab_block *block = block_of(span->start);
	size_t page = (span->start >> PAGE_SHIFT) & (PAGE_MAP_LEAF_PAGES - 1);
	size_t row = row_of(kind, span->size_class);

	return (struct place){
		.block = block,
		.chunk = page / CHUNK_PAGES,
		.row = row,
		.slabs = slabs_of(block, page / CHUNK_PAGES, row),
		.bit = (uint64_t)1 << page % CHUNK_PAGES / SLAB_GRAIN_PAGES,
	};
}

void slab_set_add(enum slab_kind kind, const struct span *span)
{
	struct place at = place_of(kind, span);
	uint32_t number = atomic_load_explicit(&at.block->number, memory_order_relaxed) - 1;

	*at.slabs |= at.bit;
	at.block->chunks[at.row][at.chunk / 64] |= (uint64_t)1 << at.chunk % 64;
	group_of(number)->sets[at.row] |= (uint64_t)1 << number % 64;
}

void slab_set_remove(enum slab_kind kind, const struct span *span)
{
	struct place at = place_of(kind, span);
	uint32_t number = atomic_load_explicit(&at.block->number, memory_order_relaxed) - 1;
	uint64_t left = 0;

	*at.slabs &= ~at.bit;
	if (*at.slabs != 0)
		return;
	at.block->chunks[at.row][at.chunk / 64] &= ~((uint64_t)1 << at.chunk % 64);
	for (size_t i = 0; i < SLAB_BLOCK_CHUNKS / 64; i++)
		left |= at.block->chunks[at.row][i];
	if (left == 0)
		group_of(number)->sets[at.row] &= ~((uint64_t)1 << number % 64);
}

bool slab_set_has(enum slab_kind kind, const struct span *span)
{
	struct place at = place_of(kind, span);

	return (*at.slabs & at.bit) != 0;
}

static uint64_t sets_of(size_t number, size_t row)
{
	return group_of(number)->sets[row];
}

struct span *slab_set_lowest(enum slab_kind kind, unsigned size_class)
{
	size_t row = row_of(kind, size_class);
	size_t numbers = atomic_load_explicit(&block_count, memory_order_relaxed);
	const struct slab_block *block;
	size_t number = 0;
	size_t chunk;
	size_t page;

	while (number < numbers && sets_of(number, row) == 0)
		number += 64;
	if (number >= numbers)
		return NULL;
	number += bits_lowest(sets_of(number, row));
	block = atomic_load_explicit(&group_of(number)->blocks[number % 64], memory_order_acquire);
	chunk = bits_next(block->chunks[row], 0, SLAB_BLOCK_CHUNKS, true);
	/* The last of the eight pages in which the slab begins is the slab's for sure. */
	page = (bits_lowest(*slabs_of(block, chunk, row)) + 1) * SLAB_GRAIN_PAGES - 1;
	return page_map_span(page_map_get(
		(const void *)(block->start + chunk * CHUNK_BYTES + page * PAGE_BYTES)));
}
