#include "tests/bench/alloc/workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILLED ((size_t)24 << 20)

static size_t resident_bytes(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (statm == NULL || fscanf(statm, "%*u %lu", &pages) != 1)
		abort();
	fclose(statm);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* What is resident for each byte asked for. */
static double cost_of(size_t bytes)
{
	size_t count = FILLED / bytes;
	void **blocks = malloc(count * sizeof *blocks);
	size_t before;
	double cost;

	if (blocks == NULL)
		abort();
	/* Resident before; of zeros the compiler would make a calloc. */
	memset(blocks, 1, count * sizeof *blocks);
	before = resident_bytes();
	for (size_t i = 0; i < count; i++)
		blocks[i] = memset(block_take(bytes), 1, bytes);
	cost = (double)(resident_bytes() - before) / (double)(count * bytes);
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
	free(blocks);
	return cost;
}

void print_cost(size_t bytes)
{
	printf("%.3f\n", cost_of(bytes));
}
