#include "tests/bench/alloc/workload.h"

#include <stdlib.h>
#include <string.h>

static void free_all(void **blocks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(blocks[i]);
		blocks[i] = NULL;
	}
}

void churn(void)
{
	static void *blocks[10000];
	uint64_t seed = 1;

	for (size_t i = 0; i < 12000000 / work_divisor; i++) {
		void **block = &blocks[random_step(&seed) % 10000];

		free(*block);
		*block = block_take(16 + random_step(&seed) % 1000);
	}
	free_all(blocks, 10000);
}

void lifo(void)
{
	void *blocks[64];

	for (size_t round = 0; round < 500000 / work_divisor; round++) {
		for (size_t i = 0; i < 64; i++)
			blocks[i] = block_take(16 + i % 8 * 16);
		for (size_t i = 64; i > 0; i--)
			free(blocks[i - 1]);
	}
}

void grow(void)
{
	char *vectors[8] = {0};
	size_t bytes[8] = {0};
	uint64_t seed = 2;

	for (size_t i = 0; i < 25000 / work_divisor; i++) {
		size_t k = random_step(&seed) % 8;
		size_t more = bytes[k] != 0 ? bytes[k] / 2 : 16 + random_step(&seed) % 100;

		if (bytes[k] + more > 4000000) {
			free(vectors[k]);
			vectors[k] = NULL;
			bytes[k] = 0;
			continue;
		}
		vectors[k] = realloc(vectors[k], bytes[k] + more);
		memset(vectors[k] + bytes[k], 1, more);
		bytes[k] += more;
	}
	free_all((void **)vectors, 8);
}

void zeroed(void)
{
	static void *blocks[500];
	uint64_t seed = 4;

	for (size_t i = 0; i < 1500000 / work_divisor; i++) {
		void **block = &blocks[random_step(&seed) % 500];
		size_t most = random_step(&seed) % 20 == 0 ? 262144 : 2000;
		size_t bytes = 1 + random_step(&seed) % most;

		free(*block);
		*block = calloc(1, bytes);
		if (((char *)*block)[bytes / 2] != 0)
			abort();
		memset(*block, 1, bytes);
	}
	free_all(blocks, 500);
}

void aligned(void)
{
	static void *blocks[2000];
	uint64_t seed = 5;

	for (size_t i = 0; i < 4000000 / work_divisor; i++) {
		void **block = &blocks[random_step(&seed) % 2000];
		size_t alignment = (size_t)32 << random_step(&seed) % 8;

		free(*block);
		if (posix_memalign(block, alignment, 1 + random_step(&seed) % 1000) != 0)
			abort();
		*(volatile char *)*block = 1;
	}
	free_all(blocks, 2000);
}

void fragment(void)
{
	static void *blocks[100000];
	uint64_t seed = 6;

	for (size_t phase = 0; phase < 16; phase++) {
		size_t least = phase % 2 != 0 ? 300 : 16;
		size_t spread = phase % 2 != 0 ? 2000 : 400;

		for (size_t i = 0; i < 100000; i++) {
			size_t bytes = least + random_step(&seed) % spread;

			if (blocks[i] == NULL)
				blocks[i] = memset(block_take(bytes), 1, bytes);
		}
		for (size_t i = 0; i < 100000; i++) {
			if (random_step(&seed) % 2 == 0)
				continue;
			free(blocks[i]);
			blocks[i] = NULL;
		}
	}
	free_all(blocks, 100000);
}
