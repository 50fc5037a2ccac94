#include "shim/heap/heap.h"
#include "tests/support/fake_os.h"
#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LIVE_MAX 4000

static size_t random_size(void)
{
	uint64_t r = random_next();

	switch (r % 16) {
	case 0:
		return r / 16 % 400000;
	case 1:
	case 2:
		return r / 16 % 40000;
	default:
		return r / 16 % 1200;
	}
}

struct block {
	unsigned char *at;
	size_t size;
	unsigned char fill;
};

static struct block live[LIVE_MAX];
static size_t live_count;

static void block_fill(struct block *block)
{
	block->fill = (unsigned char)random_next();
	memset(block->at, block->fill, block->size);
}

static void block_verify(const struct block *block)
{
	for (size_t i = 0; i < block->size; i++)
		if (block->at[i] != block->fill)
			fail_msg("block %p of %zu changed at %zu", (void *)block->at, block->size,
				i);
}

static int by_address(const void *a, const void *b)
{
	const struct block *x = a;
	const struct block *y = b;

	return x->at < y->at ? -1 : x->at > y->at;
}

static void verify_no_overlap(void)
{
	qsort(live, live_count, sizeof live[0], by_address);
	for (size_t i = 1; i < live_count; i++)
		assert_true(live[i - 1].at + live[i - 1].size <= live[i].at);
}

static void verify_heap(void)
{
	const char *wrong = heap_check();
	struct heap_stats stats;

	if (wrong != NULL)
		fail_msg("%s", wrong);
	heap_stats_read(&stats);
	assert_int_equal(stats.mapped_bytes, stats.in_use_bytes + stats.idle_dirty_bytes +
						     stats.lazy_bytes + stats.clean_bytes +
						     stats.metadata_bytes);
	assert_int_equal(stats.blocks, live_count);
}

static void add_block(void *at, size_t size)
{
	struct block *block = &live[live_count];

	if (at == NULL)
		return;
	assert_int_equal((uintptr_t)at % HEAP_ALIGNMENT, 0);
	assert_true(heap_usable_size(at) >= size);
	block->at = at;
	block->size = size;
	live_count++;
	block_fill(block);
}

static void drop_block(size_t i)
{
	block_verify(&live[i]);
	heap_free(live[i].at);
	live[i] = live[--live_count];
}

static void drop_all(void)
{
	while (live_count > 0)
		drop_block(live_count - 1);
}

static void scavenge(enum heap_level level, uint64_t max_bytes)
{
	struct heap_pass pass = {
		.level = level, .max_bytes = max_bytes, .idle_before_ns = UINT64_MAX};

	heap_scavenge(&pass, HEAP_BY_LAZY);
}

static void step(void)
{
	uint64_t r = random_next();
	size_t size = random_size();
	size_t i = live_count != 0 ? random_next() % live_count : 0;

	if (live_count == 0 || (r % 100 < 45 && live_count < LIVE_MAX)) {
		add_block(heap_malloc(size), size);
	} else if (r % 100 < 50 && live_count < LIVE_MAX) {
		unsigned char *at = heap_calloc(size / 8 + 1, 8);

		for (size_t k = 0; at != NULL && k < (size / 8 + 1) * 8; k++)
			assert_int_equal(at[k], 0);
		add_block(at, (size / 8 + 1) * 8);
	} else if (r % 100 < 54 && live_count < LIVE_MAX) {
		size_t alignment = (size_t)1 << r / 100 % 17;
		void *at = heap_memalign(alignment, size);

		assert_int_equal((uintptr_t)at % alignment, 0);
		add_block(at, size);
	} else if (r % 100 < 65) {
		size_t kept = size < live[i].size ? size : live[i].size;
		unsigned char *at = heap_realloc(live[i].at, size);

		if (at == NULL)
			return;
		live[i].at = at;
		live[i].size = kept;
		block_verify(&live[i]);
		live[i].size = size;
		block_fill(&live[i]);
	} else {
		drop_block(i);
	}
}

static void test_random_operations_keep_every_block(void **state)
{
	(void)state;
	for (int i = 0; i < 60000; i++) {
		step();
		if (i % 997 == 0)
			scavenge((enum heap_level)(random_next() % HEAP_LEVELS), 1 << 20);
		if (i % 5000 == 0) {
			verify_no_overlap();
			verify_heap();
		}
	}
	drop_all();
	verify_heap();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations_keep_every_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
