#include "tests/bench/alloc/workload.h"
#include "tests/bench/idle/block.h"
#include "tests/bench/idle/release.h"
#include "tests/preload/check.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

/*
 * idle PATTERN ENDING MEMORY_FILE SECOND...: what stays resident after most of a heap was freed.
 *
 * Two threads allocate 160 MiB each, and free (PATTERN) all of it, all but a random block in
 * twenty (scatter), or all but every 20th run of 512 blocks (runs).  Or (mixed) they have three
 * bursts of 100 MiB each, of which a random block in fifty lives on, and then allocate until
 * they have 75 MiB each, which stay.  Then (ENDING) they park in a
 * wait, exit, or trickle: 200 blocks allocated and freed every 100 ms.  After so many SECONDs each
 * the residency is told, and at last once more after a full release by the main thread.
 *
 * The tables of blocks are mappings of this program's own, gone before the first figure.
 *
 * Each line on stdout is a word and numbers:
 *
 *	filled REQUESTED_BYTES CURRENT RSS LAZY	and waits for a byte on stdin before it frees
 *	settled LIVE_BYTES		of the blocks that are left, as requested
 *	at SECOND CURRENT RSS LAZY BACKGROUND_US
 *	release WALL_US CPU_US CURRENT RSS LAZY LONGEST_US
 *	background MOST_US		in any ten seconds
 *
 * CURRENT is the number in MEMORY_FILE, -1 without ("-"); it, RSS and LAZY are KiB.  BACKGROUND is
 * the processor time since they settled that is neither the workers' nor the main thread's.
 * LONGEST is the longest malloc or free of a trickling thread while the release ran.
 *
 * The main thread does not allocate meanwhile.
 */

#define WORKERS 2U
#define WORKER_BYTES (160 * MIB)
#define KEPT_ONE_IN 20U
#define RUN_BLOCKS 512U
#define MIXED_BYTES (75 * MIB)
#define BURSTS 3U
#define BURST_BYTES (100 * MIB)
#define BURST_KEPT_ONE_IN 50U
#define TRICKLE_BURST 200U
#define TRICKLE_NS 500000U /* from one block to the next, on average */
#define SECONDS_MAX 600U
#define WINDOW_S 10U

enum phase { PHASE_FILL, PHASE_FREE, PHASE_RELEASE, PHASE_END };

struct worker {
	pthread_t thread;
	uint64_t seed;
	size_t requested_bytes;
	size_t live_bytes;
	_Atomic uint64_t longest_ns;
};

