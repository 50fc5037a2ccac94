#include "tests/bench/alloc/workload.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#define THREADS_MAX 16U

/* Starts so many threads, each with its own part of args, and waits for all. */
static void run_threads(size_t threads, void *(*run)(void *), void *args, size_t arg_bytes)
{
	pthread_t ids[THREADS_MAX];

	for (size_t i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, run, (char *)args + i * arg_bytes) != 0)
			abort();
	for (size_t i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
}

#define PLACES 20000U
#define EXCHANGES 8000000U

static _Atomic(void *) places[PLACES];

struct exchanger {
	uint64_t seed;
	size_t steps;
	char apart[48];
};

static void *exchanger_run(void *arg)
{
	struct exchanger *self = arg;
	uint64_t seed = self->seed;

	for (size_t i = 0; i < self->steps; i++) {
		_Atomic(void *) *place = &places[random_step(&seed) % PLACES];

		free(atomic_exchange(place, NULL));
		free(atomic_exchange(place, block_take(16 + random_step(&seed) % 1000)));
	}
	return NULL;
}

static void exchange(size_t threads)
{
	static struct exchanger exchangers[THREADS_MAX];

	for (size_t i = 0; i < threads; i++)
		exchangers[i] = (struct exchanger){.seed = i + 1, .steps = EXCHANGES / threads};
	run_threads(threads, exchanger_run, exchangers, sizeof exchangers[0]);
	for (size_t i = 0; i < PLACES; i++)
		free(atomic_exchange(&places[i], NULL));
}

void exchange_2(void)
{
	exchange(2);
}

void exchange_4(void)
{
	exchange(4);
}

void exchange_16(void)
{
	exchange(16);
}

#define QUEUE_ROOM 256U
#define HANDED 12000000U

/* Small batches of blocks on their way from all producers to all consumers. */
struct batch {
	size_t count;
	void *blocks[];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct batch *batches[QUEUE_ROOM];
	size_t put;
	size_t taken;
	size_t producers; /* that still run */
} queue = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* One of the threads of hand_off. */
struct hand {
	uint64_t seed;
	size_t blocks; /* 0: a consumer */
	size_t bytes;  /* 0: drawn at random */
};

static void queue_put(struct batch *batch)
{
	pthread_mutex_lock(&queue.lock);
	while (queue.put - queue.taken == QUEUE_ROOM)
		pthread_cond_wait(&queue.changed, &queue.lock);
	queue.batches[queue.put++ % QUEUE_ROOM] = batch;
	pthread_cond_broadcast(&queue.changed);
	pthread_mutex_unlock(&queue.lock);
}

/* NULL: all producers are through. */
static struct batch *queue_take(void)
{
	struct batch *batch = NULL;

	pthread_mutex_lock(&queue.lock);
	while (queue.put == queue.taken && queue.producers != 0)
		pthread_cond_wait(&queue.changed, &queue.lock);
	if (queue.put != queue.taken) {
		batch = queue.batches[queue.taken++ % QUEUE_ROOM];
		pthread_cond_broadcast(&queue.changed);
	}
	pthread_mutex_unlock(&queue.lock);
	return batch;
}

static void produce(struct hand *self)
{
	for (size_t left = self->blocks; left != 0;) {
		size_t count = 20 + random_step(&self->seed) % 200;
		struct batch *batch;

		if (count > left)
			count = left;
		batch = block_take(sizeof *batch + count * sizeof(void *));
		batch->count = count;
		for (size_t i = 0; i < count; i++) {
			size_t drawn = 16 + random_step(&self->seed) % 1000;

			batch->blocks[i] = block_take(self->bytes != 0 ? self->bytes : drawn);
		}
		queue_put(batch);
		left -= count;
	}
	pthread_mutex_lock(&queue.lock);
	queue.producers--;
	pthread_cond_broadcast(&queue.changed);
	pthread_mutex_unlock(&queue.lock);
}

static void consume(void)
{
	struct batch *batch;

	while ((batch = queue_take()) != NULL) {
		for (size_t i = 0; i < batch->count; i++)
			free(batch->blocks[i]);
		free(batch);
	}
}

static void *hand_run(void *arg)
{
	struct hand *self = arg;

	if (self->blocks != 0)
		produce(self);
	else
		consume();
	return NULL;
}

static void hand_off(size_t threads, size_t bytes)
{
	static struct hand hands[THREADS_MAX];
	size_t producers = threads / 2;

	queue.producers = producers;
	for (size_t i = 0; i < threads; i++)
		hands[i] = (struct hand){
			.seed = i + 1,
			.blocks = i < producers ? HANDED / producers : 0,
			.bytes = bytes,
		};
	run_threads(threads, hand_run, hands, sizeof hands[0]);
}

void hand_off_2(void)
{
	hand_off(2, 0);
}

void hand_off_4(void)
{
	hand_off(4, 0);
}

void hand_off_16(void)
{
	hand_off(16, 0);
}

void hand_off_64_bytes(void)
{
	hand_off(4, 64);
}
