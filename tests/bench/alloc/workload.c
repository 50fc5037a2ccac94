#include "tests/bench/alloc/workload.h"

#include <stdlib.h>

size_t work_divisor = 1;

uint64_t random_step(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

void *block_take(size_t bytes)
{
	volatile char *block = malloc(bytes);

	if (block == NULL)
		abort();
	block[0] = 1;
	block[bytes - 1] = 1;
	return (void *)block;
}
