/* Workloads of whole batches: handed from thread to thread on a stack, or kept in one table. */
#include "tests/bench/alloc/workload.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define THREADS_MAX 16U
#define PILE_MOST 100U
#define PILE_BLOCKS 4096U
#define PILED 12000000U

/* A batch of blocks on a pile, which is a stack: the last batch put is the next one taken. */
struct layer {
	struct layer *under;
	void *blocks[PILE_BLOCKS];
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t put;
	pthread_cond_t taken;
	struct layer *top;
	size_t height;
	size_t left; /* layers that are still to be put */
	size_t owed; /* and that are still to be taken */
} pile = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.put = PTHREAD_COND_INITIALIZER,
	.taken = PTHREAD_COND_INITIALIZER,
};

struct piler {
	uint64_t seed;
	bool puts;
	size_t bytes; /* 0: drawn at random */
};

/* Whether there is one more to be done. */
static bool claim(size_t *count)
{
	bool some;

	pthread_mutex_lock(&pile.lock);
	some = *count != 0;
	if (some)
		(*count)--;
	pthread_mutex_unlock(&pile.lock);
	return some;
}

static size_t drawn_bytes(uint64_t *seed)
{
	static const size_t sizes[] = {
		8, 12, 24, 40, 64, 96, 128, 200, 256, 400, 512, 800, 1024, 1500, 2048};

	return sizes[random_step(seed) % (sizeof sizes / sizeof sizes[0])];
}

static void pile_put(struct piler *self)
{
	while (claim(&pile.left)) {
		struct layer *layer = block_take(sizeof *layer);

		for (size_t i = 0; i < PILE_BLOCKS; i++)
			layer->blocks[i] = block_take(
				self->bytes != 0 ? self->bytes : drawn_bytes(&self->seed));
		pthread_mutex_lock(&pile.lock);
		while (pile.height >= PILE_MOST)
			pthread_cond_wait(&pile.taken, &pile.lock);
		layer->under = pile.top;
		pile.top = layer;
		pile.height++;
		pthread_cond_signal(&pile.put);
		pthread_mutex_unlock(&pile.lock);
	}
}

static void pile_take(void)
{
	while (claim(&pile.owed)) {
		struct layer *layer;

		pthread_mutex_lock(&pile.lock);
		while (pile.height == 0)
			pthread_cond_wait(&pile.put, &pile.lock);
		layer = pile.top;
		pile.top = layer->under;
		pile.height--;
		pthread_cond_signal(&pile.taken);
		pthread_mutex_unlock(&pile.lock);
		for (size_t i = 0; i < PILE_BLOCKS; i++)
			free(layer->blocks[i]);
		free(layer);
	}
}

static void *piler_run(void *arg)
{
	struct piler *self = arg;

	if (self->puts)
		pile_put(self);
	else
		pile_take();
	return NULL;
}

static void pile_run(size_t threads, size_t bytes)
{
	static struct piler pilers[THREADS_MAX];
	pthread_t ids[THREADS_MAX];

	pile.left = pile.owed = PILED / PILE_BLOCKS / (bytes != 0 ? 1 : 2);
	for (size_t i = 0; i < threads; i++) {
		pilers[i] = (struct piler){.seed = i + 1, .puts = i % 2 == 0, .bytes = bytes};
		if (pthread_create(&ids[i], NULL, piler_run, &pilers[i]) != 0)
			abort();
	}
	for (size_t i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
}

void pile_2(void)
{
	pile_run(2, 64);
}

void pile_4(void)
{
	pile_run(4, 64);
}

void pile_16(void)
{
	pile_run(16, 64);
}

void pile_of_sizes(void)
{
	pile_run(4, 0);
}

#define SHELF_ROOM 10000U
#define SHELF_KEPT (SHELF_ROOM / 5)

struct shelf {
	size_t rounds;
	size_t at;
	size_t kept;
	char *blocks[SHELF_ROOM];
};

static void shelf_free(struct shelf *shelf, size_t i)
{
	free(shelf->blocks[i]);
	shelf->blocks[i] = NULL;
}

/* A part stays; what lies before it goes in order, what lies behind it goes backwards. */
static void shelf_clear(struct shelf *shelf)
{
	for (size_t i = 0; i < shelf->kept; i++)
		shelf_free(shelf, i);
	for (size_t i = SHELF_ROOM; i > shelf->kept + SHELF_KEPT; i--)
		shelf_free(shelf, i - 1);
	shelf->kept = (shelf->kept + SHELF_KEPT) % SHELF_ROOM;
	shelf->at = 0;
}

static void shelf_skip(struct shelf *shelf)
{
	while (shelf->at < SHELF_ROOM && shelf->blocks[shelf->at] != NULL)
		shelf->at++;
}

static void shelf_add(struct shelf *shelf, size_t bytes)
{
	shelf_skip(shelf);
	if (shelf->at == SHELF_ROOM) {
		shelf_clear(shelf);
		shelf_skip(shelf);
	}
	shelf->blocks[shelf->at++] = block_take(bytes);
}

static void *shelf_run(void *arg)
{
	struct shelf *shelf = arg;

	for (size_t round = 0; round < shelf->rounds; round++)
		for (size_t bytes = 1; bytes <= 1000; bytes++)
			for (size_t i = 0; i < (bytes < 65 ? 10 : bytes < 257 ? 5 : 1); i++)
				shelf_add(shelf, bytes);
	for (size_t i = 0; i < SHELF_ROOM; i++)
		shelf_free(shelf, i);
	return NULL;
}

void shelves(void)
{
	static struct shelf shelf;

	shelf.rounds = 4000 / work_divisor;
	shelf_run(&shelf);
}

void shelves_2(void)
{
	static struct shelf shelves[2];
	pthread_t ids[2];

	for (size_t i = 0; i < 2; i++) {
		shelves[i].rounds = 3000;
		if (pthread_create(&ids[i], NULL, shelf_run, &shelves[i]) != 0)
			abort();
	}
	for (size_t i = 0; i < 2; i++)
		pthread_join(ids[i], NULL);
}
