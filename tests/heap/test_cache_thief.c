#include "shim/heap/caches/cache.h"
#include "shim/heap/caches/cache_owner.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/front/heap_fast.h"
#include "shim/heap/scavenge/scavenge.h"
#include "shim/heap/slabs/central.h"
#include "tests/support/fake_os.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * Drains and forks while owners stand still inside their caches, as they do when the kernel takes
 * the CPU from them there: no wait of any kind, one fence for all caches, and no slot lost but
 * those that cache_owner.h names.
 */

#define OWNERS 64U
#define SIZE 64U
#define OTHER_SIZE 160U
#define BLOCKS ((size_t)40)

enum place { PARKED, INSIDE_FAST, INSIDE_BIN };

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned ready;
	unsigned step;
} turns = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

struct owner {
	pthread_t thread;
	struct cache *cache;
	enum place place;
};

static struct owner owners[OWNERS];

static void turns_wait(unsigned step)
{
	pthread_mutex_lock(&turns.lock);
	turns.ready++;
	pthread_cond_broadcast(&turns.changed);
	while (turns.step < step)
		pthread_cond_wait(&turns.changed, &turns.lock);
	pthread_mutex_unlock(&turns.lock);
}

/* Lets the owners go on to a step, and waits until all have done it. */
static void turns_go(unsigned step)
{
	pthread_mutex_lock(&turns.lock);
	turns.step = step;
	turns.ready = step == 0 ? turns.ready : 0;
	pthread_cond_broadcast(&turns.changed);
	while (turns.ready < OWNERS)
		pthread_cond_wait(&turns.changed, &turns.lock);
	pthread_mutex_unlock(&turns.lock);
}

static void fill_cache(void)
{
	void *blocks[2 * BLOCKS];

	for (size_t i = 0; i < 2 * BLOCKS; i++)
		blocks[i] = heap_malloc(i < BLOCKS ? SIZE : OTHER_SIZE);
	for (size_t i = 0; i < 2 * BLOCKS; i++)
		heap_free(blocks[i]);
}

/* Step 1: comes out of its cache.  Step 2: a malloc and a free.  Step 3: ends. */
static void *run_owner(void *arg)
{
	struct owner *owner = arg;
	bool inside = true;
	void *block;

	fill_cache();
	owner->cache = cache_self;
	if (owner->place == INSIDE_FAST)
		inside = cache_enter(cache_self);
	else if (owner->place == INSIDE_BIN)
		inside = cache_enter_bin(cache_self, size_class_of(SIZE));
	turns_wait(1);
	if (owner->place != PARKED && inside)
		cache_leave(cache_self);
	turns_wait(2);
	block = heap_malloc_fast(SIZE);
	heap_free(block != NULL ? block : heap_malloc(SIZE));
	turns_wait(3);
	cache_thread_exit();
	return NULL;
}

static void owners_start(void)
{
	turns.step = 0;
	turns.ready = 0;
	for (size_t i = 0; i < OWNERS; i++) {
		owners[i].place = i % 4 == 0 ? INSIDE_FAST : i % 4 == 1 ? INSIDE_BIN : PARKED;
		pthread_create(&owners[i].thread, NULL, run_owner, &owners[i]);
	}
	turns_go(0);
}

static void owners_end(void)
{
	pthread_mutex_lock(&turns.lock);
	turns.step = 3;
	pthread_cond_broadcast(&turns.changed);
	pthread_mutex_unlock(&turns.lock);
	for (size_t i = 0; i < OWNERS; i++)
		pthread_join(owners[i].thread, NULL);
}

static unsigned slots_of(const struct owner *owner)
{
	return cache_count(owner->cache, size_class_of(SIZE)) +
	       cache_count(owner->cache, size_class_of(OTHER_SIZE));
}

static void verify_whole(void)
{
	struct heap_stats stats;

	cache_drain_all(UINT64_MAX);
	heap_stats_read(&stats);
	assert_int_equal(stats.blocks, 0);
	assert_null(heap_check());
}

static void test_a_drain_waits_for_nobody_and_fences_once(void **state)
{
	uint64_t waits;
	uint64_t fences;

	(void)state;
	owners_start();
	waits = atomic_load(&fake_os.waits);
	fences = atomic_load(&fake_os.fences);
	cache_drain_all(UINT64_MAX);
	assert_int_equal(atomic_load(&fake_os.waits), waits);
	assert_int_equal(atomic_load(&fake_os.fences), fences + 1);
	for (size_t i = 0; i < OWNERS; i++)
		assert_int_equal(slots_of(&owners[i]) != 0, owners[i].place != PARKED);
	turns_go(1);
	turns_go(2);
	for (size_t i = 0; i < OWNERS; i++)
		if (owners[i].place != PARKED)
			assert_int_equal(
				cache_count(owners[i].cache, size_class_of(OTHER_SIZE)), 0);
	owners_end();
	verify_whole();
}