static struct {
	const char *pattern;
	const char *ending;
	const char *memory_file;
	struct worker workers[WORKERS];
	pthread_mutex_t lock;
	pthread_cond_t changed;
	enum phase phase;     /* under lock */
	unsigned phases_done; /* by all workers together, under lock */
} idle = {
	.pattern = "",
	.ending = "",
	.memory_file = "-",
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

static void phase_set(enum phase phase)
{
	pthread_mutex_lock(&idle.lock);
	idle.phase = phase;
	pthread_cond_broadcast(&idle.changed);
	pthread_mutex_unlock(&idle.lock);
}

static enum phase phase_read(void)
{
	enum phase phase;

	pthread_mutex_lock(&idle.lock);
	phase = idle.phase;
	pthread_mutex_unlock(&idle.lock);
	return phase;
}

static void phase_await(enum phase phase)
{
	pthread_mutex_lock(&idle.lock);
	while (idle.phase < phase)
		pthread_cond_wait(&idle.changed, &idle.lock);
	pthread_mutex_unlock(&idle.lock);
}

static void phase_done(void)
{
	pthread_mutex_lock(&idle.lock);
	idle.phases_done++;
	pthread_cond_broadcast(&idle.changed);
	pthread_mutex_unlock(&idle.lock);
}

static void phases_await(unsigned done)
{
	pthread_mutex_lock(&idle.lock);
	while (idle.phases_done < done)
		pthread_cond_wait(&idle.changed, &idle.lock);
	pthread_mutex_unlock(&idle.lock);
}

static bool pattern_keeps(struct worker *worker, size_t i)
{
	if (strcmp(idle.pattern, "scatter") == 0)
		return random_step(&worker->seed) % KEPT_ONE_IN == 0;
	return strcmp(idle.pattern, "runs") == 0 && i / RUN_BLOCKS % KEPT_ONE_IN == 0;
}

static void table_free(struct worker *worker, struct block_table *table)
{
	for (size_t i = 0; i < table->count; i++) {
		if (pattern_keeps(worker, i))
			worker->live_bytes += table->sizes[i];
		else
			free(table->blocks[i]);
	}
}

/* What lives on of bursts comes first in the table, then what fills it up to MIXED_BYTES. */
static void table_mix(struct worker *worker, struct block_table *table)
{
	size_t live_bytes = 0;

	for (unsigned i = 0; i < BURSTS; i++) {
		size_t kept = table->count;

		worker->requested_bytes =
			live_bytes + block_table_fill(table, BURST_BYTES, &worker->seed);
		for (size_t k = kept; k < table->count; k++) {
			if (random_step(&worker->seed) % BURST_KEPT_ONE_IN != 0) {
				free(table->blocks[k]);
				continue;
			}
			live_bytes += table->sizes[k];
			table->blocks[kept] = table->blocks[k];
			table->sizes[kept++] = table->sizes[k];
		}
		table->count = kept;
	}
	live_bytes += block_table_fill(table, MIXED_BYTES - live_bytes, &worker->seed);
	worker->live_bytes = live_bytes;
}

static void longest_note(struct worker *worker, uint64_t start_ns)
{
	uint64_t took_ns = clock_ns(CLOCK_MONOTONIC) - start_ns;

	if (took_ns > worker->longest_ns)
		worker->longest_ns = took_ns;
}

static void trickle_one(struct worker *worker)
{
	size_t bytes = block_bytes(&worker->seed);
	uint64_t start_ns = clock_ns(CLOCK_MONOTONIC);
	void *block = malloc(bytes);

	longest_note(worker, start_ns);
	CHECK(block != NULL);
	block_write(block, bytes);
	start_ns = clock_ns(CLOCK_MONOTONIC);
	free(block);
	longest_note(worker, start_ns);
}

/* Bursts; while a release runs the same rate evenly, so that some of it falls into the release. */
static void trickle(struct worker *worker)
{
	enum phase phase;

	while ((phase = phase_read()) < PHASE_END) {
		unsigned burst = phase == PHASE_RELEASE ? 1 : TRICKLE_BURST;

		for (unsigned i = 0; i < burst; i++)
			trickle_one(worker);
		nanosleep(&(struct timespec){.tv_nsec = (long)burst * TRICKLE_NS}, NULL);
	}
}

static void *worker_run(void *arg)
{
	struct worker *worker = arg;
	struct block_table table = block_table_make(WORKER_BYTES);
	bool mixed = strcmp(idle.pattern, "mixed") == 0;

	if (mixed)
		table_mix(worker, &table);
	else
		worker->requested_bytes = block_table_fill(&table, WORKER_BYTES, &worker->seed);
	phase_done();
	phase_await(PHASE_FREE);
	if (!mixed)
		table_free(worker, &table);
	block_table_unmap(&table);
	phase_done();
	if (strcmp(idle.ending, "park") == 0)
		phase_await(PHASE_END);
	else if (strcmp(idle.ending, "trickle") == 0)
		trickle(worker);
	return NULL;
}

static uint64_t worker_cpu_ns(struct worker *worker)
{
	clockid_t clock;

	if (strcmp(idle.ending, "exit") == 0)
		return 0;
	CHECK(pthread_getcpuclockid(worker->thread, &clock) == 0);
	return clock_ns(clock);
}

/* The processor time of threads that are not this program's, from some moment on. */
static int64_t background_ns(void)
{
	uint64_t others_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	for (unsigned i = 0; i < WORKERS; i++)
		others_ns += worker_cpu_ns(&idle.workers[i]);
	return (int64_t)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - others_ns);
}

