#include "tests/bench/alloc/workload.h"

#include <stdlib.h>
#include <string.h>

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

/* As often each doubling of a size. */
void large_to_4_mib(void)
{
	static void *blocks[60];
	uint64_t seed = 14;

	for (size_t i = 0; i < 60000 / work_divisor; i++) {
		uint64_t random = random_step(&seed);
		void **block = &blocks[random % 60];
		size_t least = (size_t)(128 << 10) << (random >> 8) % 5;
		size_t bytes = least + (random >> 16) % least;
		char *start;

		free(*block);
		start = *block = block_take(bytes);
		for (size_t at = 0; at < bytes; at += (size_t)4 * PAGE)
			start[at] = 1;
	}
	free_all(blocks, 60);
}

/* So many bytes more, by a part of what there is, all of them written. */
static void append(char **start, size_t *bytes, size_t part)
{
	size_t before = *bytes;

	*bytes += *bytes / part;
	*start = realloc(*start, *bytes);
	if (*start == NULL)
		abort();
	memset(*start + before, 1, *bytes - before);
}

/* A buffer alone, then two in turn. */
void regrow(void)
{
	for (size_t buffers = 1; buffers <= 2; buffers++) {
		char *starts[2] = {NULL};
		size_t bytes[2] = {0};
		size_t most = ((size_t)256 << 20) / buffers;

		for (size_t i = 0; i < buffers; i++) {
			bytes[i] = 1 << 20;
			starts[i] = memset(block_take(bytes[i]), 1, bytes[i]);
		}
		while (bytes[0] < most)
			for (size_t i = 0; i < buffers; i++)
				append(&starts[i], &bytes[i], 16);
		free_all((void **)starts, buffers);
	}
}
