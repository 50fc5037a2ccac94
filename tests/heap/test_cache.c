#include "shim/heap/base/os.h"
#include "shim/heap/base/size_class.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/caches/transfer.h"
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

#include <cmocka.h>

/* What a thread that has a cache may leave in the stacks of transfer.h. */
#define STACKS_BYTES (TRANSFER_FIRST_BYTES + TRANSFER_CACHE_BYTES + TRANSFER_LARGE_CACHE_BYTES)

#define BLOCKS 20000

static uint64_t cached_bytes(void)
{
	uint64_t slots;
	uint64_t bytes;

	cache_stats(&slots, &bytes);
	return bytes;
}

static uint64_t blocks_now(void)
{
	struct heap_stats stats;

	heap_stats_read(&stats);
	return stats.blocks;
}

static void churn(void)
{
	static __thread void *blocks[BLOCKS];

	for (size_t i = 0; i < BLOCKS; i++)
		blocks[i] = heap_malloc(random_below(SIZE_CLASS_MAX_BYTES / (1 + i % 50)));
	for (size_t i = 0; i < BLOCKS; i++)
		heap_free(blocks[i]);
}

static void test_a_cache_keeps_no_more_than_its_bound(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		churn();
	assert_true(cached_bytes() > 0);
	assert_true(cached_bytes() <= CACHE_BYTES_MAX + STACKS_BYTES);
	assert_null(heap_check());
}

static void *churn_without(void *unused)
{
	churn();
	assert_ptr_equal(cache_self, &cache_none);
	return unused;
}

static void test_a_heap_goes_without_caches(void **state)
{
	uint64_t blocks = blocks_now();
	pthread_t other;

	(void)state;
	churn();
	cache_go_without(true);
	assert_int_equal(cached_bytes(), 0);
	churn_without(NULL);
	assert_int_equal(pthread_create(&other, NULL, churn_without, NULL), 0);
	assert_int_equal(pthread_join(other, NULL), 0);
	assert_int_equal(cached_bytes(), 0);
	cache_go_without(false);
	churn();
	assert_true(cached_bytes() > 0);
	assert_true(blocks_now() == blocks);
	assert_null(heap_check());
}

/* A thread that has a cache and then parks. */
struct parked {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int step;
};

static void parked_go(struct parked *parked, int step)
{
	pthread_mutex_lock(&parked->lock);
	parked->step = step;
	pthread_cond_broadcast(&parked->changed);
	pthread_mutex_unlock(&parked->lock);
}

static void parked_wait(struct parked *parked, int step)
{
	pthread_mutex_lock(&parked->lock);
	while (parked->step < step)
		pthread_cond_wait(&parked->changed, &parked->lock);
	pthread_mutex_unlock(&parked->lock);
}

static void *run_parked(void *arg)
{
	struct parked *parked = arg;

	churn();
	parked_go(parked, 1);
	parked_wait(parked, 2);
	churn();
	cache_thread_exit();
	heap_free(heap_malloc(100));
	return NULL;
}

static void test_full_reaches_the_cache_of_a_parked_thread(void **state)
{
	struct parked parked = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	struct heap_pass pass = {
		.level = HEAP_FULL, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};
	struct heap_stats stats;
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, run_parked, &parked);
	parked_wait(&parked, 1);
	assert_true(cached_bytes() > 0);
	heap_scavenge(&pass, HEAP_BY_FULL);
	assert_int_equal(cached_bytes(), 0);
	heap_stats_read(&stats);
	assert_int_equal(stats.in_use_bytes, 0);
	parked_go(&parked, 2);
	pthread_join(thread, NULL);
	/* What is left belongs to this thread as much. */
	assert_true(cached_bytes() <= STACKS_BYTES);
	assert_int_equal(blocks_now(), 0);
	assert_null(heap_check());
}

/* A pass that finds idle what was so as the last one ended; passes look at caches each 200 ms. */
static uint64_t look(uint64_t idle_before_ns)
{
	struct heap_pass pass = {
		.level = HEAP_LAZY,
		.max_bytes = UINT64_MAX,
		.slabs_idle_before_ns = idle_before_ns,
	};

	atomic_fetch_add(&fake_os.now_ahead_ns, 210000000);
	heap_scavenge(&pass, HEAP_BY_LAZY);
	return os_now_ns();
}

/* Takes slots in use, each with a word of its own, and frees them. */
static void use(void **blocks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		blocks[i] = heap_malloc(1000);
		memset(blocks[i], 0, 1000);
		memcpy(blocks[i], &i, sizeof i);
	}
	for (size_t i = 0; i < count; i++) {
		assert_memory_equal(blocks[i], &i, sizeof i);
		heap_free(blocks[i]);
	}
}

static void test_a_cache_in_use_gives_back_what_it_does_not_need(void **state)
{
	static void *blocks[256];
	uint64_t looked_ns;
	unsigned size_class = size_class_of(1000);

	(void)state;
	churn();
	for (int i = 0; i < 10; i++)
		use(blocks, 256);
	assert_true(cached_bytes() > CACHE_BYTES_MAX / 2);
	looked_ns = look(os_now_ns());
	for (int i = 0; i < 9; i++) {
		use(blocks, 60);
		looked_ns = look(looked_ns);
	}
	/* What is used and a batch; of other classes nothing. */
	assert_in_range(cache_count(cache_self, size_class), 60, 128);
	assert_true(cached_bytes() <= (uint64_t)128 * 1024);
	assert_null(heap_check());
	/* Few are found out, too, although each look finds them changed. */
	for (int i = 0; i < 9; i++) {
		use(blocks, 3);
		looked_ns = look(looked_ns);
	}
	assert_in_range(cache_count(cache_self, size_class), 3, 6);
	assert_null(heap_check());
	for (int i = 0; i < 9; i++) {
		use(blocks, 256);
		looked_ns = look(looked_ns);
	}
	assert_in_range(cache_count(cache_self, size_class), 200, 256);
	assert_null(heap_check());
}

