#include "tests/bench/alloc/workload.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Many more threads than processors, and processes that begin with what their parent allocated.
 */

#define CROWD_MAX 64U
#define CROWD_BLOCKS 200U
#define CROWD_PLACES 4096U
#define CROWD_STEPS 24000000U /* of all threads */

struct member {
	pthread_t thread;
	uint64_t seed;
	size_t steps;
	void *blocks[CROWD_BLOCKS];
};

static _Atomic(void *) crowd_places[CROWD_PLACES];

/* Replaces blocks of its own; every eighth goes to a place of all, and what was there is freed. */
static void *member_run(void *arg)
{
	struct member *self = arg;

	for (size_t i = 0; i < self->steps; i++) {
		uint64_t random = random_step(&self->seed);
		void **block = &self->blocks[random % CROWD_BLOCKS];

		if (i % 8 == 0)
			*block = atomic_exchange(
				&crowd_places[(random >> 32) % CROWD_PLACES], *block);
		free(*block);
		*block = block_take(16 + (random >> 16) % 1000);
	}
	for (size_t i = 0; i < CROWD_BLOCKS; i++)
		free(self->blocks[i]);
	return NULL;
}

static void crowd(size_t threads)
{
	static struct member members[CROWD_MAX];

	for (size_t i = 0; i < threads; i++) {
		members[i].seed = i + 1;
		members[i].steps = CROWD_STEPS / threads;
		if (pthread_create(&members[i].thread, NULL, member_run, &members[i]) != 0)
			abort();
	}
	for (size_t i = 0; i < threads; i++)
		pthread_join(members[i].thread, NULL);
	for (size_t i = 0; i < CROWD_PLACES; i++)
		free(atomic_exchange(&crowd_places[i], NULL));
}

void crowd_16(void)
{
	crowd(16);
}

void crowd_64(void)
{
	crowd(64);
}

#define INHERITED 100000U
#define WORKERS 4U
#define WORKER_STEPS 400000U

/* A worker replaces blocks that its parent allocated, then ends without freeing any. */
static void worker_run(void **blocks, uint64_t seed)
{
	for (size_t i = 0; i < WORKER_STEPS; i++) {
		uint64_t random = random_step(&seed);
		void **block = &blocks[random % INHERITED];

		free(*block);
		*block = block_take(16 + (random >> 32) % 1000);
	}
	_exit(0);
}

void prefork(void)
{
	static void *blocks[INHERITED];
	uint64_t seed = 13;

	for (size_t i = 0; i < INHERITED; i++)
		blocks[i] = block_take(16 + random_step(&seed) % 1000);
	for (size_t round = 0; round < 5; round++) {
		int status = 0;

		for (size_t i = 0; i < WORKERS; i++) {
			pid_t pid = fork();

			if (pid < 0)
				abort();
			if (pid == 0)
				worker_run(blocks, round * WORKERS + i + 1);
		}
		for (size_t i = 0; i < WORKERS; i++)
			if (wait(&status) < 0 || status != 0)
				abort();
	}
	for (size_t i = 0; i < INHERITED; i++)
		free(blocks[i]);
}
