/* Sets of slabs by address, as bits. */
#include "shim/heap/slabs/slab_index.h"

#include "shim/heap/base/bits.h"
#include "shim/heap/base/os.h"
#include "shim/heap/pages/page_map.h"

/* For each kind of a class a bit for each of 64 blocks. */
struct class_sets {
	_Atomic uint64_t words[SLAB_KINDS];
} __attribute__((aligned(SLAB_LINE_BYTES)));

struct group {
	struct slab_block *_Atomic blocks[64];
	struct class_sets sets[SIZE_CLASSES + 1];
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

static size_t chunk_of(uintptr_t address)
{
	return address / CHUNK_BYTES % SLAB_BLOCK_CHUNKS;
}

/* Words ------------------------------------------------------------------- */

static uint64_t word_get(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void word_put(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

/* Writes to a word without changing it, whoever else writes to it now.  One that is not 0 was
 * written before. */
static void word_touch(_Atomic uint64_t *word)
{
	uint64_t none = 0;

	(void)atomic_compare_exchange_strong_explicit(
		word, &none, 0, memory_order_relaxed, memory_order_relaxed);
}

/* The word of a chunk and a set that is covered. */
static _Atomic uint64_t *slabs_of(
	const struct slab_block *block, size_t chunk, enum slab_kind kind, unsigned size_class)
{
	struct slab_part *part =
		atomic_load_explicit(&block->parts[chunk / SLAB_PART_CHUNKS], memory_order_acquire);
	size_t near = chunk % SLAB_PART_CHUNKS / SLAB_NEAR_CHUNKS;

	return &part->slabs[near][size_class].words[chunk % SLAB_NEAR_CHUNKS][kind];
}

/* The words of the class: of the chunk, of the block's chunks, and of the blocks. */
static void touch(struct slab_block *block, size_t chunk, unsigned size_class)
{
	uint32_t number = atomic_load_explicit(&block->number, memory_order_acquire) - 1;

	for (size_t kind = 0; kind < SLAB_KINDS; kind++) {
		word_touch(slabs_of(block, chunk, (enum slab_kind)kind, size_class));
		word_touch(&block->chunks[size_class].words[kind][chunk / 64]);
		word_touch(&group_of(number)->sets[size_class].words[kind]);
	}
}

/* Covering ---------------------------------------------------------------- */

static bool number_cover(struct slab_block *block)
{
	uint32_t none = 0;
	uint32_t number;

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

bool slab_index_cover(uintptr_t start, unsigned size_class)
{
	struct slab_block *block = block_of(start);
	size_t chunk = chunk_of(start);

	if (!part_cover(block, chunk / SLAB_PART_CHUNKS) || !number_cover(block))
		return false;
	touch(block, chunk, size_class);
	return true;
}

/* Sets -------------------------------------------------------------------- */

/* Where a slab's bit is. */
struct place {
	_Atomic uint64_t *slabs;  /* of its chunk */
	_Atomic uint64_t *chunks; /* of the block, SLAB_BLOCK_CHUNKS / 64 of them */
	_Atomic uint64_t *blocks; /* of the group */
	uint64_t bit;
	size_t chunk;
	uint64_t block_bit;
};

static struct place place_of(enum slab_kind kind, const struct span *span)
{
	struct slab_block *block = block_of(span->start);
	uint32_t number = atomic_load_explicit(&block->number, memory_order_relaxed) - 1;
	size_t page = (span->start >> PAGE_SHIFT) & (PAGE_MAP_LEAF_PAGES - 1);
	unsigned size_class = span->size_class;

	return (struct place){
		.slabs = slabs_of(block, page / CHUNK_PAGES, kind, size_class),
		.chunks = block->chunks[size_class].words[kind],
		.blocks = &group_of(number)->sets[size_class].words[kind],
		.bit = (uint64_t)1 << page % CHUNK_PAGES / SLAB_GRAIN_PAGES,
		.chunk = page / CHUNK_PAGES,
		.block_bit = (uint64_t)1 << number % 64,
	};
}

void slab_set_add(enum slab_kind kind, const struct span *span)
{
	struct place at = place_of(kind, span);
	uint64_t before = word_get(at.slabs);
	_Atomic uint64_t *chunks = &at.chunks[at.chunk / 64];

	word_put(at.slabs, before | at.bit);
	if (before != 0)
		return;
	word_put(chunks, word_get(chunks) | (uint64_t)1 << at.chunk % 64);
	word_put(at.blocks, word_get(at.blocks) | at.block_bit);
}

void slab_set_remove(enum slab_kind kind, const struct span *span)
{
	struct place at = place_of(kind, span);
	uint64_t rest = word_get(at.slabs) & ~at.bit;
	_Atomic uint64_t *chunks = &at.chunks[at.chunk / 64];
	uint64_t left = 0;

	word_put(at.slabs, rest);
	if (rest != 0)
		return;
	word_put(chunks, word_get(chunks) & ~((uint64_t)1 << at.chunk % 64));
	for (size_t i = 0; i < SLAB_BLOCK_CHUNKS / 64; i++)
		left |= word_get(&at.chunks[i]);
	if (left == 0)
		word_put(at.blocks, word_get(at.blocks) & ~at.block_bit);
}

bool slab_set_has(enum slab_kind kind, const struct span *span)
{
	struct place at = place_of(kind, span);

	return (word_get(at.slabs) & at.bit) != 0;
}

static uint64_t sets_of(size_t number, enum slab_kind kind, unsigned size_class)
{
	return word_get(&group_of(number)->sets[size_class].words[kind]);
}

/* The lowest chunk of a block that has slabs of the set. */
static size_t lowest_chunk(const struct slab_block *block, enum slab_kind kind, unsigned size_class)
{
	const _Atomic uint64_t *words = block->chunks[size_class].words[kind];
	size_t i = 0;

	while (i < SLAB_BLOCK_CHUNKS / 64 - 1 && word_get(&words[i]) == 0)
		i++;
	return i * 64 + bits_lowest(word_get(&words[i]));
}

struct span *slab_set_lowest(enum slab_kind kind, unsigned size_class)
{
	size_t numbers = atomic_load_explicit(&block_count, memory_order_relaxed);
	const struct slab_block *block;
	size_t number = 0;
	size_t chunk;
	size_t page;

	while (number < numbers && sets_of(number, kind, size_class) == 0)
		number += 64;
	if (number >= numbers)
		return NULL;
	number += bits_lowest(sets_of(number, kind, size_class));
	block = atomic_load_explicit(&group_of(number)->blocks[number % 64], memory_order_acquire);
	chunk = lowest_chunk(block, kind, size_class);
	/* The last of the eight pages in which the slab begins is the slab's for sure. */
	page = bits_lowest(word_get(slabs_of(block, chunk, kind, size_class)));
	page = (page + 1) * SLAB_GRAIN_PAGES - 1;
	return page_map_span(page_map_get(
		(const void *)(block->start + chunk * CHUNK_BYTES + page * PAGE_BYTES)));
}
