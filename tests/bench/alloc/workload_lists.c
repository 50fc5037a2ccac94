#include "tests/bench/alloc/workload.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define LIST_BLOCKS 1000U

struct list {
	void *blocks[LIST_BLOCKS];
	size_t count;
};

static void list_fill(struct list *list, size_t count, size_t bytes)
{
	while (list->count < count)
		list->blocks[list->count++] = block_take(bytes);
}

/* Frees every other block in the order in which they came, and keeps the rest. */
static void list_halve(struct list *list)
{
	size_t kept = 0;

	for (size_t i = 0; i < list->count; i++) {
		if (i % 2 == 0)
			free(list->blocks[i]);
		else
			list->blocks[kept++] = list->blocks[i];
	}
	list->count = kept;
}

static void list_free(struct list *list, bool in_order)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->blocks[in_order ? i : list->count - 1 - i]);
	list->count = 0;
}

/* Lists of one size each, half freed in order, the rest eight lists later in order or not. */
void lists(void)
{
	static struct list kept[8];
	uint64_t seed = 9;

	for (size_t round = 0; round < 20000 / work_divisor; round++) {
		struct list *list = &kept[round % 8];

		list_free(list, round % 3 == 0);
		list_fill(list, 100 + random_step(&seed) % 900, 16 + random_step(&seed) % 1000);
		list_halve(list);
	}
	for (size_t i = 0; i < 8; i++)
		list_free(&kept[i], false);
}

#define SHORT_MOST 1800U
#define SHORT_TIMES 40U
#define SHORT_STEP 37U /* no factor of any length */

/* The i-th block of a list that is freed: in order, backwards, half of it either way, or scattered.
 */
static size_t short_place(size_t round, size_t i, size_t count)
{
	switch (round % 4) {
	case 0:
		return i;
	case 1:
		return count - 1 - i;
	case 2:
		return i < count / 2 ? i : count - 1 - (i - count / 2);
	default:
		return i * SHORT_STEP % count;
	}
}

static void short_run(uint64_t seed, size_t rounds)
{
	static const size_t counts[] = {30, 120, 450, SHORT_MOST};
	void *blocks[SHORT_MOST];

	for (size_t round = 0; round < rounds; round++) {
		size_t count = counts[random_step(&seed) % 4];
		size_t bytes = 16 + random_step(&seed) % 1000;

		for (size_t time = 0; time < SHORT_TIMES; time++) {
			for (size_t i = 0; i < count; i++)
				blocks[i] = block_take(bytes);
			for (size_t i = 0; i < count; i++)
				free(blocks[short_place(time, i, count)]);
		}
	}
}

void short_lists(void)
{
	short_run(10, 1000 / work_divisor);
}

static void *short_thread(void *seed)
{
	short_run(*(uint64_t *)seed, 1000);
	return NULL;
}

void short_lists_2(void)
{
	uint64_t seeds[] = {11, 12};
	pthread_t threads[2];

	for (size_t i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, short_thread, &seeds[i]) != 0)
			abort();
	for (size_t i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}
