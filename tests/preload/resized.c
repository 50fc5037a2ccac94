#include "tests/preload/check.h"

#include <malloc.h>
#include <stdint.h>

/* Over every size: blocks are aligned and share no byte, realloc keeps what both sizes have. */
#define LAST (200 * KIB)
#define STEP 331

/* A byte that tells its place, and whose it is. */
static unsigned char byte_at(size_t i, size_t whose)
{
	return (unsigned char)(i * 31 + (i >> 8) + whose);
}

static void fill(unsigned char *block, size_t from, size_t to, size_t whose)
{
	for (size_t i = from; i < to; i++)
		block[i] = byte_at(i, whose);
}

static void check_filled(const unsigned char *block, size_t bytes, size_t whose)
{
	for (size_t i = 0; i < bytes; i++)
		CHECK(block[i] == byte_at(i, whose));
}

static void check_moves(size_t from, size_t to)
{
	unsigned char *block = check_opaque(malloc(from));

	CHECK(block != NULL);
	fill(block, 0, from, from);
	block = check_opaque(realloc(block, to));
	CHECK(block != NULL && malloc_usable_size(block) >= to && (uintptr_t)block % 16 == 0);
	check_filled(block, from < to ? from : to, from);
	memset(block, 0xee, malloc_usable_size(block));
	free(block);
}

static void check_boundaries(void)
{
	for (size_t size = 1; size <= LAST; size += size < 2000 ? 1 : STEP) {
		void *block = check_opaque(malloc(size));
		size_t usable = malloc_usable_size(block);

		free(block);
		check_moves(size, size + 1);
		check_moves(size + 1, size);
		check_moves(size, usable);
		check_moves(usable, usable + 1);
		check_moves(usable + 1, usable);
		check_moves(size, size / 2 + 1);
		check_moves(size, size * 2);
		check_moves(size, 1);
	}
	for (size_t i = 0; i < 9; i++) {
		check_moves(i + 1, 40 * MIB);
		check_moves(LAST << i, 10);
		check_moves(LAST << i, LAST << 8 >> i);
	}
}

/* One block grows and shrinks by every step, with others beside it. */
static void check_ladder(void)
{
	unsigned char *block = NULL;
	void *beside[64] = {NULL};
	size_t had = 0;

	for (size_t size = 1, turn = 0; size <= LAST; size += STEP, turn++) {
		free(beside[turn % 64]);
		beside[turn % 64] = check_opaque(malloc(size / 2));
		block = check_opaque(realloc(block, size));
		CHECK(block != NULL);
		check_filled(block, had, 0);
		fill(block, had, size, 0);
		had = size;
	}
	for (; had > STEP; had -= STEP) {
		block = check_opaque(realloc(block, had - STEP));
		CHECK(block != NULL);
		check_filled(block, had - STEP, 0);
	}
	free(block);
	for (size_t i = 0; i < 64; i++)
		free(beside[i]);
}

static void check_apart(void)
{
	static unsigned char *blocks[20000];
	static size_t sizes[20000];
	size_t count = 0;

	for (size_t size = 0; size < MIB && count < 20000; size += size < 4200 ? 1 : size / 97) {
		for (int twice = 0; twice < 2; twice++, count++) {
			blocks[count] = check_opaque(malloc(size));
			CHECK(blocks[count] != NULL && (uintptr_t)blocks[count] % 16 == 0);
			sizes[count] = malloc_usable_size(blocks[count]);
			CHECK(sizes[count] >= size);
			fill(blocks[count], 0, sizes[count], count);
		}
	}
	for (size_t i = 0; i < count; i++)
		check_filled(blocks[i], sizes[i], i);
	for (size_t i = 0; i < count; i++)
		free(blocks[i * 7919 % count]);
}

int main(void)
{
	check_boundaries();
	check_ladder();
	check_apart();
	return 0;
}
