#include "tests/preload/check.h"

#include <malloc.h>
#include <stddef.h>
#include <stdint.h>

static const size_t sizes[] = {
	0, 1, 7, 8, 9, 15, 16, 17, 100, 1000, 4095, 4096, 4097, 65536, 300000, 2000000};

/* Alignments up to 1 GiB cost address space, not memory. */
static void check_wide(void)
{
	for (size_t alignment = 8 * MIB; alignment <= (size_t)1 << 30; alignment *= 2) {
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			char *ptrs[3] = {
				memalign(alignment, sizes[i]), aligned_alloc(alignment, sizes[i])};

			CHECK(posix_memalign((void **)&ptrs[2], alignment, sizes[i]) == 0);
			for (int j = 0; j < 3; j++) {
				CHECK(ptrs[j] != NULL && (uintptr_t)ptrs[j] % alignment == 0);
				CHECK(malloc_usable_size(ptrs[j]) >= sizes[i]);
				memset(ptrs[j], j, sizes[i]);
			}
			for (int j = 0; j < 3; j++) {
				CHECK(sizes[i] == 0 || ptrs[j][sizes[i] - 1] == (char)j);
				free(ptrs[j]);
			}
		}
	}
}

int main(void)
{
	for (size_t size = 1; size < 9000; size++) {
		void *ptr = check_opaque(malloc(size));

		CHECK((uintptr_t)ptr % _Alignof(max_align_t) == 0);
		CHECK(malloc_usable_size(ptr) >= size);
		free(ptr);
	}
	for (size_t alignment = 8; alignment <= 4 * MIB; alignment *= 2) {
		for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
			void *ptrs[4] = {
				memalign(alignment, sizes[i]),
				aligned_alloc(alignment, sizes[i]),
			};

			CHECK(posix_memalign(&ptrs[2], alignment, sizes[i]) == 0);
			CHECK(posix_memalign(&ptrs[3], alignment, sizes[i]) == 0);
			for (int j = 0; j < 4; j++) {
				CHECK(ptrs[j] != NULL && (uintptr_t)ptrs[j] % alignment == 0);
				CHECK(malloc_usable_size(ptrs[j]) >= sizes[i]);
				memset(ptrs[j], j, sizes[i]);
			}
			for (int j = 0; j < 4; j++) {
				CHECK(sizes[i] == 0 || ((char *)ptrs[j])[sizes[i] - 1] == (char)j);
				ptrs[j] = realloc(ptrs[j], sizes[i] + 1);
				CHECK(ptrs[j] != NULL);
				CHECK(sizes[i] == 0 || ((char *)ptrs[j])[0] == (char)j);
				free(ptrs[j]);
			}
		}
	}
	check_wide();
	return 0;
}
