/*
 * How soon idle memory of one service goes when another grows past a threshold: two services that
 * share a page of memory.
 *
 *   reaction idle PAGE         holds idle memory and looks without pause whether it goes
 *   reaction step PAGE USAGE THRESHOLD ROUNDS
 *   reaction ramp PAGE USAGE THRESHOLD ROUNDS
 *                              grows past THRESHOLD bytes of the file USAGE, all at once or by
 *                              200 MiB/s; prints the time to the first madvise of the other in
 *                              microseconds, one line a round, and ends
 */
#include "shim/spillway.h"
#include "tests/system/link_files.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define IDLE_MIB 48U
#define BEYOND_MIB 24U
#define BLOCKS_MAX 4096U
#define RAMP_MIB_PER_S 200U
#define ROUND_S 20U

struct page {
	_Atomic uint32_t wanted; /* the round that the grower waits for */
	_Atomic uint32_t ready;  /* the round that the idler is ready for */
	_Atomic uint64_t went_ns;
};

static struct page *page;
static void *blocks[BLOCKS_MAX];

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void nap_us(long us)
{
	const struct timespec pause = {.tv_nsec = us * 1000};
	nanosleep(&pause, NULL);
}

static void *block_new(void)
{
	void *block = malloc(MIB);
	if (block == NULL)
		exit(3);
	memset(block, 1, MIB);
	return block;
}

static void blocks_free(size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(blocks[i]);
}

static struct spillway_stats stats_now(void)
{
	struct spillway_stats stats = {0};
	if (spillway_stats(&stats, sizeof stats) < 0)
		exit(6);
	return stats;
}

static int run_idle(void)
{
	struct link_names names;
	const struct link_header *header =
		link_names_read(&names) == 0 ? link_map_header(&names) : NULL;
	if (header == NULL || !spillway_is_loaded())
		return 4;
	for (;;) {
		uint32_t round = atomic_load(&page->wanted);
		if (round == atomic_load(&page->ready) ||
			atomic_load(&header->level) != LINK_CALM) {
			nap_us(1000);
			continue;
		}
		for (size_t i = 0; i < IDLE_MIB; i++)
			blocks[i] = block_new();
		blocks_free(IDLE_MIB);
		struct spillway_stats before = stats_now();
		struct spillway_stats after;
		atomic_store(&page->went_ns, 0);
		atomic_store(&page->ready, round);
		do {
			nap_us(50);
			after = stats_now();
		} while (after.advise_calls == before.advise_calls &&
			 atomic_load(&page->wanted) == round);
		/* A call is counted when it is over. */
		atomic_store(&page->went_ns, now_ns() - (after.advise_ns - before.advise_ns));
	}
}

static uint64_t usage_bytes(int fd)
{
	char text[32] = "";
	return pread(fd, text, sizeof text - 1, 0) > 0 ? strtoull(text, NULL, 10) : 0;
}

/* Grows past the threshold and on; when it was crossed. */
static uint64_t grow(int usage_fd, uint64_t threshold_bytes, bool ramp, size_t *count)
{
	uint64_t start_ns = now_ns();
	uint64_t crossed_ns = 0;
	size_t start_mib = (threshold_bytes - usage_bytes(usage_fd)) / MIB;
	size_t last = start_mib + BEYOND_MIB;
	char *whole = ramp ? NULL : malloc(last * MIB);
	for (size_t i = 0; i < last && i < BLOCKS_MAX; i++) {
		if (ramp)
			blocks[(*count)++] = block_new();
		else
			memset(whole + i * MIB, 1, MIB);
		if (crossed_ns == 0 && usage_bytes(usage_fd) >= threshold_bytes)
			crossed_ns = now_ns();
		while (ramp && (now_ns() - start_ns) < i * 1000000000U / RAMP_MIB_PER_S)
			nap_us(100);
	}
	if (!ramp)
		blocks[(*count)++] = whole;
	return crossed_ns;
}

static int run_grow(const char *usage, uint64_t threshold_bytes, uint32_t rounds, bool ramp)
{
	int usage_fd = open(usage, O_RDONLY | O_CLOEXEC);
	if (usage_fd < 0)
		return 5;
	for (uint32_t round = 1; round <= rounds; round++) {
		uint64_t went_ns = 0;
		size_t count = 0;
		atomic_store(&page->wanted, round);
		while (atomic_load(&page->ready) != round)
			nap_us(1000);
		/* What just went on there is over. */
		nap_us(300000);
		uint64_t begin_ns = now_ns();
		uint64_t crossed_ns = grow(usage_fd, threshold_bytes, ramp, &count);
		while (went_ns == 0 && now_ns() - begin_ns < ROUND_S * UINT64_C(1000000000)) {
			nap_us(100);
			went_ns = atomic_load(&page->went_ns);
		}
		if (crossed_ns == 0 || went_ns == 0)
			printf("none: %s\n", crossed_ns == 0 ? "not crossed" : "nothing went");
		else
			printf("%lld\n", (long long)(went_ns - crossed_ns) / 1000);
		fflush(stdout);
		blocks_free(count);
		malloc_trim(0);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int fd = argc >= 3 ? open(argv[2], O_RDWR | O_CLOEXEC) : -1;
	if (fd < 0)
		return 2;
	page = mmap(NULL, sizeof *page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return 2;
	if (strcmp(argv[1], "idle") == 0)
		return run_idle();
	if (argc != 6)
		return 2;
	return run_grow(argv[3], strtoull(argv[4], NULL, 10), (uint32_t)atoi(argv[5]),
		strcmp(argv[1], "ramp") == 0);
}