static long current_kib(void)
{
	char text[32] = "";
	int fd = open(idle.memory_file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -1;
	CHECK(read(fd, text, sizeof text - 1) > 0);
	close(fd);
	return (long)(strtoull(text, NULL, 10) / KIB);
}

static void residency_tell(void)
{
	static const char rollup[] = "/proc/self/smaps_rollup";

	printf(" %ld %ld %ld", current_kib(), check_proc_number(rollup, "Rss", 10),
		check_proc_number(rollup, "LazyFree", 10));
}

static bool is_listed(unsigned second, char **list)
{
	for (; *list != NULL; list++)
		if ((unsigned)atoi(*list) == second)
			return true;
	return false;
}

static void rest(unsigned seconds, char **told)
{
	static uint64_t us[SECONDS_MAX + 1];
	uint64_t settled_ns = clock_ns(CLOCK_MONOTONIC);
	int64_t start_ns = background_ns();
	uint64_t most_us = 0;

	for (unsigned second = 1; second <= seconds; second++) {
		uint64_t due_ns = settled_ns + second * 1000000000ULL;
		int64_t spent_ns;
		unsigned before = second < WINDOW_S ? 0 : second - WINDOW_S;

		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME,
			       &(struct timespec){.tv_sec = (time_t)(due_ns / 1000000000U),
				       .tv_nsec = (long)(due_ns % 1000000000U)},
			       NULL) == EINTR)
			;
		/* The clocks are not read at the same moment. */
		spent_ns = background_ns() - start_ns;
		us[second] = spent_ns > 0 ? (uint64_t)spent_ns / 1000 : 0;
		if (us[second] > us[before] + most_us)
			most_us = us[second] - us[before];
		if (!is_listed(second, told))
			continue;
		printf("at %u", second);
		residency_tell();
		printf(" %llu\n", (unsigned long long)us[second]);
	}
	printf("background %llu\n", (unsigned long long)most_us);
}

static void release(void)
{
	uint64_t longest_ns = 0;
	uint64_t start_ns;
	uint64_t cpu_ns;

	phase_set(PHASE_RELEASE);
	/* Until none is asleep after a burst. */
	nanosleep(&(struct timespec){.tv_nsec = 2L * TRICKLE_BURST * TRICKLE_NS}, NULL);
	for (unsigned i = 0; i < WORKERS; i++)
		atomic_store(&idle.workers[i].longest_ns, 0);
	start_ns = clock_ns(CLOCK_MONOTONIC);
	cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	release_all();
	cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
	start_ns = clock_ns(CLOCK_MONOTONIC) - start_ns;
	for (unsigned i = 0; i < WORKERS; i++)
		if (idle.workers[i].longest_ns > longest_ns)
			longest_ns = idle.workers[i].longest_ns;
	printf("release %llu %llu", (unsigned long long)start_ns / 1000,
		(unsigned long long)cpu_ns / 1000);
	residency_tell();
	printf(" %llu\n", (unsigned long long)longest_ns / 1000);
}

static void workers_join(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(idle.workers[i].thread, NULL);
}

static void workers_settle(void)
{
	size_t live_bytes = 0;
	char go;

	phases_await(WORKERS);
	printf("filled %zu", idle.workers[0].requested_bytes + idle.workers[1].requested_bytes);
	residency_tell();
	printf("\n");
	CHECK(read(STDIN_FILENO, &go, 1) == 1);
	phase_set(PHASE_FREE);
	phases_await(2 * WORKERS);
	if (strcmp(idle.ending, "exit") == 0)
		workers_join();
	for (unsigned i = 0; i < WORKERS; i++)
		live_bytes += idle.workers[i].live_bytes;
	printf("settled %zu\n", live_bytes);
}

int main(int argc, char **argv)
{
	static char output[4096];

	if (argc < 5 || atoi(argv[argc - 1]) < 1 || atoi(argv[argc - 1]) > (int)SECONDS_MAX) {
		fprintf(stderr, "usage: idle PATTERN ENDING MEMORY_FILE SECOND...\n");
		return 2;
	}
	idle.pattern = argv[1];
	idle.ending = argv[2];
	idle.memory_file = argv[3];
	setvbuf(stdout, output, _IOLBF, sizeof output);
	for (unsigned i = 0; i < WORKERS; i++) {
		idle.workers[i].seed = 1 + i;
		CHECK(pthread_create(&idle.workers[i].thread, NULL, worker_run, &idle.workers[i]) ==
			0);
	}
	workers_settle();
	rest((unsigned)atoi(argv[argc - 1]), argv + 4);
	release();
	phase_set(PHASE_END);
	if (strcmp(idle.ending, "exit") != 0)
		workers_join();
	return 0;
}
