#include "tests/bench/alloc/workload.h"

#include <stdlib.h>

#define PAGE 4096U

static void free_all(void **blocks, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
}

void large(void)
{
	static void *blocks[100];
	uint64_t seed = 3;

	for (size_t i = 0; i < 150000 / work_divisor; i++) {
		void **block = &blocks[random_step(&seed) % 100];
		size_t most = i % 4 == 0 ? 4000000 : 300000;
		size_t bytes = 32768 + random_step(&seed) % most;
		char *start;

		free(*block);
		start = *block = block_take(bytes);
		for (size_t at = 0; at < bytes; at += bytes / 8 + PAGE)
			start[at] = 1;
	}
	free_all(blocks, 100);
}
