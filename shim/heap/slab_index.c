#include "shim/heap/slab_index.h"

#include "shim/heap/bits.h"
#include "shim/heap/page_map.h"

static struct slab_block *_Atomic blocks[SLAB_BLOCKS_MAX];
static _Atomic uint32_t block_count;

/* For each set a bit for each block; those of 64 blocks together, for few heaps have more. */
static uint64_t heap_blocks[SLAB_BLOCKS_MAX / 64][SLAB_ROWS];

static struct slab_block *block_of(uintptr_t address)
{
	return page_map_behind_leaf((const void *)address);
}

static size_t row_of(enum slab_kind kind, unsigned size_class)
{
	return size_class * (size_t)SLAB_KINDS + kind;
}

bool slab_index_cover(uintptr_t start)
{
	struct slab_block *block = block_of(start);
	uint32_t none = 0;
	uint32_t number;

	if (atomic_load_explicit(&block->number, memory_order_acquire) != 0)
		return true;
	/* Two threads may be here at once: then one number goes unused. */
	number = atomic_load_explicit(&block_count, memory_order_relaxed);
	do {
		if (number == SLAB_BLOCKS_MAX)
			return false;
	} while (!atomic_compare_exchange_weak(&block_count, &number, number + 1));
	atomic_store_explicit(&blocks[number], block, memory_order_release);
	atomic_compare_exchange_strong(&block->number, &none, number + 1);
	return true;
}

/* Where a slab's bit is. */
struct place {
	struct slab_block *block;
	size_t chunk;
	size_t row;
	uint64_t bit;
};

static struct place place_of(enum slab_kind kind, const struct span *span)
{
	struct slab_block *block = block_of(span->start);
	size_t page = (span->start >> PAGE_SHIFT) & (PAGE_MAP_LEAF_PAGES - 1);

	return (struct place){
		.block = block,
		.chunk = page / CHUNK_PAGES,
		.row = row_of(kind, span->size_class),
		.bit = (uint64_t)1 << page % CHUNK_PAGES / SLAB_GRAIN_PAGES,
	};
}

void slab_set_add(enum slab_kind kind, const struct span *span)
{
	struct place at = place_of(kind, span);
	uint32_t number = atomic_load_explicit(&at.block->number, memory_order_relaxed) - 1;

	at.block->slabs[at.chunk][at.row] |= at.bit;
	at.block->chunks[at.row][at.chunk / 64] |= (uint64_t)1 << at.chunk % 64;
	heap_blocks[number / 64][at.row] |= (uint64_t)1 << number % 64;
}

void slab_set_remove(enum slab_kind kind, const struct span *span)
{
	struct place at = place_of(kind, span);
	uint32_t number = atomic_load_explicit(&at.block->number, memory_order_relaxed) - 1;
	uint64_t left = 0;

	at.block->slabs[at.chunk][at.row] &= ~at.bit;
	if (at.block->slabs[at.chunk][at.row] != 0)
		return;
	at.block->chunks[at.row][at.chunk / 64] &= ~((uint64_t)1 << at.chunk % 64);
	for (size_t i = 0; i < SLAB_BLOCK_CHUNKS / 64; i++)
		left |= at.block->chunks[at.row][i];
	if (left == 0)
		heap_blocks[number / 64][at.row] &= ~((uint64_t)1 << number % 64);
}

bool slab_set_has(enum slab_kind kind, const struct span *span)
{
	struct place at = place_of(kind, span);

	return (at.block->slabs[at.chunk][at.row] & at.bit) != 0;
}

struct span *slab_set_lowest(enum slab_kind kind, unsigned size_class)
{
	size_t row = row_of(kind, size_class);
	size_t numbers = atomic_load_explicit(&block_count, memory_order_relaxed);
	const struct slab_block *block;
	size_t number = 0;
	size_t chunk;
	size_t page;

	while (number < numbers && heap_blocks[number / 64][row] == 0)
		number += 64;
	if (number >= numbers)
		return NULL;
	number += bits_lowest(heap_blocks[number / 64][row]);
	block = atomic_load_explicit(&blocks[number], memory_order_acquire);
	chunk = bits_next(block->chunks[row], 0, SLAB_BLOCK_CHUNKS, true);
	/* The last of the eight pages in which the slab begins is the slab's for sure. */
	page = (bits_lowest(block->slabs[chunk][row]) + 1) * SLAB_GRAIN_PAGES - 1;
	return page_map_span(page_map_get(
		(const void *)(block->start + chunk * CHUNK_BYTES + page * PAGE_BYTES)));
}