static void test_a_cache_in_use_changes_its_slots_for_the_lowest(void **state)
{
	static void *blocks[2000];
	unsigned size_class = size_class_of(1000);
	void *block;

	(void)state;
	for (size_t i = 0; i < 2000; i++)
		blocks[i] = heap_malloc(1000);
	/* The low ones go by, but for one in each slab, the high ones stay in the bin. */
	for (size_t i = 0; i < 2000; i++)
		if (i % 20 != 0)
			heap_free(blocks[i]);
	assert_true(cache_count(cache_self, size_class) >= 64);
	block = heap_malloc(1000);
	assert_true((uintptr_t)block > (uintptr_t)blocks[1500]);
	heap_free(block);
	look(os_now_ns());
	block = heap_malloc(1000);
	assert_true((uintptr_t)block < (uintptr_t)blocks[500]);
	heap_free(block);
	for (size_t i = 0; i < 2000; i += 20)
		heap_free(blocks[i]);
	assert_null(heap_check());
}

static uint64_t in_use_bytes(void)
{
	struct heap_stats stats;

	heap_stats_read(&stats);
	return stats.in_use_bytes;
}

/* Lists of blocks of one size, freed from both ends. */
static void use_lists(size_t bytes, size_t count, unsigned times)
{
	static void *blocks[2000];

	for (unsigned time = 0; time < times; time++) {
		for (size_t i = 0; i < count; i++)
			blocks[i] = heap_malloc(bytes);
		for (size_t i = 0; i < count; i++)
			heap_free(blocks[i % 2 == 0 ? i / 2 : count - 1 - i / 2]);
	}
}

/* The clock stands: it is not a scavenger that gives back. */
static void test_a_class_that_its_thread_left_gives_its_slots_back(void **state)
{
	unsigned size_class = size_class_of(1000);

	(void)state;
	use_lists(1000, 2000, 5);
	assert_true(cache_count(cache_self, size_class) > 100);
	use_lists(200, 2000, 100);
	assert_int_equal(cache_count(cache_self, size_class), 0);
	assert_int_equal(cache_limit(cache_self, size_class), 0);
	assert_true(cache_count(cache_self, size_class_of(200)) > 100);
	assert_true(in_use_bytes() <= 2U << 20);
	assert_null(heap_check());
}

static void test_a_class_in_use_keeps_its_slots_meanwhile(void **state)
{
	unsigned size_class = size_class_of(1000);
	static void *blocks[400];

	(void)state;
	use_lists(1000, 2000, 5);
	for (int i = 0; i < 20; i++) {
		use_lists(200, 2000, 1);
		/* So many that the bin is missed. */
		for (size_t k = 0; k < 400; k++)
			blocks[k] = heap_malloc(1000);
		for (size_t k = 0; k < 400; k++)
			heap_free(blocks[k]);
		assert_true(cache_count(cache_self, size_class) > 100);
	}
	assert_null(heap_check());
}

static void test_lists_of_many_sizes_leave_little_behind(void **state)
{
	(void)state;
	for (size_t bytes = 100; bytes <= 1000; bytes += 20)
		use_lists(bytes, 2000, 20);
	assert_true(in_use_bytes() <= 8U << 20);
	assert_null(heap_check());
}

static unsigned hook_calls;

static void on_first_cache(void)
{
	hook_calls++;
	heap_free(heap_malloc(50));
}

static void *run_short(void *arg)
{
	heap_free(heap_malloc(10));
	heap_free(heap_malloc(100));
	cache_thread_exit();
	heap_free(heap_malloc(10));
	return arg;
}

static void test_threads_come_and_go_and_leave_nothing(void **state)
{
	struct heap_stats before;
	struct heap_stats after;
	pthread_t thread;

	(void)state;
	cache_set_hook(on_first_cache);
	for (int i = 0; i < 200; i++) {
		if (i == 2)
			heap_stats_read(&before);
		pthread_create(&thread, NULL, run_short, NULL);
		pthread_join(thread, NULL);
	}
	cache_set_hook(NULL);
	heap_stats_read(&after);
	assert_int_equal(hook_calls, 200);
	assert_int_equal(after.metadata_bytes, before.metadata_bytes);
	assert_int_equal(after.blocks, 0);
	assert_null(heap_check());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_cache_keeps_no_more_than_its_bound),
		cmocka_unit_test(test_a_heap_goes_without_caches),
		cmocka_unit_test(test_full_reaches_the_cache_of_a_parked_thread),
		cmocka_unit_test(test_a_cache_in_use_gives_back_what_it_does_not_need),
		cmocka_unit_test(test_a_cache_in_use_changes_its_slots_for_the_lowest),
		cmocka_unit_test(test_a_class_that_its_thread_left_gives_its_slots_back),
		cmocka_unit_test(test_a_class_in_use_keeps_its_slots_meanwhile),
		cmocka_unit_test(test_lists_of_many_sizes_leave_little_behind),
		cmocka_unit_test(test_threads_come_and_go_and_leave_nothing),
	};

	atomic_store(&fake_os.now_stands_ns, UINT64_C(1000000000000000));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
