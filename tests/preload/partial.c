/* A program that defines malloc and free itself, by the names that glibc has for its own. */
#include "tests/preload/check.h"

#include <malloc.h>

void *__libc_malloc(size_t size);                     /* NOLINT(bugprone-reserved-identifier) */
void *__libc_calloc(size_t count, size_t size);       /* NOLINT(bugprone-reserved-identifier) */
void *__libc_realloc(void *block, size_t size);       /* NOLINT(bugprone-reserved-identifier) */
void *__libc_memalign(size_t alignment, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void __libc_free(void *block);                        /* NOLINT(bugprone-reserved-identifier) */

static size_t mallocs;
static size_t frees;

void *malloc(size_t size)
{
	mallocs++;
	return __libc_malloc(size);
}

void free(void *block)
{
	frees++;
	__libc_free(block);
}

int main(void)
{
	void *block;

	for (size_t size = 1; size < MIB; size *= 3) {
		free(check_opaque(calloc(1, size)));
		free(check_opaque(memalign(256, size)));
		free(check_opaque(realloc(malloc(size), 2 * size)));
		free(check_opaque(__libc_realloc(__libc_calloc(1, size), 3 * size)));
		block = check_opaque(__libc_memalign(128, size));
		CHECK(malloc_usable_size(block) >= size);
		free(block);
		CHECK(posix_memalign(&block, 64, size) == 0);
		__libc_free(block);
		free(check_opaque(strdup("a block that libc asked for")));
	}
	CHECK(mallocs > 0 && frees > mallocs);
	return 0;
}
