#include "shim/heap/base/gate.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/scavenge/scavenge.h"
#include "tests/support/fake_os.h"
#include "tests/support/random.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WORKERS 4
#define SHELF 512
#define STEPS 40000

/* Blocks travel over the shelf: whoever finds one there frees it, whoever made it. */
struct block {
	uint32_t size;
	uint32_t fill;
};

static struct block *_Atomic shelf[SHELF];
static _Atomic bool stopping;
static _Atomic uint64_t wrong_blocks;

static void block_check_and_free(struct block *block)
{
	const unsigned char *at = (const unsigned char *)(block + 1);

	for (uint32_t i = 0; i < block->size; i += 61)
		if (at[i] != (unsigned char)block->fill)
			atomic_fetch_add(&wrong_blocks, 1);
	heap_free(block);
}

static struct block *block_new(void)
{
	uint32_t size = (uint32_t)random_below(random_below(64) == 0 ? 200000 : 1500);
	struct block *block = heap_malloc(sizeof *block + size);

	block->size = size;
	block->fill = (uint32_t)random_below(256);
	memset(block + 1, (int)block->fill, size);
	return block;
}

static void *run_worker(void *arg)
{
	random_begin((uintptr_t)arg);
	for (int i = 0; i < STEPS; i++) {
		struct block *block = random_below(2) == 0 ? block_new() : NULL;

		block = atomic_exchange(&shelf[random_below(SHELF)], block);
		if (block != NULL)
			block_check_and_free(block);
	}
	cache_thread_exit();
	return NULL;
}

static void *run_thief(void *arg)
{
	int round = 0;

	while (!atomic_load(&stopping)) {
		struct heap_pass pass = {
			.level = (enum heap_level)(HEAP_LAZY + round++ % 3),
			.max_bytes = 4 << 20,
			.idle_before_ns = UINT64_MAX,
		};
		struct heap_stats stats;

		heap_scavenge(&pass, HEAP_BY_FULL);
		heap_stats_read(&stats);
		sched_yield();
	}
	return arg;
}

static void *run_checker(void *arg)
{
	while (!atomic_load(&stopping)) {
		const char *wrong = heap_check();

		if (wrong != NULL) {
			print_error("%s\n", wrong);
			atomic_fetch_add(&wrong_blocks, 1);
		}
		sched_yield();
	}
	return arg;
}

static bool on_gate(size_t bytes)
{
	struct heap_pass pass = {
		.level = HEAP_EAGER, .max_bytes = 1 << 20, .idle_before_ns = UINT64_MAX};

	heap_scavenge(&pass, HEAP_GROWTH);
	return bytes % 3 == 0;
}

static void workers_start(pthread_t *threads, void *(*run)(void *))
{
	for (uintptr_t i = 0; i < WORKERS; i++)
		pthread_create(&threads[i], NULL, run, (void *)(i + 1));
}

static void workers_join(pthread_t *threads)
{
	for (int i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
}

static void clear_shelf(void)
{
	for (size_t i = 0; i < SHELF; i++) {
		struct block *block = atomic_exchange(&shelf[i], NULL);

		if (block != NULL)
			block_check_and_free(block);
	}
}

static void verify_empty(void)
{
	struct heap_pass pass = {
		.level = HEAP_FULL, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};
	struct heap_stats stats;

	heap_scavenge(&pass, HEAP_BY_FULL);
	heap_stats_read(&stats);
	assert_int_equal(stats.blocks, 0);
	assert_int_equal(stats.in_use_bytes, 0);
	assert_int_equal(stats.idle_dirty_bytes + stats.lazy_bytes, 0);
	assert_null(heap_check());
}

static void test_blocks_hold_while_others_free_scavenge_and_check(void **state)
{
	pthread_t workers[WORKERS];
	pthread_t thief;
	pthread_t checker;

	(void)state;
	atomic_store(&stopping, false);
	gate_set(on_gate);
	workers_start(workers, run_worker);
	pthread_create(&thief, NULL, run_thief, NULL);
	pthread_create(&checker, NULL, run_checker, NULL);
	workers_join(workers);
	atomic_store(&stopping, true);
	pthread_join(thief, NULL);
	pthread_join(checker, NULL);
	gate_set(NULL);
	clear_shelf();
	assert_int_equal(atomic_load(&wrong_blocks), 0);
	verify_empty();
}

static void *run_endless_worker(void *arg)
{
	random_begin((uintptr_t)arg);
	while (!atomic_load(&stopping)) {
		struct block *block = random_below(2) == 0 ? block_new() : NULL;

		block = atomic_exchange(&shelf[random_below(SHELF)], block);
		if (block != NULL)
			block_check_and_free(block);
	}
	cache_thread_exit();
	return NULL;
}

/* In the child: the heap must work and be whole, whatever the others were doing. */
static int child_main(void)
{
	static void *blocks[500];
	struct heap_pass pass = {
		.level = HEAP_FULL, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};

	if (heap_check() != NULL)
		return 1;
	for (size_t i = 0; i < 500; i++) {
		blocks[i] = heap_malloc(i * 90);
		memset(blocks[i], (int)i, i * 90);
	}
	heap_scavenge(&pass, HEAP_BY_FULL);
	for (size_t i = 0; i < 500; i++) {
		for (size_t k = 0; k < i * 90; k++)
			if (((unsigned char *)blocks[i])[k] != (unsigned char)i)
				return 2;
		heap_free(blocks[i]);
	}
	return heap_check() != NULL ? 3 : 0;
}

static int fork_and_wait(void)
{
	int status = 0;
	pid_t child;

	heap_fork_prepare();
	child = fork();
	if (child == 0) {
		heap_fork_child();
		_exit(child_main());
	}
	heap_fork_parent();
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static void test_children_forked_under_load_have_a_whole_heap(void **state)
{
	pthread_t workers[WORKERS];
	pthread_t thief;

	(void)state;
	atomic_store(&stopping, false);
	workers_start(workers, run_endless_worker);
	pthread_create(&thief, NULL, run_thief, NULL);
	for (int i = 0; i < 40; i++)
		assert_int_equal(fork_and_wait(), 0);
	atomic_store(&stopping, true);
	workers_join(workers);
	pthread_join(thief, NULL);
	clear_shelf();
	assert_int_equal(atomic_load(&wrong_blocks), 0);
	verify_empty();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_hold_while_others_free_scavenge_and_check),
		cmocka_unit_test(test_children_forked_under_load_have_a_whole_heap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
