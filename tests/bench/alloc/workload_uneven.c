#include "tests/bench/alloc/workload.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

/*
 * Places shared by all, as in exchange, but not all threads do the same: one only allocates, one
 * only frees, the others do both, each in batches of 4 .. 32 blocks.  What the first
 * puts into empty places goes back through whichever thread comes by.
 */

#define PLACES 20000U
#define BLOCKS 6000000U
#define BATCH_MIN 4U
#define BATCH_MAX 32U
#define THREADS_MAX 16U

static _Atomic(void *) places[PLACES];
static _Atomic size_t allocating; /* threads that still do */

struct uneven {
	void *(*run)(void *);
	uint64_t seed;
	size_t blocks;
	size_t bytes_most;
	char apart[32];
};

static size_t batch_count(uint64_t *seed)
{
	return BATCH_MIN + random_step(seed) % (BATCH_MAX - BATCH_MIN + 1);
}

static size_t block_bytes(struct uneven *self)
{
	return 16 + random_step(&self->seed) % (self->bytes_most - 15);
}

/* Frees what is in so many places: how many blocks that were. */
static size_t batch_free(uint64_t *seed, size_t count)
{
	void *blocks[BATCH_MAX];
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		void *block = atomic_exchange(&places[random_step(seed) % PLACES], NULL);

		if (block != NULL)
			blocks[found++] = block;
	}
	for (size_t i = 0; i < found; i++)
		free(blocks[i]);
	return found;
}

/* Puts a block into each of so many places where there is none: how many that were. */
static size_t batch_allocate(struct uneven *self, size_t count)
{
	size_t put = 0;

	for (size_t i = 0; i < count; i++) {
		_Atomic(void *) *place = &places[random_step(&self->seed) % PLACES];
		void *none = NULL;
		void *block;

		if (atomic_load_explicit(place, memory_order_relaxed) != NULL)
			continue;
		block = block_take(block_bytes(self));
		if (atomic_compare_exchange_strong(place, &none, block))
			put++;
		else
			free(block);
	}
	return put;
}

static void *allocate_run(void *arg)
{
	struct uneven *self = arg;

	for (size_t put = 0; put < self->blocks;) {
		size_t now = batch_allocate(self, batch_count(&self->seed));

		put += now;
		if (now == 0)
			sched_yield();
	}
	atomic_fetch_sub(&allocating, 1);
	return NULL;
}

static void *free_run(void *arg)
{
	struct uneven *self = arg;

	while (atomic_load(&allocating) != 0)
		if (batch_free(&self->seed, batch_count(&self->seed)) == 0)
			sched_yield();
	return NULL;
}

static void *both_run(void *arg)
{
	struct uneven *self = arg;

	for (size_t put = 0; put < self->blocks;) {
		size_t count = batch_count(&self->seed);
		size_t now;

		batch_free(&self->seed, count);
		now = batch_allocate(self, count);
		put += now;
		if (now == 0)
			sched_yield();
	}
	atomic_fetch_sub(&allocating, 1);
	return NULL;
}

static void uneven(size_t threads, size_t bytes_most)
{
	static struct uneven all[THREADS_MAX];
	pthread_t ids[THREADS_MAX];

	atomic_store(&allocating, threads - 1);
	for (size_t i = 0; i < threads; i++) {
		all[i] = (struct uneven){
			.run = i == 0   ? free_run
			       : i == 1 ? allocate_run
					: both_run,
			.seed = i + 1,
			.blocks = BLOCKS / (threads - 1),
			.bytes_most = bytes_most,
		};
		if (pthread_create(&ids[i], NULL, all[i].run, &all[i]) != 0)
			abort();
	}
	for (size_t i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	for (size_t i = 0; i < PLACES; i++)
		free(atomic_exchange(&places[i], NULL));
}

void uneven_2(void)
{
	uneven(2, 1024);
}

void uneven_4(void)
{
	uneven(4, 1024);
}

void uneven_16(void)
{
	uneven(16, 1024);
}

void uneven_to_8_kib(void)
{
	uneven(4, 8192);
}
