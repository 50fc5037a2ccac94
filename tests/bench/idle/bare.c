/*
 * bare ROUNDS: what a full release of 1 GiB costs beside a bare loop of madvise.
 *
 * Each round fills 1 GiB of a mapping, gives it back by madvise(MADV_DONTNEED) of 2 MiB at a time,
 * and unmaps it; then it fills 1 GiB of heap with blocks of block.h, frees them all, and has the
 * allocator give back what it can.  Both are divided by the pages by which the residency fell,
 * since an allocator may have given some back before.
 *
 * Prints a line a round, of processor time per page: "bare NS heap NS pages HEAP_PAGES".
 */
#include "tests/bench/idle/block.h"
#include "tests/bench/idle/release.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BYTES ((size_t)1 << 30)
#define STEP_BYTES ((size_t)2 << 20)

static uint64_t resident_pages(void)
{
	char text[128] = "";
	FILE *file = fopen("/proc/self/statm", "r");
	uint64_t pages = 0;
	if (file == NULL)
		return 0;
	if (fgets(text, sizeof text, file) != NULL)
		pages = strtoull(strchr(text, ' ') + 1, NULL, 10);
	fclose(file);
	return pages;
}

/* Processor time of the calling thread per page that it brings the residency down by. */
static uint64_t page_ns_of(void (*give_back)(void *with), void *with, uint64_t *pages)
{
	uint64_t before = resident_pages();
	uint64_t start_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	give_back(with);
	uint64_t ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - start_ns;
	uint64_t after = resident_pages();
	*pages = before > after ? before - after : 1;
	return ns / *pages;
}

static void advise_all(void *mapping)
{
	for (size_t at = 0; at < BYTES; at += STEP_BYTES)
		madvise((unsigned char *)mapping + at, STEP_BYTES, MADV_DONTNEED);
}

static void release_heap(void *unused)
{
	(void)unused;
	release_all();
}

static uint64_t measure_bare(void)
{
	uint64_t pages;
	uint64_t page_ns;
	void *mapping =
		mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mapping == MAP_FAILED)
		abort();
	madvise(mapping, BYTES, MADV_NOHUGEPAGE);
	memset(mapping, 1, BYTES);
	page_ns = page_ns_of(advise_all, mapping, &pages);
	munmap(mapping, BYTES);
	return page_ns;
}

static uint64_t measure_heap(uint64_t *seed, uint64_t *pages)
{
	struct block_table table = block_table_make(BYTES);
	block_table_fill(&table, BYTES, seed);
	for (size_t i = 0; i < table.count; i++)
		free(table.blocks[i]);
	block_table_unmap(&table);
	return page_ns_of(release_heap, NULL, pages);
}

int main(int count, char **argument)
{
	int rounds = count == 2 ? atoi(argument[1]) : 0;
	uint64_t seed = 88172645463325252U;
	if (rounds < 1) {
		fprintf(stderr, "usage: bare ROUNDS\n");
		return 2;
	}
	for (int round = 0; round < rounds; round++) {
		uint64_t pages;
		uint64_t bare_ns = measure_bare();
		uint64_t heap_ns = measure_heap(&seed, &pages);
		printf("bare %" PRIu64 " heap %" PRIu64 " pages %" PRIu64 "\n", bare_ns, heap_ns,
			pages);
		fflush(stdout);
	}
	return 0;
}
