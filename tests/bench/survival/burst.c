/*
 * Workers whose bursts of live memory take turns, so that the peak of what is live at once is
 * known.
 *
 *   burst WORKERS THREADS MIB SHAPE ROUNDS [INHERITED]
 *
 * WORKERS processes with THREADS threads each.  In each turn the next thread of all builds a burst
 * of MIB while the one before it still holds its own; then that one frees its burst except for one
 * block in KEEP, which it keeps until its next burst.  So two bursts and the rests of all others
 * are live at most, whatever the speed.
 *
 * INHERITED: the first process fills so many MiB, forks the workers, and keeps it; each worker
 * frees its copy before its first burst.
 *
 * SHAPE: mixed (16 bytes to 64 KiB, small ones as often as large ones), tiny (16 to 64 bytes), or
 * large (64 KiB to 1 MiB).
 *
 * At the end it prints "peak BYTES took MS": the highest sum of the requested bytes of live blocks,
 * and how long all turns took.  Ends with 0, or with 1 when a worker was killed.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define ACTORS_MAX 64
#define KEEP 12
#define USES 2

struct shape {
	const char *name;
	unsigned least_shift;
	unsigned shifts;
};

static const struct shape shapes[] = {{"mixed", 4, 12}, {"tiny", 4, 2}, {"large", 16, 4}};

/* What all processes share. */
struct turns {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned
		step; /* 2 t: turn t's burst is built; 2 t + 1: the one that it relieves is freed */
	uint64_t live_bytes;
	uint64_t peak_bytes;
};

struct block {
	struct block *next;
	size_t bytes;
};

struct actor {
	pthread_t thread;
	unsigned number;
	uint64_t seed;
	struct block *burst;
};

static struct turns *turns;
static volatile uint64_t used_hash;
static unsigned actors;
static unsigned turns_total;
static struct actor inherited = {.seed = 7};
static size_t burst_bytes;
static const struct shape *shape;

static void wait_step(unsigned step)
{
	pthread_mutex_lock(&turns->lock);
	while (turns->step < step)
		pthread_cond_wait(&turns->changed, &turns->lock);
	pthread_mutex_unlock(&turns->lock);
}

static void set_step(unsigned step)
{
	pthread_mutex_lock(&turns->lock);
	turns->step = step;
	pthread_cond_broadcast(&turns->changed);
	pthread_mutex_unlock(&turns->lock);
}

static uint64_t clock_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static size_t block_bytes(uint64_t *seed)
{
	uint64_t random = random_next(seed);
	size_t least = (size_t)1 << (shape->least_shift + random % shape->shifts);
	return least + (size_t)(random >> 32) % least;
}

static void live_add(int64_t bytes)
{
	pthread_mutex_lock(&turns->lock);
	turns->live_bytes += (uint64_t)bytes;
	if (turns->live_bytes > turns->peak_bytes)
		turns->peak_bytes = turns->live_bytes;
	pthread_mutex_unlock(&turns->lock);
}

/* What is live in another process as well is not counted a second time. */
static void free_all(struct block **burst, bool counted)
{
	struct block *kept = *burst;
	for (; kept != NULL; kept = *burst) {
		*burst = kept->next;
		if (counted)
			live_add(-(int64_t)kept->bytes);
		free(kept);
	}
}

static void build(struct actor *actor)
{
	size_t sum = 0;
	free_all(&actor->burst, true);
	while (sum < burst_bytes) {
		size_t bytes = block_bytes(&actor->seed);
		struct block *block = malloc(bytes);
		if (block == NULL)
			_exit(3);
		memset(block, 1, bytes);
		block->next = actor->burst;
		block->bytes = bytes;
		actor->burst = block;
		sum += bytes;
	}
	live_add((int64_t)sum);
}

/* The work that memory is wanted for: without it a run would be nothing but page faults. */
static void use(const struct actor *actor)
{
	uint64_t hash = 14695981039346656037U;
	for (unsigned round = 0; round < USES; round++)
		for (const struct block *block = actor->burst; block != NULL; block = block->next)
			for (size_t i = 0; i < block->bytes / sizeof(uint64_t); i++)
				hash = (hash ^ ((const uint64_t *)(const void *)block)[i]) *
				       1099511628211U;
	used_hash = hash;
}

