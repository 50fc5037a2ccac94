#include "tests/preload/check.h"

#include <errno.h>
#include <sys/resource.h>

/*
 * limit_as [MIB [PERMILLE [SIZE]]]: with RLIMIT_AS in place, or with one set here.
 * Memory ends with ENOMEM, after at least so much of the limit, and comes back.
 */
struct block {
	struct block *next;
};

/* Blocks until there are no more, as a chain of their own. */
static struct block *take_all(size_t size, size_t *count)
{
	struct block *chain = NULL;

	for (*count = 0;; ++*count) {
		struct block *block;

		errno = 0;
		block = check_opaque(malloc(size));
		if (block == NULL)
			break;
		CHECK(errno == 0);
		memset(block, 1, size);
		block->next = chain;
		chain = block;
	}
	CHECK(errno == ENOMEM);
	return chain;
}

static void free_all(struct block *chain)
{
	while (chain != NULL) {
		struct block *next = chain->next;

		free(chain);
		chain = next;
	}
}

int main(int count, char **arguments)
{
	size_t mib = count > 1 ? (size_t)atol(arguments[1]) : 0;
	size_t permille = count > 2 ? (size_t)atol(arguments[2]) : 0;
	size_t size = count > 3 ? (size_t)atol(arguments[3]) : 20000;
	size_t got[2];

	if (mib != 0)
		CHECK(setrlimit(RLIMIT_AS, &(struct rlimit){mib * MIB, mib * MIB}) == 0);
	for (int round = 0; round < 2; round++)
		free_all(take_all(size, &got[round]));
	printf("%zu and %zu blocks of %zu\n", got[0], got[1], size);
	CHECK(got[0] > 10 && got[1] * 10 > got[0] * 9);
	CHECK(got[1] * size / 1000 >= mib * MIB / 1000 * permille / 1000);
	return 0;
}
