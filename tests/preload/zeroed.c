#include "tests/preload/check.h"

#include <malloc.h>

/* calloc gives zeros, whatever was there before: dirty, given back in part or whole, or new. */
#define COUNT 4

static void check_zero(const unsigned char *block, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		CHECK(block[i] == 0);
}

static void check_size(size_t size, bool trim)
{
	unsigned char *dirty[COUNT];
	unsigned char *blocks[COUNT];

	for (int i = 0; i < COUNT; i++) {
		dirty[i] = check_opaque(malloc(size));
		CHECK(dirty[i] != NULL);
		memset(dirty[i], 0xa5, malloc_usable_size(dirty[i]));
	}
	for (int i = 0; i < COUNT; i++)
		free(dirty[i]);
	if (trim)
		malloc_trim(0);
	for (int i = 0; i < COUNT; i++) {
		blocks[i] = check_opaque(i % 2 == 0 ? calloc(1, size) : calloc(size, 1));
		CHECK(blocks[i] != NULL);
		check_zero(blocks[i], size);
		memset(blocks[i], 0x5a, malloc_usable_size(blocks[i]));
	}
	for (int i = 0; i < COUNT; i++)
		free(blocks[i]);
}

/* Half of a dirty block goes back by realloc, and comes again. */
static void check_tails(void)
{
	for (size_t size = 64 * KIB; size <= MIB; size += 61 * KIB) {
		unsigned char *block = check_opaque(malloc(size));
		unsigned char *tail;

		memset(block, 0xa5, malloc_usable_size(block));
		block = check_opaque(realloc(block, size / 2));
		tail = check_opaque(calloc(1, size / 2));
		check_zero(tail, size / 2);
		free(tail);
		free(block);
	}
}

int main(void)
{
	for (size_t size = 1; size <= MIB; size += size < 2100 ? 1 : size / 211)
		check_size(size, false);
	for (size_t size = 1; size <= MIB; size += size / 11 + 1)
		check_size(size, true);
	for (size_t size = 64; size <= 64 * MIB; size *= 2) {
		check_size(size - 1, false);
		check_size(size, false);
		check_size(size + 1, true);
	}
	check_tails();
	return 0;
}