static void test_an_owner_that_came_out_and_is_parked_is_emptied_by_the_next_drain(void **state)
{
	(void)state;
	owners_start();
	cache_drain_all(UINT64_MAX);
	turns_go(1);
	cache_drain_all(UINT64_MAX);
	for (size_t i = 0; i < OWNERS; i++)
		assert_int_equal(slots_of(&owners[i]), 0);
	owners_end();
	verify_whole();
}

/* What a cache that was `place` loses to a child. */
static unsigned lost_slots(const struct owner *owner)
{
	if (owner->place == INSIDE_FAST)
		return 2;
	return owner->place == INSIDE_BIN ? cache_count(owner->cache, size_class_of(SIZE)) : 0;
}

static int child_main(uint64_t lost)
{
	struct central_stats stats;
	uint64_t cached;
	uint64_t bytes;

	cache_drain_all(UINT64_MAX);
	cache_stats(&cached, &bytes);
	central_stats(&stats);
	if (cached != 0 || heap_check() != NULL)
		return 1;
	return stats.used_slots == lost ? 0 : 2;
}

static void test_a_fork_waits_for_no_owner_and_its_child_loses_what_they_were_at(void **state)
{
	uint64_t lost = 0;
	uint64_t waits;
	uint64_t fences;
	int status = 0;
	pid_t pid;

	(void)state;
	owners_start();
	for (size_t i = 0; i < OWNERS; i++)
		lost += lost_slots(&owners[i]);
	waits = atomic_load(&fake_os.waits);
	fences = atomic_load(&fake_os.fences);
	heap_fork_prepare();
	pid = fork();
	if (pid == 0) {
		heap_fork_child();
		_exit(child_main(lost));
	}
	heap_fork_parent();
	assert_int_equal(atomic_load(&fake_os.waits), waits);
	assert_int_equal(atomic_load(&fake_os.fences), fences + 1);
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	turns_go(1);
	owners_end();
	verify_whole();
}

static void test_an_owner_that_comes_first_fulfils_the_wish(void **state)
{
	struct cache *cache;
	uint32_t wish = cache_wish_new(CACHE_EMPTY);
	uint32_t later = cache_wish_new(CACHE_EMPTY);

	(void)state;
	fill_cache();
	cache = cache_self;
	assert_true(cache_ask(cache, wish));
	assert_false(cache_ask(cache, cache_wish_new(CACHE_MARK)));
	heap_free(heap_malloc(SIZE));
	assert_int_equal(cache_count(cache, size_class_of(OTHER_SIZE)), 0);
	assert_false(cache_seize(cache, wish));
	/* The last drain to ask is the one that may come in. */
	assert_true(cache_ask(cache, wish));
	assert_true(cache_ask(cache, later));
	assert_false(cache_seize(cache, wish));
	assert_true(cache_seize(cache, later));
	assert_false(cache_ask(cache, wish));
	cache_release(cache);
	assert_int_equal(cache_fulfil(cache), CACHE_NO_WISH);
	verify_whole();
}

static void test_a_size_that_cannot_be_had_empties_no_cache(void **state)
{
	uint64_t fences;
	unsigned slots;

	(void)state;
	owners_start();
	fences = atomic_load(&fake_os.fences);
	slots = slots_of(&owners[2]);
	assert_null(heap_malloc((size_t)1 << 62));
	assert_null(heap_calloc((size_t)1 << 30, (size_t)1 << 31));
	assert_null(heap_memalign((size_t)1 << 21, (size_t)1 << 60));
	assert_int_equal(atomic_load(&fake_os.fences), fences);
	assert_int_equal(slots_of(&owners[2]), slots);
	turns_go(1);
	owners_end();
	verify_whole();
}

static void test_a_request_empties_caches_twice_at_most(void **state)
{
	struct heap_request request = {0};
	static void *blocks[4096];
	uint64_t fences;
	unsigned passes = 0;
	bool more = true;

	(void)state;
	owners_start();
	for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
		blocks[i] = heap_malloc(2000);
	for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
		heap_free(blocks[i]);
	fences = atomic_load(&fake_os.fences);
	while (more) {
		struct heap_pass pass = {
			.level = HEAP_FULL,
			.max_bytes = (uint64_t)1 << 20,
			.idle_before_ns = UINT64_MAX,
			.request = &request,
		};

		heap_scavenge(&pass, HEAP_BY_FULL);
		more = pass.more;
		passes++;
	}
	assert_true(passes >= 8);
	assert_int_equal(request.drains, 2);
	assert_in_range(atomic_load(&fake_os.fences) - fences, 1, 2);
	turns_go(1);
	owners_end();
	verify_whole();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_drain_waits_for_nobody_and_fences_once),
		cmocka_unit_test(
			test_an_owner_that_came_out_and_is_parked_is_emptied_by_the_next_drain),
		cmocka_unit_test(
			test_a_fork_waits_for_no_owner_and_its_child_loses_what_they_were_at),
		cmocka_unit_test(test_an_owner_that_comes_first_fulfils_the_wish),
		cmocka_unit_test(test_a_size_that_cannot_be_had_empties_no_cache),
		cmocka_unit_test(test_a_request_empties_caches_twice_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
