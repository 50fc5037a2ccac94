#include "tests/preload/check.h"

/* Runs before the constructors of every library but the very first. */
static char *early[1000];

static void allocate_early(void)
{
	for (size_t i = 0; i < 1000; i++) {
		early[i] = check_opaque(malloc(i * 7));
		memset(early[i], (int)i, i * 7);
	}
}

__attribute__((section(".preinit_array"), used)) static void (*const first)(void) = allocate_early;

int main(void)
{
	for (size_t i = 0; i < 1000; i++) {
		early[i] = realloc(early[i], i * 9 + 1);
		CHECK(i == 0 || early[i][i * 7 - 1] == (char)i);
		free(early[i]);
	}
	return 0;
}
