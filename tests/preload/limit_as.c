#include "tests/preload/check.h"

#include <errno.h>
#include <sys/resource.h>

#define COUNT 100000
static void *blocks[COUNT];

/* Run with RLIMIT_AS in place, or sets one itself: memory ends with ENOMEM, and comes back. */
int main(int count, char **arguments)
{
	size_t got[2] = {0, 0};

	if (count > 1) {
		rlim_t bytes = (rlim_t)atol(arguments[1]) * MIB;

		CHECK(setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes}) == 0);
	}
	for (int round = 0; round < 2; round++) {
		while (got[round] < COUNT) {
			errno = 0;
			blocks[got[round]] = check_opaque(malloc(20000));
			if (blocks[got[round]] == NULL)
				break;
			memset(blocks[got[round]++], 1, 20000);
		}
		CHECK(got[round] < COUNT && errno == ENOMEM);
		CHECK(got[round] > 100);
		for (size_t i = 0; i < got[round]; i++)
			free(blocks[i]);
	}
	CHECK(got[1] * 10 > got[0] * 9);
	printf("%zu %zu\n", got[0], got[1]);
	return 0;
}
