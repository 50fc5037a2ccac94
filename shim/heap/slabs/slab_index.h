#ifndef SHIM_HEAP_SLABS_SLAB_INDEX_H
#define SHIM_HEAP_SLABS_SLAB_INDEX_H

#include "shim/heap/base/size_class.h"
#include "shim/heap/pages/span.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Sets of slabs of one class, the lowest by address at hand.
 *
 * Serving from the lowest slab first lets high slabs run empty, and an empty
 * slab is pages that can go back.  No slab has fewer than eight pages, so no two
 * of a class begin in the same eight, and a set is bits by address:
 *
 *	a set           a bit for each block, which is a GiB of address space
 *	slab_block      for each set, a bit for each of its 512 chunks
 *	                for each chunk and set, a bit for each eight pages
 *
 * To add, to remove and to find the lowest are a few words each, however many
 * slabs there are: nobody waits for a lock while a tree is put in order.  The
 * slab itself is not touched, but when it is found, through the page map.
 *
 * Blocks are in the order in which they first had a slab, which is that of their
 * addresses within a region.
 *
 * A block lies behind its leaf of the page map.  The words of its chunks, 1.6 KiB each,
 * are reserved for 32 chunks together, when a slab lies in one of them for the first time,
 * and cost memory only where they are used.
 *
 * A set is its class's and kind's rows of bits, and belongs to whoever holds the
 * lock of the class.  No two classes have words on one cache line: threads that hold the locks
 * of different classes do not slow each other down.  For that, the words of a class for eight
 * chunks lie side by side.
 */
enum slab_kind { SLAB_READY, SLAB_HOLED, SLAB_KINDS };

#define SLAB_GRAIN_PAGES ((size_t)8)
#define SLAB_BLOCK_CHUNKS ((size_t)512)
#define SLAB_PART_CHUNKS ((size_t)32)
#define SLAB_PARTS (SLAB_BLOCK_CHUNKS / SLAB_PART_CHUNKS)
#define SLAB_NEAR_CHUNKS ((size_t)8)
#define SLAB_LINE_BYTES ((size_t)64)

/* Blocks in which slabs may lie: 4 TiB of them. */
#define SLAB_BLOCKS_MAX ((size_t)4096)

/* Words are written with the class's lock held, but for slab_index_cover, which changes none. */
struct slab_near {
	_Atomic uint64_t words[SLAB_NEAR_CHUNKS][SLAB_KINDS];
} __attribute__((aligned(SLAB_LINE_BYTES)));

struct slab_part {
	struct slab_near slabs[SLAB_PART_CHUNKS / SLAB_NEAR_CHUNKS][SIZE_CLASSES + 1];
};

struct slab_chunks {
	_Atomic uint64_t words[SLAB_KINDS][SLAB_BLOCK_CHUNKS / 64];
} __attribute__((aligned(SLAB_LINE_BYTES)));

struct slab_block {
	uintptr_t start;
	_Atomic uint32_t number; /* from 1 on; 0: no slab was here yet */
	struct slab_chunks chunks[SIZE_CLASSES + 1];
	struct slab_part *_Atomic parts[SLAB_PARTS];
};

_Static_assert(offsetof(struct slab_block, chunks) % SLAB_LINE_BYTES == 0, "a line has one class");
_Static_assert(CHUNK_PAGES / SLAB_GRAIN_PAGES == 64, "a chunk's slabs of a set are a word");

/*
 * Before a slab of the class that starts here is added for the first time; false: memory is out, or
 * there are too many blocks.  Makes the words resident that slab_set_add and slab_set_remove will
 * write, so that no first fault happens under the class's lock.
 */
bool slab_index_cover(uintptr_t start, unsigned size_class);

/* A slab that is not in the set; one that is. */
void slab_set_add(enum slab_kind kind, const struct span *span);
void slab_set_remove(enum slab_kind kind, const struct span *span);

bool slab_set_has(enum slab_kind kind, const struct span *span);

/* NULL: the set is empty. */
struct span *slab_set_lowest(enum slab_kind kind, unsigned size_class);

#endif
