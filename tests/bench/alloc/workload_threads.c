#include "tests/bench/alloc/workload.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#define THREADS 4U

static void run_all(size_t count, void *(*run)(void *), void *args, size_t arg_bytes)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, run, (char *)args + i * arg_bytes) != 0)
			abort();
	for (size_t i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

/* A table of blocks that somebody replaces at random. */
struct table {
	void *blocks[1000];
	uint64_t seed;
	size_t rounds;
};

static void *table_run(void *arg)
{
	struct table *table = arg;

	for (size_t i = 0; i < table->rounds; i++) {
		void **block = &table->blocks[random_step(&table->seed) % 1000];

		free(*block);
		*block = block_take(8 + random_step(&table->seed) % 992);
	}
	return NULL;
}

static void tables_run(size_t threads, size_t turns, size_t rounds)
{
	static struct table tables[THREADS];

	for (size_t i = 0; i < threads; i++)
		tables[i] = (struct table){.seed = i + 1, .rounds = rounds};
	for (size_t turn = 0; turn < turns; turn++)
		run_all(threads, table_run, tables, sizeof tables[0]);
	for (size_t i = 0; i < threads; i++)
		for (size_t k = 0; k < 1000; k++)
			free(tables[i].blocks[k]);
}

void churn_threads(void)
{
	tables_run(THREADS, 1, 6000000);
}

/* Every turn has new threads, which find tables that others filled (Larson and Krishnan, 1998). */
void larson(void)
{
	tables_run(THREADS, 120, 40000);
}

void larson_2(void)
{
	tables_run(2, 120, 80000);
}

#define QUEUE_BATCHES 64U
#define BATCH_BLOCKS 100U

/* From one that allocates to one that frees. */
struct queue {
	_Atomic uint64_t put;
	char apart[56];
	_Atomic uint64_t taken;
	void *batches[QUEUE_BATCHES][BATCH_BLOCKS];
};

/* Two threads to a queue, the even one produces. */
struct end {
	struct queue *queue;
	bool produces;
};

static void *end_run(void *arg)
{
	struct end *end = arg;
	struct queue *queue = end->queue;
	uint64_t seed = 7;

	for (uint64_t i = 0; i < 60000; i++) {
		void **batch = queue->batches[i % QUEUE_BATCHES];

		while (end->produces ? i - queue->taken >= QUEUE_BATCHES : queue->put == i)
			sched_yield();
		for (size_t k = 0; k < BATCH_BLOCKS; k++) {
			if (end->produces)
				batch[k] = block_take(16 + random_step(&seed) % 500);
			else
				free(batch[k]);
		}
		atomic_fetch_add(end->produces ? &queue->put : &queue->taken, 1);
	}
	return NULL;
}

void produce_consume(void)
{
	static struct queue queues[THREADS / 2];
	struct end ends[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		ends[i] = (struct end){.queue = &queues[i / 2], .produces = i % 2 == 0};
	run_all(THREADS, end_run, ends, sizeof ends[0]);
}

#define TRADE_PLACES 1000U

static _Atomic(void *) trade[TRADE_PLACES];

/* What one thread of mstress holds. */
struct stock {
	void **blocks;
	size_t count;
	size_t room;
};

static void stock_add(struct stock *stock, void *block)
{
	if (stock->count == stock->room) {
		stock->room = stock->room != 0 ? stock->room * 2 : 64;
		stock->blocks = realloc(stock->blocks, stock->room * sizeof(void *));
	}
	stock->blocks[stock->count++] = block;
}

static void *stock_remove(struct stock *stock, size_t i)
{
	void *block = stock->blocks[i];

	stock->blocks[i] = stock->blocks[--stock->count];
	return block;
}

/* Mostly up to 800 bytes, one in ten ten times that, one in a hundred a hundred times. */
static size_t mixed_bytes(uint64_t *seed)
{
	uint64_t random = random_step(seed);
	size_t bytes = 8 * (1 + (random >> 8) % 100);

	return bytes * (random % 100 == 0 ? 100 : random % 10 == 0 ? 10 : 1);
}

static void *mstress_run(void *arg)
{
	uint64_t seed = *(uint64_t *)arg;
	struct stock stock = {.count = 0};

	for (size_t left = 20000; left > 0;) {
		unsigned dice = random_step(&seed) % 100;

		if (dice < 60 || stock.count == 0) {
			stock_add(&stock, block_take(mixed_bytes(&seed)));
			left--;
		} else if (dice < 80) {
			free(stock_remove(&stock, random_step(&seed) % stock.count));
		} else {
			void *mine = stock_remove(&stock, random_step(&seed) % stock.count);
			void *other =
				atomic_exchange(&trade[random_step(&seed) % TRADE_PLACES], mine);

			if (other != NULL)
				stock_add(&stock, other);
		}
	}
	while (stock.count > 0)
		free(stock_remove(&stock, stock.count - 1));
	free(stock.blocks);
	return NULL;
}

/* After the stress of that name in mimalloc's own tests. */
static void mstress_all(size_t threads, uint64_t turns)
{
	for (uint64_t turn = 0; turn < turns; turn++) {
		uint64_t seeds[THREADS];

		for (size_t i = 0; i < threads; i++)
			seeds[i] = turn * threads + i + 1;
		run_all(threads, mstress_run, seeds, sizeof seeds[0]);
		for (size_t k = 0; turn % 5 == 4 && k < TRADE_PLACES; k++)
			free(atomic_exchange(&trade[k], NULL));
	}
}

void mstress(void)
{
	mstress_all(THREADS, 50);
}

void mstress_2(void)
{
	mstress_all(2, 100);
}
