#include "tests/preload/check.h"

#include <malloc.h>
#include <stdint.h>
#include <sys/wait.h>

/*
 * footprint MIB: a heap of so much in blocks of mixed sizes, all of them
 * written to, then an eighth of it in blocks of one kind, each in a process of its
 * own.  What the heap needs to know about it is at most 2 % of it, both as
 * malloc_info counts it and as the kernel counts what is resident beyond the
 * blocks.  The blocks hold their own chain, so that nothing else is resident.
 */
#define OVERHEAD_PERMILLE 20

struct block {
	struct block *next;
};

struct load {
	const char *name;
	size_t (*size_of)(unsigned turn);
};

/* As servers have them: most are small, most bytes are in the larger ones. */
static size_t size_mixed(unsigned turn)
{
	unsigned kind = turn >> 8 & 1023;

	if (kind == 0)
		return 32768 + turn % 1000000;
	if (kind < 50)
		return 1024 + turn % 31000;
	return 16 + turn % 1008;
}

static size_t size_small(unsigned turn)
{
	return 16 + turn % 240;
}

static size_t size_medium(unsigned turn)
{
	return 600 + turn % 7000;
}

static size_t size_tiny(unsigned turn)
{
	(void)turn;
	return 16;
}

static unsigned long metadata_bytes(void)
{
	static char text[8192];
	FILE *file = fmemopen(text, sizeof text, "w");
	const char *at;

	CHECK(file != NULL && malloc_info(0, file) == 0 && fclose(file) == 0);
	at = strstr(text, "metadata=\"");
	CHECK(at != NULL);
	return strtoul(at + strlen("metadata=\""), NULL, 10);
}

static unsigned long rss_bytes(void)
{
	return (unsigned long)check_proc_number("/proc/self/smaps_rollup", "Rss", 10) * KIB;
}

static void run(const struct load *load, size_t total_bytes)
{
	unsigned long before_bytes = rss_bytes();
	struct block *chain = NULL;
	unsigned long usable_bytes = 0;
	unsigned long asked_bytes = 0;
	unsigned long beyond_bytes;
	unsigned long known_bytes;
	unsigned seed = 1;

	while (asked_bytes < total_bytes) {
		size_t size;
		size_t usable;
		struct block *block;

		seed = seed * 1664525 + 1013904223;
		size = load->size_of(seed >> 4);
		block = check_opaque(malloc(size));
		CHECK(block != NULL);
		usable = malloc_usable_size(block);
		for (size_t at = 0; at < usable; at += 4096)
			((char *)block)[at] = 1;
		((char *)block)[usable - 1] = 1;
		block->next = chain;
		chain = block;
		asked_bytes += size;
		usable_bytes += usable;
	}
	beyond_bytes = rss_bytes() - before_bytes - usable_bytes;
	known_bytes = metadata_bytes();
	if ((long)beyond_bytes < 0)
		beyond_bytes = 0;
	printf("%s: asked for %lu MiB, usable %lu permille of it, metadata %lu.%lu permille, "
	       "resident beyond the blocks %lu.%lu permille\n",
		load->name, asked_bytes / MIB, usable_bytes / (asked_bytes / 1000),
		known_bytes / (asked_bytes / 1000), known_bytes / (asked_bytes / 10000) % 10,
		beyond_bytes / (asked_bytes / 1000), beyond_bytes / (asked_bytes / 10000) % 10);
	fflush(stdout);
	CHECK(known_bytes <= asked_bytes / 1000 * OVERHEAD_PERMILLE + 2 * MIB);
	CHECK(beyond_bytes <= asked_bytes / 1000 * OVERHEAD_PERMILLE + 4 * MIB);
	while (chain != NULL) {
		struct block *next = chain->next;

		free(chain);
		chain = next;
	}
}

static bool run_apart(const struct load *load, size_t total_bytes)
{
	int status;
	pid_t child = fork();

	CHECK(child >= 0);
	if (child == 0) {
		run(load, total_bytes);
		_exit(0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	return status == 0;
}

int main(int count, char **arguments)
{
	static const struct load loads[] = {
		{"mixed", size_mixed},
		{"medium", size_medium},
		{"small", size_small},
		{"16 bytes", size_tiny},
	};
	size_t bytes = (size_t)atol(count > 1 ? arguments[1] : "2048") * MIB;
	bool all = true;

	for (size_t i = 0; i < sizeof loads / sizeof *loads; i++)
		all = run_apart(&loads[i], i == 0 ? bytes : bytes / 8) && all;
	return all ? 0 : 1;
}
