/*
 * A service that does what its stdin says, a word a line, and answers with a line:
 *
 *   sparse MIB
 *     fill     MIB in blocks small and large, all of them written to
 *     thin     frees all but one small block in each 2 MiB of addresses; says how many are left
 *     empty    frees the rest
 *     lazy, eager, full    asks its own heap for one release at that level
 *     stats    what the heap says of itself, in MiB; all of it goes to stderr
 *
 * The blocks' addresses are kept outside the heap.  It ends with its stdin.
 */
#include "shim/spillway.h"

#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MIB ((size_t)1 << 20)
#define HUGE_SHIFT 21
#define BLOCKS_MAX ((size_t)1 << 20)
#define SMALL_BYTES_MAX 256U

struct block {
	unsigned char *at;
	size_t bytes;
};

static struct block *blocks;
static size_t count;
static uint64_t seed = 1;

static size_t random_below(size_t limit)
{
	seed = seed * 6364136223846793005U + 1442695040888963407U;
	return (size_t)(seed >> 33) % limit;
}

/* As many bytes in blocks of up to 4 KiB as in larger ones of up to 1 MiB. */
static void fill(size_t bytes)
{
	size_t small = 0;
	size_t large = 0;

	while (small + large < bytes && count < BLOCKS_MAX) {
		struct block *block = &blocks[count++];
		block->bytes = (size_t)16 << random_below(9);
		if (large < small)
			block->bytes = (size_t)8192 << random_below(8);
		block->at = malloc(block->bytes);
		if (block->at == NULL)
			exit(3);
		memset(block->at, 1, block->bytes);
		*(block->bytes > 4096 ? &large : &small) += block->bytes;
	}
	printf("filled %zu\n", (small + large) / MIB);
}

static void thin(void)
{
	static uintptr_t kept[BLOCKS_MAX >> 6];
	size_t left = 0;

	for (size_t i = 0; i < count; i++) {
		uintptr_t huge = (uintptr_t)blocks[i].at >> HUGE_SHIFT;
		size_t k = 0;
		while (k < left && kept[k] != huge)
			k++;
		if (k == left && blocks[i].bytes <= SMALL_BYTES_MAX) {
			kept[left] = huge;
			blocks[left++] = blocks[i];
		} else {
			free(blocks[i].at);
		}
	}
	count = left;
	printf("left %zu\n", left);
}

static void empty(void)
{
	for (size_t i = 0; i < count; i++) {
		for (size_t k = 0; k < blocks[i].bytes; k++)
			if (blocks[i].at[k] != 1)
				exit(4);
		free(blocks[i].at);
	}
	count = 0;
	printf("empty\n");
}

static void release(enum spillway_level level)
{
	if (!spillway_is_loaded())
		exit(5);
	spillway_set_level(level);
	spillway_set_level(SPILLWAY_CALM);
	printf("asked\n");
}

static void say_stats(void)
{
	struct spillway_stats stats;
	malloc_stats();
	spillway_stats(&stats, sizeof stats);
	printf("in_use=%zu dirty=%zu lazy=%zu clean=%zu advise_ms=%zu calls=%zu\n",
		(size_t)stats.in_use_bytes / MIB, (size_t)stats.idle_dirty_bytes / MIB,
		(size_t)stats.lazy_bytes / MIB, (size_t)stats.clean_bytes / MIB,
		(size_t)stats.advise_ns / 1000000, (size_t)stats.advise_calls);
}

int main(int arguments, char **argument)
{
	static const char *const levels[] = {"calm", "lazy", "eager", "full"};
	static char in[BUFSIZ];
	static char out[BUFSIZ];
	char word[16];
	if (arguments != 2) {
		fprintf(stderr, "usage: sparse MIB\n");
		return 2;
	}
	setvbuf(stdin, in, _IOFBF, sizeof in);
	setvbuf(stdout, out, _IOLBF, sizeof out);
	blocks = mmap(NULL, BLOCKS_MAX * sizeof *blocks, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (blocks == MAP_FAILED)
		return 3;
	madvise(blocks, BLOCKS_MAX * sizeof *blocks, MADV_NOHUGEPAGE);
	while (scanf("%15s", word) == 1) {
		if (strcmp(word, "fill") == 0)
			fill(strtoul(argument[1], NULL, 10) * MIB);
		else if (strcmp(word, "thin") == 0)
			thin();
		else if (strcmp(word, "empty") == 0)
			empty();
		else if (strcmp(word, "stats") == 0)
			say_stats();
		for (int i = SPILLWAY_LAZY; i <= SPILLWAY_FULL; i++)
			if (strcmp(word, levels[i]) == 0)
				release((enum spillway_level)i);
	}
	return 0;
}
