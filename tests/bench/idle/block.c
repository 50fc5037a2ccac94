#include "tests/bench/idle/block.h"

#include "tests/bench/alloc/workload.h"
#include "tests/preload/check.h"

#include <sys/mman.h>

/* Below the mean of block_bytes. */
#define BYTES_AT_LEAST 1400U

size_t block_bytes(uint64_t *seed)
{
	uint64_t dice = random_step(seed) % 1000;

	return dice < 985 ? 16 + random_step(seed) % 2033
			  : 4 * KIB + random_step(seed) % (60 * KIB + 1);
}

void block_write(void *block, size_t bytes)
{
	memset(check_opaque(block), 0x5a, bytes);
}

void *block_make(size_t bytes)
{
	void *block = malloc(bytes);

	CHECK(block != NULL);
	block_write(block, bytes);
	return block;
}

static void *map(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

struct block_table block_table_make(size_t bytes)
{
	size_t room = bytes / BYTES_AT_LEAST;

	return (struct block_table){
		.blocks = map(room * sizeof(void *)),
		.sizes = map(room * sizeof(uint32_t)),
		.room = room,
	};
}

size_t block_table_fill(struct block_table *table, size_t bytes, uint64_t *seed)
{
	size_t made_bytes = 0;

	while (made_bytes < bytes) {
		size_t size = block_bytes(seed);

		CHECK(table->count < table->room);
		table->blocks[table->count] = block_make(size);
		table->sizes[table->count++] = (uint32_t)size;
		made_bytes += size;
	}
	return made_bytes;
}

void block_table_unmap(struct block_table *table)
{
	munmap(table->blocks, table->room * sizeof(void *));
	munmap(table->sizes, table->room * sizeof(uint32_t));
	*table = (struct block_table){.blocks = NULL};
}

uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	CHECK(clock_gettime(clock, &now) == 0);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}
