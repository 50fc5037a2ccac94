#include "tests/bench/alloc/workload.h"

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
