#include "tests/preload/check.h"

#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>

/*
 * A wide heap costs address space, not memory: more than 64 GiB in blocks of
 * 1 GiB, then in ones of 64 MiB, of which a byte at either end is written; small blocks
 * among them; and 1 TiB at once, which the system may refuse.  With "once":
 * only that; with "zeroed": a
 * wide calloc; with "refused": what is left when 1 TiB was refused.
 */
#define GIB ((size_t)1 << 30)
#define TIB ((size_t)1 << 40)
#define BLOCKS_MAX 1200

static char *blocks[BLOCKS_MAX];

static long rss_kib(void)
{
	return check_proc_number("/proc/self/smaps_rollup", "Rss", 10);
}

static void mark(char *block, size_t bytes, size_t i)
{
	block[0] = (char)i;
	block[bytes - 1] = (char)(i + 1);
}

static void check_mark(const char *block, size_t bytes, size_t i)
{
	CHECK(block[0] == (char)i && block[bytes - 1] == (char)(i + 1));
}

static void fill(size_t count, size_t bytes)
{
	static char *small[BLOCKS_MAX];
	long before_kib = rss_kib();
	long grown_kib;

	for (size_t i = 0; i < count; i++) {
		blocks[i] = check_opaque(malloc(bytes));
		CHECK(blocks[i] != NULL && malloc_usable_size(blocks[i]) >= bytes);
		mark(blocks[i], bytes, i);
		small[i] = check_opaque(malloc(500));
		mark(small[i], 500, i);
	}
	grown_kib = rss_kib() - before_kib;
	/* Two pages of each block; huge pages would be 4 MiB of it, and are not asked for. */
	printf("%zu blocks of %zu MiB: %ld KiB resident\n", count, bytes / MIB, grown_kib);
	fflush(stdout);
	CHECK(grown_kib <= (long)(count * 64 + count * bytes / GIB * 128 + 4096));
	for (size_t i = 0; i < count; i++) {
		check_mark(blocks[i], bytes, i);
		check_mark(small[i], 500, i);
		free(small[i]);
		free(blocks[i]);
	}
	malloc_trim(0);
}

/* A little dirt in a wide run is no reason to write all of it. */
static void zeroed(size_t bytes)
{
	char *block = check_opaque(malloc(bytes));
	long before_kib;
	long grown_kib;

	CHECK(block != NULL);
	mark(block, bytes, 1);
	block[bytes / 2] = 1;
	free(block);
	before_kib = rss_kib();
	block = check_opaque(calloc(1, bytes));
	CHECK(block != NULL && block[0] == 0 && block[bytes / 2] == 0 && block[bytes - 1] == 0);
	grown_kib = rss_kib() - before_kib;
	printf("%zu MiB of zeros over a little dirt: %ld KiB resident\n", bytes / MIB, grown_kib);
	fflush(stdout);
	CHECK(grown_kib < (long)(bytes / KIB / 16));
	free(block);
}

/* Whether the kernel lets anybody have so much; if not, malloc must be refused, too. */
static bool is_to_be_had(size_t bytes)
{
	void *space = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return space != MAP_FAILED && munmap(space, bytes) == 0;
}

static void at_once(size_t bytes)
{
	bool must = is_to_be_had(bytes);
	long before_kib = rss_kib();
	char *block;

	errno = 0;
	block = check_opaque(malloc(bytes));
	printf("%zu GiB at once: %s\n", bytes / GIB, block == NULL ? "refused" : "given");
	fflush(stdout);
	if (block == NULL) {
		CHECK(!must && errno == ENOMEM);
	} else {
		CHECK(errno == 0 && must);
		CHECK(rss_kib() - before_kib < 256);
		mark(block, bytes, 1);
		block[bytes / 2] = 1;
		check_mark(block, bytes, 1);
		free(block);
	}
	malloc_trim(0);
	check_churn(1000, 1000);
}

/* How many MiB can be had, one by one. */
static size_t ends_after_mib(void)
{
	static char *blocks_of_mib[100000];
	size_t count = 0;

	while (count < 100000 && (blocks_of_mib[count] = check_opaque(malloc(MIB))) != NULL)
		count++;
	for (size_t i = 0; i < count; i++)
		free(blocks_of_mib[i]);
	malloc_trim(0);
	return count;
}

/* Where the kernel counts what is writable, asking for too much must leave most of it. */
static void refused(void)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		void *block = check_opaque(malloc(TIB));
		size_t mib;

		CHECK(block == NULL && errno == ENOMEM);
		mib = ends_after_mib();
		printf("%zu MiB after 1 TiB was refused\n", mib);
		fflush(stdout);
		_exit(mib / 16 > 255 ? 255 : (int)(mib / 16));
	}
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	printf("%zu MiB otherwise\n", ends_after_mib());
	fflush(stdout);
	CHECK((size_t)WEXITSTATUS(status) * 16 >= ends_after_mib() / 2);
}

int main(int count, char **arguments)
{
	if (count > 1 && strcmp(arguments[1], "zeroed") == 0) {
		zeroed(256 * MIB);
		return 0;
	}
	if (count > 1 && strcmp(arguments[1], "refused") == 0) {
		refused();
		return 0;
	}
	at_once(100 * GIB);
	at_once(TIB);
	at_once(100 * TIB);
	if (count > 1)
		return 0;
	fill(80, GIB);
	fill(1200, 64 * MIB);
	fill(80, GIB);
	return 0;
}
