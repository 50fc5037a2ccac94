#include "tests/preload/check.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>

static void out_of_memory(void *ptr)
{
	CHECK(ptr == NULL && errno == ENOMEM);
	errno = 0;
}

static void check_sizes(void)
{
	void *a = check_opaque(malloc(0));
	void *b = check_opaque(malloc(0));

	CHECK(a != NULL && b != NULL && a != b);
	free(a);
	free(b);
	errno = 0;
	out_of_memory(malloc(check_hidden((size_t)PTRDIFF_MAX + 1)));
	out_of_memory(malloc(check_hidden((size_t)PTRDIFF_MAX)));
	out_of_memory(malloc(check_hidden(SIZE_MAX)));
	out_of_memory(calloc(check_hidden(SIZE_MAX / 2), 3));
	out_of_memory(calloc(check_hidden((size_t)1 << 32), (size_t)1 << 32));
	out_of_memory(valloc(check_hidden(SIZE_MAX)));
	out_of_memory(pvalloc(check_hidden(SIZE_MAX)));
	out_of_memory(memalign(4096, check_hidden(SIZE_MAX - 100)));
	out_of_memory(aligned_alloc(64, check_hidden(SIZE_MAX - 100)));
}

static void check_realloc(void)
{
	char *volatile kept = check_opaque(malloc(100));
	char *a = kept;

	memset(a, 7, 100);
	errno = 0;
	out_of_memory(realloc(a, check_hidden(SIZE_MAX - 4096)));
	a = kept;
	out_of_memory(reallocarray(a, check_hidden(SIZE_MAX / 4), 8));
	a = kept;
	CHECK(a[0] == 7 && a[99] == 7);
	a = check_opaque(realloc(a, check_hidden(0)));
	CHECK(a == NULL && errno == 0);
	a = check_opaque(realloc(NULL, 10));
	CHECK(a != NULL && malloc_usable_size(a) >= 10);
	a = check_opaque(reallocarray(a, 10, 10));
	CHECK(a != NULL && malloc_usable_size(a) >= 100);
	free(a);
}

static void check_alignments(void)
{
	void *kept = &kept;
	void *ptr = kept;

	errno = 0;
	CHECK(posix_memalign(&ptr, check_hidden(0), 10) == EINVAL && ptr == kept);
	CHECK(posix_memalign(&ptr, check_hidden(4), 10) == EINVAL && ptr == kept);
	CHECK(posix_memalign(&ptr, check_hidden(24), 10) == EINVAL && ptr == kept);
	CHECK(posix_memalign(&ptr, 64, check_hidden(SIZE_MAX / 2 + 9)) == ENOMEM && ptr == kept);
	CHECK(errno == 0);
	CHECK(aligned_alloc(check_hidden(0), 8) == NULL && errno == EINVAL);
	errno = 0;
	CHECK(aligned_alloc(check_hidden(48), 96) == NULL && errno == EINVAL);
	errno = 0;
	CHECK(memalign(check_hidden(SIZE_MAX / 2 + 2), 8) == NULL && errno == EINVAL);
	errno = 0;
	out_of_memory(memalign(check_hidden((size_t)1 << 62), 8));
	out_of_memory(aligned_alloc(check_hidden((size_t)1 << 63), 8));
	ptr = memalign(check_hidden(48), 8);
	CHECK(ptr != NULL && (uintptr_t)ptr % 64 == 0);
	free(ptr);
	CHECK(posix_memalign(&ptr, sizeof(void *), 0) == 0 && ptr != NULL);
	free(ptr);
	ptr = pvalloc(check_hidden(1));
	CHECK(malloc_usable_size(ptr) >= (size_t)getpagesize());
	CHECK((uintptr_t)ptr % (uintptr_t)getpagesize() == 0);
	free(ptr);
	CHECK(errno == 0);
}

int main(void)
{
	check_sizes();
	check_realloc();
	check_alignments();
	CHECK(malloc_usable_size(NULL) == 0);
	errno = EXDEV;
	free(NULL);
	free(check_opaque(malloc(10)));
	free(check_opaque(malloc(10 * MIB)));
	free(check_opaque(calloc(3, 70000)));
	CHECK(errno == EXDEV);
	return 0;
}
