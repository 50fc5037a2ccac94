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

/* gcc takes it that posix_memalign leaves errno alone, and does not read it again. */
static int errno_now(void)
{
	return *(volatile int *)&errno;
}

static void check_alignments(void)
{
	void *kept = &kept;
	void *ptr = kept;

	errno = 0;
	CHECK(posix_memalign(&ptr, check_hidden(0), 10) == EINVAL && ptr == kept);
	CHECK(posix_memalign(&ptr, check_hidden(1), 10) == EINVAL && ptr == kept);
	CHECK(posix_memalign(&ptr, check_hidden(2), 10) == EINVAL && ptr == kept);
	CHECK(posix_memalign(&ptr, check_hidden(4), 10) == EINVAL && ptr == kept);
	CHECK(posix_memalign(&ptr, check_hidden(12), 10) == EINVAL && ptr == kept);
	CHECK(posix_memalign(&ptr, check_hidden(SIZE_MAX), 10) == EINVAL && ptr == kept);
	CHECK(posix_memalign(&ptr, check_hidden(SIZE_MAX - 7), 10) == EINVAL && ptr == kept);
	CHECK(posix_memalign(&ptr, check_hidden(24), 10) == EINVAL && ptr == kept);
	CHECK(errno_now() == 0);
	CHECK(posix_memalign(&ptr, 64, check_hidden(SIZE_MAX / 2 + 9)) == ENOMEM && ptr == kept);
	CHECK(errno_now() == ENOMEM);
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

/* Sizes that no object can have, or that no memory can hold. */
static void check_refusals(void)
{
	static const size_t sizes[] = {PTRDIFF_MAX - 4096, PTRDIFF_MAX - 1, PTRDIFF_MAX,
		(size_t)PTRDIFF_MAX + 1, SIZE_MAX - (size_t)2 * 1024 * 1024, SIZE_MAX - 4096,
		SIZE_MAX - 15, SIZE_MAX - 1, SIZE_MAX};
	char *volatile kept[2] = {malloc(50), malloc(MIB)};

	memset(kept[0], 5, 50);
	memset(kept[1], 6, MIB);
	errno = 0;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t size = check_hidden(sizes[i]);
		void *ptr = &size;

		out_of_memory(malloc(size));
		out_of_memory(calloc(1, size));
		out_of_memory(calloc(size, 1));
		out_of_memory(calloc(size / 3 + 1, 3));
		out_of_memory(realloc(NULL, size));
		out_of_memory(reallocarray(NULL, size, 1));
		out_of_memory(valloc(size));
		out_of_memory(pvalloc(size));
		for (size_t alignment = 1; alignment <= (size_t)1 << 30; alignment *= 2) {
			out_of_memory(memalign(alignment, size));
			out_of_memory(aligned_alloc(alignment, size));
			if (alignment >= sizeof(void *))
				CHECK(posix_memalign(&ptr, alignment, size) == ENOMEM &&
					errno_now() == ENOMEM);
			errno = 0;
		}
		CHECK(ptr == &size);
		for (int j = 0; j < 2; j++) {
			out_of_memory(realloc(kept[j], size));
			out_of_memory(reallocarray(kept[j], size, 1));
			out_of_memory(reallocarray(kept[j], size / 2 + 1, 2));
		}
	}
	CHECK(kept[0][0] == 5 && kept[0][49] == 5 && kept[1][0] == 6 && kept[1][MIB - 1] == 6);
	free(kept[0]);
	free(kept[1]);
}

/* A product that wraps round to something small is still too large. */
static void check_overflow(void)
{
	for (unsigned shift = 1; shift < 64; shift++) {
		size_t wide = check_hidden((size_t)1 << shift);
		size_t count = SIZE_MAX / wide + 1;
		void *volatile kept = malloc(10);

		out_of_memory(calloc(count, wide));
		out_of_memory(calloc(wide, count));
		out_of_memory(calloc(count + 1, wide));
		out_of_memory(reallocarray(NULL, count, wide));
		out_of_memory(reallocarray(kept, wide, count));
		free(kept);
	}
	free(check_opaque(calloc(check_hidden(0), check_hidden(SIZE_MAX))));
	free(check_opaque(calloc(check_hidden(SIZE_MAX), check_hidden(0))));
	CHECK(errno == 0);
}

/* No size is too small for a block of its own; freeing none is nothing. */
static void check_nothing(void)
{
	void *blocks[10] = {malloc(check_hidden(0)), calloc(check_hidden(0), 1),
		calloc(1, check_hidden(0)), realloc(NULL, check_hidden(0)),
		reallocarray(NULL, check_hidden(0), 7), memalign(64, check_hidden(0)),
		aligned_alloc(64, check_hidden(0)), valloc(check_hidden(0)),
		pvalloc(check_hidden(0))};

	CHECK(posix_memalign(&blocks[9], 64, check_hidden(0)) == 0);
	for (int i = 0; i < 10; i++) {
		CHECK(blocks[i] != NULL);
		for (int j = 0; j < i; j++)
			CHECK(blocks[i] != blocks[j]);
	}
	for (int i = 0; i < 10; i++)
		free(blocks[i]);
	CHECK(errno == 0);
}

/* Whatever succeeds leaves errno alone, the kernel's work included. */
static void check_success_keeps_errno(void)
{
	static const size_t sizes[] = {0, 1, 16, 1000, 32768, 32769, 300000, 10 * MIB, 50 * MIB};

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			void *blocks[4] = {malloc(sizes[i]), calloc(1, sizes[i]),
				aligned_alloc(1 << 20, sizes[i]), memalign(256, sizes[i])};

			for (int j = 0; j < 4; j++) {
				CHECK(blocks[j] != NULL &&
					malloc_usable_size(blocks[j]) >= sizes[i]);
				memset(blocks[j], 1, sizes[i] < MIB ? sizes[i] : MIB);
				CHECK((blocks[j] = realloc(blocks[j], sizes[i] + 5000)) != NULL);
				free(blocks[j]);
			}
			malloc_trim(0);
		}
		check_churn(20000, 200);
		check_churn(100, 200 * KIB);
	}
}

int main(void)
{
	check_sizes();
	check_realloc();
	check_alignments();
	check_refusals();
	check_overflow();
	check_nothing();
	CHECK(malloc_usable_size(NULL) == 0);
	errno = EXDEV;
	free(NULL);
	free(check_opaque(malloc(10)));
	free(check_opaque(malloc(10 * MIB)));
	free(check_opaque(calloc(3, 70000)));
	check_success_keeps_errno();
	CHECK(errno == EXDEV);
	return 0;
}
