#include "tests/preload/check.h"

#include <malloc.h>

#define BYTES (64 * MIB)

static long rss_kib(void)
{
	return check_proc_number("/proc/self/smaps_rollup", "Rss", 10);
}

int main(void)
{
	long before_kib = rss_kib();
	long full_kib;

	for (size_t size = 100; size < 3 * MIB; size *= 10) {
		void **blocks = check_opaque(malloc(BYTES / size * sizeof *blocks));

		for (size_t i = 0; i < BYTES / size; i++)
			memset(blocks[i] = check_opaque(malloc(size)), 1, size);
		full_kib = rss_kib();
		for (size_t i = 0; i < BYTES / size; i++)
			free(blocks[i]);
		free(blocks);
		CHECK(full_kib - before_kib > (long)(BYTES / KIB) * 9 / 10);
		CHECK(malloc_trim(0) == 1);
		if (rss_kib() - before_kib > (full_kib - before_kib) / 10)
			fprintf(stderr, "size %zu: %ld, then %ld, then %ld KiB\n", size, before_kib,
				full_kib, rss_kib());
		CHECK(rss_kib() - before_kib <= (full_kib - before_kib) / 10);
	}
	CHECK(malloc_trim(0) == 0);
	return 0;
}