static void let_go(struct actor *actor)
{
	struct block **at = &actor->burst;
	size_t sum = 0;
	while (*at != NULL) {
		struct block *block = *at;
		if (random_next(&actor->seed) % KEEP == 0) {
			at = &block->next;
			continue;
		}
		*at = block->next;
		sum += block->bytes;
		free(block);
	}
	live_add(-(int64_t)sum);
}

static void *run(void *argument)
{
	struct actor *actor = argument;
	/* One actor alone frees before it builds again. */
	unsigned held = actors > 1 ? 1 : 0;
	for (unsigned turn = actor->number; turn < turns_total; turn += actors) {
		wait_step(2 * turn);
		build(actor);
		use(actor);
		set_step(2 * turn + (turn < held ? 2 : 1));
		/* After the last turn nobody builds. */
		wait_step(2 * (turn + held) + (turn + held < turns_total ? 1 : 0));
		let_go(actor);
		set_step(2 * (turn + held) + 2);
	}
	return NULL;
}

static void be_worker(unsigned worker, unsigned threads)
{
	static struct actor actor[ACTORS_MAX];
	free_all(&inherited.burst, false);
	for (unsigned i = 0; i < threads; i++) {
		unsigned number = worker * threads + i;
		actor[i] = (struct actor){.number = number, .seed = 88172645463325252U + number};
		if (pthread_create(&actor[i].thread, NULL, run, &actor[i]) != 0)
			_exit(3);
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(actor[i].thread, NULL);
	_exit(0);
}

static void share_turns(void)
{
	pthread_mutexattr_t lock;
	pthread_condattr_t changed;
	turns = mmap(
		NULL, sizeof *turns, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (turns == MAP_FAILED)
		exit(3);
	pthread_mutexattr_init(&lock);
	pthread_mutexattr_setpshared(&lock, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&turns->lock, &lock);
	pthread_condattr_init(&changed);
	pthread_condattr_setpshared(&changed, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&turns->changed, &changed);
}

static void fill_inherited(size_t bytes)
{
	size_t of_workers = burst_bytes;
	struct actor first = inherited;
	burst_bytes = bytes;
	build(&first);
	inherited = first;
	burst_bytes = of_workers;
}

/* Whether all workers came to their end. */
static bool wait_workers(const pid_t *pid, unsigned workers)
{
	bool good = true;
	for (unsigned i = 0; i < workers; i++) {
		int status;
		pid_t ended = wait(&status);
		if (ended > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
			continue;
		for (unsigned k = 0; good && k < workers; k++)
			kill(pid[k], SIGKILL);
		good = false;
	}
	return good;
}

static const struct shape *find_shape(const char *name)
{
	for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
		if (strcmp(shapes[i].name, name) == 0)
			return &shapes[i];
	return NULL;
}

int main(int count, char **argument)
{
	pid_t pid[ACTORS_MAX];
	bool good = count == 6 || count == 7;
	unsigned workers = good ? (unsigned)strtoul(argument[1], NULL, 10) : 0;
	unsigned threads = good ? (unsigned)strtoul(argument[2], NULL, 10) : 0;
	shape = good ? find_shape(argument[4]) : NULL;
	if (shape == NULL || workers == 0 || threads == 0 || workers > ACTORS_MAX ||
		threads > ACTORS_MAX / workers) {
		fprintf(stderr,
			"usage: burst WORKERS THREADS MIB mixed|tiny|large ROUNDS [INHERITED]\n");
		return 2;
	}
	actors = workers * threads;
	burst_bytes = strtoul(argument[3], NULL, 10) * MIB;
	turns_total = (unsigned)strtoul(argument[5], NULL, 10) * actors;
	share_turns();
	if (count == 7)
		fill_inherited(strtoul(argument[6], NULL, 10) * MIB);
	uint64_t start_ms = clock_ms();
	for (unsigned i = 0; i < workers; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			be_worker(i, threads);
	}
	if (!wait_workers(pid, workers))
		return 1;
	printf("peak %llu took %llu\n", (unsigned long long)turns->peak_bytes,
		(unsigned long long)(clock_ms() - start_ms));
	return 0;
}
