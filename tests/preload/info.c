#include "tests/preload/check.h"

#include <errno.h>
#include <malloc.h>

#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

/* What the figures say of 1000 blocks that were freed in part; malloc_info goes to stdout. */
int main(void)
{
	struct mallinfo2 before = mallinfo2();
	struct mallinfo2 after;
	struct mallinfo old;
	void *blocks[1000];

	for (int i = 0; i < 1000; i++)
		memset(blocks[i] = check_opaque(malloc(10000)), 1, 10000);
	after = mallinfo2();
	CHECK(after.uordblks + after.hblkhd >= before.uordblks + before.hblkhd + 9000000);
	CHECK(after.arena == after.uordblks + after.fordblks);
	CHECK(after.uordblks + after.hblkhd < before.uordblks + before.hblkhd + 20000000);
	for (int i = 0; i < 1000; i++)
		free(blocks[i]);
	malloc_trim(0);
	before = mallinfo2();
	CHECK(before.uordblks + before.hblkhd + 9000000 <= after.uordblks + after.hblkhd);
	old = mallinfo();
	CHECK(old.uordblks >= 0 && old.arena >= old.uordblks);
	CHECK(mallopt(M_ARENA_MAX, 1) == 1 && mallopt(-999, 1) == 0);
	CHECK(malloc_info(1, stdout) == EINVAL);
	CHECK(malloc_info(0, stdout) == 0);
	malloc_stats();
	return 0;
}
