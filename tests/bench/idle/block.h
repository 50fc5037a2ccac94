#ifndef TESTS_BENCH_IDLE_BLOCK_H
#define TESTS_BENCH_IDLE_BLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/*
 * What both programs allocate: 98.5 % of the blocks have 16 to 2,048 bytes, the
 * others 4 to 64 KiB, which is a third of the bytes; every byte is written.
 */
size_t block_bytes(uint64_t *seed);
/* Aborts when memory is out. */
void *block_make(size_t bytes);
void block_write(void *block, size_t bytes);

/* Blocks of a thread, in mappings that the allocator knows nothing of. */
struct block_table {
	void **blocks;
	uint32_t *sizes; /* as requested */
	size_t count;
	size_t room;
};

/* An empty table with room for blocks of so many bytes in all. */
struct block_table block_table_make(size_t bytes);
/* Fills it with blocks of at least so many bytes in all and says how many they are. */
size_t block_table_fill(struct block_table *table, size_t bytes, uint64_t *seed);
/* The blocks stay. */
void block_table_unmap(struct block_table *table);

uint64_t clock_ns(clockid_t clock);

#endif
