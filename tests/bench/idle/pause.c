#include "tests/bench/alloc/workload.h"
#include "tests/bench/demo/histogram.h"
#include "tests/bench/idle/block.h"
#include "tests/bench/idle/release.h"
#include "tests/preload/check.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

/*
 * pause THREADS SECONDS GAP_MS MEANWHILE: what threads that allocate flat out notice of releases.
 *
 * The threads fill a heap of 1 GiB between them.  Then each takes a random place of its table
 * again and again, frees the block there or, where there is none, puts a new one and writes it:
 * half of the heap becomes free, scattered, and ever another half.  MEANWHILE the main thread does
 * one thing, with a GAP after each time: "release", a full release by the allocator; a number, to
 * be busy for so many microseconds, which shows what a release costs the others by its mere
 * presence on a processor; or "nothing".
 *
 * On stdout, a word and numbers each:
 *
 *	churning			when the heap is full
 *	ended US			SECONDS later, or when a release that had begun was done
 *	call NS COUNT			so many calls of malloc or free took NS or a little less
 *	write NS COUNT			so many blocks took that long to be written, faults included
 *	longest CALL_NS WRITE_NS
 *	meanwhile COUNT TOTAL_US MOST_US
 *
 * and what malloc_info says before the first and after the second of these.  malloc_stats follows
 * on stderr.
 */

#define HEAP_BYTES (1024 * MIB)
#define THREADS_MAX 64U

struct churner {
	pthread_t thread;
	uint64_t seed;
	size_t bytes;
	struct block_table table;
	/* Of nanoseconds, whatever the histogram calls them. */
	struct histogram calls;
	struct histogram writes;
};

static struct churner churners[THREADS_MAX];
static pthread_barrier_t filled;
static pthread_barrier_t start;
static _Atomic bool ended;

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static void churn_one(struct churner *churner)
{
	void **block = &churner->table.blocks[random_step(&churner->seed) % churner->table.count];
	size_t bytes = block_bytes(&churner->seed);
	uint64_t start_ns = now_ns();
	uint64_t called_ns;

	if (*block != NULL) {
		free(*block);
		*block = NULL;
		histogram_add(&churner->calls, now_ns() - start_ns);
		return;
	}
	*block = malloc(bytes);
	called_ns = now_ns();
	CHECK(*block != NULL);
	block_write(*block, bytes);
	histogram_add(&churner->calls, called_ns - start_ns);
	histogram_add(&churner->writes, now_ns() - called_ns);
}

static void *churner_run(void *arg)
{
	struct churner *churner = arg;

	churner->table = block_table_make(churner->bytes);
	block_table_fill(&churner->table, churner->bytes, &churner->seed);
	pthread_barrier_wait(&filled);
	pthread_barrier_wait(&start);
	while (!ended)
		churn_one(churner);
	return NULL;
}

static void spin(uint64_t us)
{
	uint64_t start_ns = now_ns();

	while (now_ns() - start_ns < us * 1000)
		;
}

static void meanwhile(const char *what, uint64_t seconds, long gap_ms)
{
	struct timespec gap = {.tv_sec = gap_ms / 1000, .tv_nsec = gap_ms % 1000 * 1000000};
	uint64_t begin_ns = now_ns();
	uint64_t end_ns = begin_ns + seconds * 1000000000U;
	uint64_t count = 0;
	uint64_t total_us = 0;
	uint64_t most_us = 0;

	while (now_ns() < end_ns) {
		uint64_t start_ns = now_ns();
		uint64_t took_us;

		if (strcmp(what, "release") == 0)
			release_all();
		else if (strcmp(what, "nothing") != 0)
			spin(strtoull(what, NULL, 10));
		took_us = (now_ns() - start_ns) / 1000;
		count++;
		total_us += took_us;
		most_us = took_us > most_us ? took_us : most_us;
		nanosleep(&gap, NULL);
	}
	printf("ended %llu\nmeanwhile %llu %llu %llu\n",
		(unsigned long long)(now_ns() - begin_ns) / 1000, (unsigned long long)count,
		(unsigned long long)total_us, (unsigned long long)most_us);
}

static void histogram_tell(const char *word, const struct histogram *histogram)
{
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
		if (histogram->count[i] != 0)
			printf("%s %llu %llu\n", word,
				(unsigned long long)histogram_bucket_top_us(i),
				(unsigned long long)histogram->count[i]);
}

static void churners_tell(unsigned threads)
{
	static struct histogram calls;
	static struct histogram writes;

	for (unsigned i = 0; i < threads; i++) {
		pthread_join(churners[i].thread, NULL);
		histogram_merge(&calls, &churners[i].calls);
		histogram_merge(&writes, &churners[i].writes);
	}
	histogram_tell("call", &calls);
	histogram_tell("write", &writes);
	printf("longest %llu %llu\n", (unsigned long long)calls.max_us,
		(unsigned long long)writes.max_us);
}

int main(int argc, char **argv)
{
	static char output[4096];
	unsigned threads = argc == 5 ? (unsigned)atoi(argv[1]) : 0;

	if (threads < 1 || threads > THREADS_MAX) {
		fprintf(stderr, "usage: pause THREADS SECONDS GAP_MS MEANWHILE\n");
		return 2;
	}
	setvbuf(stdout, output, _IOLBF, sizeof output);
	pthread_barrier_init(&filled, NULL, threads + 1);
	pthread_barrier_init(&start, NULL, threads + 1);
	for (unsigned i = 0; i < threads; i++) {
		churners[i].seed = 1 + i;
		churners[i].bytes = HEAP_BYTES / threads;
		CHECK(pthread_create(&churners[i].thread, NULL, churner_run, &churners[i]) == 0);
	}
	pthread_barrier_wait(&filled);
	malloc_info(0, stdout);
	printf("churning\n");
	pthread_barrier_wait(&start);
	meanwhile(argv[4], (uint64_t)atoi(argv[2]), atol(argv[3]));
	malloc_info(0, stdout);
	ended = true;
	churners_tell(threads);
	malloc_stats();
	return 0;
}
