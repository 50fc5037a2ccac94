#include "shim/heap/caches/cache.h"
#include "shim/heap/caches/cache_owner.h"
#include "shim/heap/front/heap.h"
#include "tests/support/fake_os.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/*
 * What an owner puts off while a thief is in its cache.  Limits may shrink and
 * the bins cannot follow: a bin that is over its limit by more than a batch
 * afterwards is legal.  A wish stays until it is fulfilled.
 */

#define BLOCKS 1000
#define SIZE 16
#define SHRUNK 64U
#define TURNS_MAX 100000

struct thief {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct cache *cache;
	int step;
};

static void thief_go(struct thief *thief, int step)
{
	pthread_mutex_lock(&thief->lock);
	thief->step = step;
	pthread_cond_broadcast(&thief->changed);
	pthread_mutex_unlock(&thief->lock);
}

static void thief_wait(struct thief *thief, int step)
{
	pthread_mutex_lock(&thief->lock);
	while (thief->step < step)
		pthread_cond_wait(&thief->changed, &thief->lock);
	pthread_mutex_unlock(&thief->lock);
}

/* Holds the cache as fork and heap_check do, and takes nothing out of it. */
static void *run_thief(void *arg)
{
	struct thief *thief = arg;

	lock_take(&thief->cache->thief);
	cache_keep_owners_out(thief->cache);
	assert_int_equal(thief->cache->fork_busy, 0);
	thief_go(thief, 1);
	thief_wait(thief, 2);
	cache_let_owners_in(thief->cache);
	lock_drop(&thief->cache->thief);
	return NULL;
}

/* Frees until the bin is as full as can be; how many blocks are left. */
static size_t fill_class(void **blocks, const struct cache *cache, unsigned size_class)
{
	size_t left = BLOCKS;

	for (size_t i = 0; i < BLOCKS; i++)
		blocks[i] = heap_malloc(SIZE);
	while (left != 0 && cache_count(cache, size_class) < cache->rooms[size_class].room)
		heap_free(blocks[--left]);
	return left;
}

static void test_a_bin_far_over_its_limit_is_shed_in_batches(void **state)
{
	static void *blocks[BLOCKS];
	struct thief thief = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	unsigned size_class = size_class_of(SIZE);
	const struct cache *cache;
	pthread_t thread;
	size_t left;

	(void)state;
	heap_free(heap_malloc(SIZE));
	cache = cache_self;
	left = fill_class(blocks, cache, size_class);
	assert_true(left != 0);
	thief.cache = cache_self;
	pthread_create(&thread, NULL, run_thief, &thief);
	thief_wait(&thief, 1);
	for (unsigned i = 0; i < TURNS_MAX && cache_limit(cache, size_class) > SHRUNK; i++)
		heap_free(heap_malloc(size_classes[2 + i % (size_class_of(4096) - 1)].bytes));
	thief_go(&thief, 2);
	pthread_join(thread, NULL);
	assert_true(cache_limit(cache, size_class) <= SHRUNK);
	assert_int_equal(cache_count(cache, size_class), cache->rooms[size_class].room);
	while (left != 0)
		heap_free(blocks[--left]);
	assert_true(cache_count(cache, size_class) <= cache_limit(cache, size_class));
	assert_null(heap_check());
}

/* Asks where nobody can be seized, then holds the cache. */
static void *run_asking_thief(void *arg)
{
	atomic_store(&fake_os.refuse_fence, true);
	cache_drain_all(UINT64_MAX);
	atomic_store(&fake_os.refuse_fence, false);
	return run_thief(arg);
}

static void test_a_wish_outlives_a_slow_path_that_could_not_fulfil_it(void **state)
{
	struct thief thief = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	unsigned size_class = size_class_of(SIZE);
	const struct cache *cache;
	pthread_t thread;

	(void)state;
	heap_free(heap_malloc(SIZE));
	thief.cache = cache_self;
	cache = cache_self;
	assert_true(cache_count(cache, size_class) != 0);
	pthread_create(&thread, NULL, run_asking_thief, &thief);
	thief_wait(&thief, 1);
	heap_free(heap_malloc(SIZE));
	thief_go(&thief, 2);
	pthread_join(thread, NULL);
	assert_true(cache_count(cache, size_class) != 0);
	heap_free(heap_malloc(SIZE_CLASS_MAX_BYTES));
	assert_int_equal(cache_count(cache, size_class), 0);
	assert_null(heap_check());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_bin_far_over_its_limit_is_shed_in_batches),
		cmocka_unit_test(test_a_wish_outlives_a_slow_path_that_could_not_fulfil_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
