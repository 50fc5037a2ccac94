#include "tests/preload/check.h"

#include <malloc.h>

/* Blocks of random sizes, moved about by realloc; each is full of its own byte to its usable end.
 */
#define BLOCKS 300
#define ROUNDS 20000

static unsigned char *blocks[BLOCKS];
static size_t bytes[BLOCKS];
static unsigned long long state = 88172645463325252ULL;

static size_t next(size_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (size_t)(state % below);
}

static void check_block(size_t i)
{
	for (size_t j = 0; j < bytes[i]; j += j < 64 || j + 65 > bytes[i] ? 1 : 61)
		CHECK(blocks[i][j] == (unsigned char)i);
}

static void fill_block(size_t i)
{
	bytes[i] = malloc_usable_size(blocks[i]);
	memset(blocks[i], (int)i, bytes[i]);
}

int main(void)
{
	for (int round = 0; round < ROUNDS; round++) {
		size_t i = next(BLOCKS);
		size_t size = next(50) == 0 ? next(600 * KIB) : next(next(20) == 0 ? 40000 : 600);

		if (blocks[i] == NULL && next(2) == 0) {
			blocks[i] = check_opaque(calloc(1, size));
			CHECK(blocks[i] != NULL);
			for (size_t j = 0; j < size; j++)
				CHECK(blocks[i][j] == 0);
		} else if (next(3) == 0) {
			check_block(i);
			free(blocks[i]);
			blocks[i] = NULL;
			bytes[i] = 0;
			continue;
		} else {
			blocks[i] = realloc(blocks[i], size + 1);
			CHECK(blocks[i] != NULL);
			if (bytes[i] > size)
				bytes[i] = size;
			check_block(i);
		}
		fill_block(i);
	}
	for (size_t i = 0; i < BLOCKS; i++) {
		check_block(i);
		free(blocks[i]);
	}
	return 0;
}
