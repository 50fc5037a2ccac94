#include "tests/preload/check.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

/*
 * Address space is reserved by need: what ulimit -v, mlockall and VmSize count is in
 * proportion to what the program uses.  With "locked": mlockall under the usual limit
 * of 8 MiB; with "locked-future": malloc after it.
 */
#define LIMIT_BYTES (8 * MIB)

static size_t space_bytes(void)
{
	return (size_t)check_proc_number("/proc/self/status", "VmSize", 10) * KIB;
}

static size_t mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	size_t count = 0;
	int c;

	CHECK(maps != NULL);
	while ((c = fgetc(maps)) != EOF)
		count += c == '\n';
	fclose(maps);
	return count;
}

/* Blocks of one size, as a chain of their own, then freed. */
static void use(size_t bytes, size_t size)
{
	size_t before = space_bytes();
	void **chain = NULL;
	size_t grown;

	for (size_t i = 0; i < bytes / size; i++) {
		void **block = check_opaque(malloc(size));

		CHECK(block != NULL);
		*block = chain;
		chain = block;
	}
	grown = space_bytes() - before;
	printf("%zu MiB in blocks of %zu: %zu MiB of address space, %zu mappings\n", bytes / MIB,
		size, grown / MIB, mappings());
	fflush(stdout);
	CHECK(grown <= 2 * bytes + 64 * MIB);
	while (chain != NULL) {
		void **next = *chain;

		free(chain);
		chain = next;
	}
}

static void limit_locked_memory(void)
{
	CHECK(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){LIMIT_BYTES, LIMIT_BYTES}) == 0);
	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
}

static void locked(int flags)
{
	if (flags == MCL_CURRENT)
		check_churn(100, 100);
	limit_locked_memory();
	printf("%zu KiB of address space\n", space_bytes() / KIB);
	fflush(stdout);
	CHECK(mlockall(flags) == 0);
	for (int i = 0; i < 100; i++) {
		void *block = check_opaque(malloc(100));

		CHECK(block != NULL);
		memset(block, 1, 100);
	}
}

int main(int count, char **arguments)
{
	size_t before;

	if (count > 1) {
		locked(strcmp(arguments[1], "locked") == 0 ? MCL_CURRENT : MCL_FUTURE);
		return 0;
	}
	before = mappings();
	CHECK(space_bytes() < 16 * MIB);
	use(10 * MIB, 1000);
	use(100 * MIB, 1000);
	use(200 * MIB, 100000);
	use(300 * MIB, 10 * MIB);
	CHECK(mappings() <= before + 16);
	return 0;
}
