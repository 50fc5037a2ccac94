#include "shim/heap/caches/cache.h"
#include "shim/heap/caches/cache_state.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/front/heap_fast.h"
#include "shim/heap/scavenge/scavenge.h"
#include "tests/support/fake_os.h"
#include "tests/support/random.h"
#include "tests/support/skip.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * Owners at full speed in their caches, thieves that take these away all the
 * time.  A block that two have at once shows in two ways: a word in it that is
 * 0 while it is free and names its holder else, and a table beside the heap,
 * by address, that is changed with an atomic exchange.
 *
 * The same with a fence that does not fence has to fail, or the test would
 * prove nothing.  What fails for certain is a bare cache with a plain counter
 * in place of the bins: the counter loses an increment.
 *
 * ThreadSanitizer knows acquire and release and nothing of membarrier.  It
 * does not need to: whoever comes inside has read the other's release, E3 or
 * S6.  What the fence is for, that neither overlooks the other's flag, it cannot
 * see; tests/heap/test_takeover_model.c and the counter do.  E2 before E1 is for the
 * model alone: an owner is through before the thief is back from the kernel.
 *
 * TAKEOVER_TIMES in the environment makes everything so many times as long.
 */

#define OWNERS 2
#define THIEVES 2
#define STEPS 150000
#define FORKS 10
#define COMERS 60
#define HELD 8
#define TABLE ((size_t)1 << 22)

struct holder {
	uint32_t name; /* not 0 */
	uint32_t steps;
};

static _Atomic uint8_t table[TABLE];
static _Atomic bool stopping;
static _Atomic uint64_t wrong_blocks;
static bool table_used;
static bool reckless;

static uint32_t times(void)
{
	const char *text = getenv("TAKEOVER_TIMES");
	long value = text == NULL ? 1 : strtol(text, NULL, 10);

	return value < 1 ? 1 : (uint32_t)value;
}

static bool one_cpu(void)
{
	cpu_set_t cpus;

	return sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) < 2;
}

static uint64_t cached_bytes(void)
{
	uint64_t slots;
	uint64_t bytes;

	cache_stats(&slots, &bytes);
	return bytes;
}

/* Owners ------------------------------------------------------------------ */

static void wrong_if(bool wrong)
{
	if (wrong)
		atomic_fetch_add(&wrong_blocks, 1);
}

/* The heap of this program is far under 64 MiB, so that two blocks do not share an entry. */
static void table_change(const void *block, uint32_t from, uint32_t to)
{
	size_t index = (uintptr_t)block / HEAP_ALIGNMENT % TABLE;

	if (table_used)
		wrong_if(atomic_exchange(&table[index], (uint8_t)to) != (uint8_t)from);
}

static _Atomic uint32_t *block_take(uint32_t name)
{
	static const size_t sizes[] = {16, 48, 160};
	size_t size = sizes[random_below(3)];
	_Atomic uint32_t *block = heap_malloc_fast(size);

	if (block == NULL)
		block = heap_malloc(size);
	wrong_if(atomic_load_explicit(block, memory_order_relaxed) != 0);
	atomic_store_explicit(block, name, memory_order_relaxed);
	table_change(block, 0, name);
	return block;
}

static void block_put(_Atomic uint32_t *block, uint32_t name)
{
	wrong_if(atomic_load_explicit(block, memory_order_relaxed) != name);
	table_change(block, name, 0);
	atomic_store_explicit(block, 0, memory_order_relaxed);
	if (!heap_free_fast((void *)block))
		heap_free((void *)block);
}

static void *run_owner(void *arg)
{
	const struct holder *self = arg;
	_Atomic uint32_t *held[HELD];

	random_begin(self->name);
	for (uint32_t i = 0; i < self->steps && !atomic_load(&stopping); i++) {
		size_t count = 1 + random_below(HELD);

		for (size_t k = 0; k < count; k++)
			held[k] = block_take(self->name);
		for (size_t k = 0; k < count; k++)
			block_put(held[k], self->name);
	}
	cache_thread_exit();
	return NULL;
}

/* Threads that come and go, one at a time. */
static void *run_comers(void *arg)
{
	struct holder comer = {.name = OWNERS + 2, .steps = 200};
	pthread_t thread;

	for (uint32_t i = 0; i < COMERS * times(); i++) {
		pthread_create(&thread, NULL, run_owner, &comer);
		pthread_join(thread, NULL);
	}
	return arg;
}

/* Without S2 and S5. */
static void drain_recklessly(void)
{
	for (struct cache *cache = atomic_load(&cache_registry.all); cache != NULL;
		cache = cache->next) {
		if (!lock_try(&cache->thief))
			continue;
		atomic_store(&cache->taken, CACHE_TAKEN);
		cache_empty(cache);
		cache_release(cache);
	}
}

static void *run_thief(void *arg)
{
	while (!atomic_load(&stopping)) {
		struct heap_pass pass = {
			.level = HEAP_FULL, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};

		for (int i = 0; i < 50; i++)
			reckless ? drain_recklessly() : cache_drain_all(UINT64_MAX);
		heap_scavenge(&pass, HEAP_BY_FULL);
	}
	return arg;
}

static int child_main(void)
{
	struct holder self = {.name = OWNERS + 1, .steps = 500};

	atomic_store(&wrong_blocks, 0);
	if (heap_check() != NULL)
		return 1;
	run_owner(&self);
	cache_drain_all(UINT64_MAX);
	if (cached_bytes() != 0 || heap_check() != NULL)
		return 2;
	return atomic_load(&wrong_blocks) != 0 ? 3 : 0;
}

static int fork_and_wait(int (*child)(void))
{
	int status = 0;
	pid_t pid;

	heap_fork_prepare();
	pid = fork();
	if (pid == 0) {
		heap_fork_child();
		_exit(child());
	}
	heap_fork_parent();
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

/* Owners and thieves at it; the calling thread forks meanwhile. */
static void stress(uint32_t steps, uint32_t forks)
{
	struct holder holders[OWNERS];
	pthread_t owners[OWNERS];
	pthread_t thieves[THIEVES];
	pthread_t comers;

	atomic_store(&stopping, false);
	atomic_store(&wrong_blocks, 0);
	for (uint32_t i = 0; i < OWNERS; i++) {
		holders[i] = (struct holder){.name = i + 1, .steps = steps};
		pthread_create(&owners[i], NULL, run_owner, &holders[i]);
	}
	for (int i = 0; i < THIEVES; i++)
		pthread_create(&thieves[i], NULL, run_thief, NULL);
	pthread_create(&comers, NULL, run_comers, NULL);
	for (uint32_t i = 0; i < forks; i++)
		assert_int_equal(fork_and_wait(child_main), 0);
	for (int i = 0; i < OWNERS; i++)
		pthread_join(owners[i], NULL);
	pthread_join(comers, NULL);
	atomic_store(&stopping, true);
	for (int i = 0; i < THIEVES; i++)
		pthread_join(thieves[i], NULL);
}

static void verify_whole(void)
{
	struct heap_stats stats;

	cache_drain_all(UINT64_MAX);
	heap_stats_read(&stats);
	assert_int_equal(atomic_load(&wrong_blocks), 0);
	assert_int_equal(stats.blocks, 0);
	assert_int_equal(cached_bytes(), 0);
	assert_null(heap_check());
}

static void test_no_block_has_two_holders_while_thieves_take_the_caches(void **state)
{
	(void)state;
	table_used = true;
	stress(STEPS * times(), FORKS * times());
	verify_whole();
	table_used = false;
	stress(STEPS * times(), 0);
	verify_whole();
}

static void test_nothing_breaks_where_there_is_no_fence(void **state)
{
	(void)state;
	atomic_store(&fake_os.refuse_fence, true);
	stress(STEPS / 5 * times(), FORKS);
	verify_whole();
	atomic_store(&fake_os.refuse_fence, false);
}

/* A counter instead of bins ----------------------------------------------- */

#define BURST 2000
#define BURSTS_MAX 20000U

/* The flags on a line of their own, so that only the protocol delays them. */
static struct {
	_Alignas(128) struct cache cache;
	_Alignas(128) uint64_t counter; /* plain: whoever is inside increments */
	_Alignas(128) uint64_t owner_entries;
	_Alignas(128) _Atomic uint32_t bursts; /* that the owner has begun */
	_Atomic bool over;
} bare;

static void *run_bare_owner(void *arg)
{
	for (int i = 0; i < BURST; i++) {
		if (!cache_enter(&bare.cache)) {
			/* Every other wish is the thief's to fulfil. */
			if (i % 2 == 0)
				(void)cache_fulfil(&bare.cache);
			continue;
		}
		bare.counter++;
		cache_leave(&bare.cache);
		bare.owner_entries++;
	}
	atomic_store(&bare.over, true);
	return arg;
}

/* One burst against one thief; the increments that got lost. */
static uint64_t bare_burst(void)
{
	uint64_t entries = 0;
	pthread_t owner;

	atomic_store(&bare.over, false);
	bare.counter = 0;
	bare.owner_entries = 0;
	pthread_create(&owner, NULL, run_bare_owner, NULL);
	while (!atomic_load_explicit(&bare.over, memory_order_relaxed)) {
		uint32_t wish = cache_wish_new(CACHE_EMPTY);

		if (!cache_ask(&bare.cache, wish) || os_fence_threads() != 0 ||
			!cache_seize(&bare.cache, wish))
			continue;
		bare.counter++;
		cache_release(&bare.cache);
		entries++;
	}
	pthread_join(owner, NULL);
	return entries + bare.owner_entries - bare.counter;
}

static void test_a_counter_loses_nothing(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 500 * times(); i++)
		assert_int_equal(bare_burst(), 0);
}

static void test_a_counter_loses_where_the_fence_does_not_fence(void **state)
{
	uint32_t bursts = 0;
	uint64_t lost = 0;

	(void)state;
#ifdef __SANITIZE_THREAD__
	skip_because("a race on purpose: nothing for ThreadSanitizer");
#endif
	if (one_cpu())
		skip_because("one processor, nothing to reorder");
	atomic_store(&fake_os.skip_fence, true);
	while (lost == 0 && bursts++ < BURSTS_MAX)
		lost = bare_burst();
	atomic_store(&fake_os.skip_fence, false);
	print_message("# seen in burst %u of at most %u\n", bursts, BURSTS_MAX);
	assert_true(lost != 0);
}

/* The heap with thieves that do not look whether the owner is inside --------- */

#define BROKEN_ROUNDS_MAX 400U
#define SOUND_ROUNDS 10U

static int rounds_main(void)
{
	uint32_t rounds = reckless ? BROKEN_ROUNDS_MAX : SOUND_ROUNDS;
	int quiet = open("/dev/null", O_WRONLY);

	dup2(quiet, STDERR_FILENO);
	for (uint32_t i = 0; i < rounds; i++) {
		struct heap_stats stats;

		stress(STEPS / 20, 0);
		cache_drain_all(UINT64_MAX);
		heap_stats_read(&stats);
		if (atomic_load(&wrong_blocks) != 0 || stats.blocks != 0 || heap_check() != NULL)
			return 10;
	}
	return 0;
}

static void test_the_heap_breaks_where_thieves_do_not_look(void **state)
{
	(void)state;
#ifdef __SANITIZE_THREAD__
	skip_because("a race on purpose: nothing for ThreadSanitizer");
#endif
	reckless = false;
	assert_int_equal(fork_and_wait(rounds_main), 0);
	reckless = true;
	assert_int_not_equal(fork_and_wait(rounds_main), 0);
}

/* Owners that cannot be seized ------------------------------------------------ */

struct turns {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int step;
};

static void turns_go(struct turns *turns, int step)
{
	pthread_mutex_lock(&turns->lock);
	turns->step = step;
	pthread_cond_broadcast(&turns->changed);
	pthread_mutex_unlock(&turns->lock);
}

static void turns_wait(struct turns *turns, int step)
{
	pthread_mutex_lock(&turns->lock);
	while (turns->step < step)
		pthread_cond_wait(&turns->changed, &turns->lock);
	pthread_mutex_unlock(&turns->lock);
}

static void fill_cache(void)
{
	void *blocks[200];

	for (size_t i = 0; i < 200; i++)
		blocks[i] = heap_malloc(16 + i % 2 * 144);
	for (size_t i = 0; i < 200; i++)
		heap_free(blocks[i]);
}

/* Fills its cache, lets the thief come, then goes by its slow path once. */
static void *run_asked(void *arg)
{
	struct turns *turns = arg;

	fill_cache();
	turns_go(turns, 1);
	turns_wait(turns, 2);
	heap_free(heap_malloc(SIZE_CLASS_MAX_BYTES));
	turns_go(turns, 3);
	turns_wait(turns, 4);
	cache_thread_exit();
	return NULL;
}

/* The same, but is stopped inside while the thief comes. */
static void *run_stopped_inside(void *arg)
{
	struct turns *turns = arg;
	bool inside;

	fill_cache();
	inside = cache_enter(cache_self);
	turns_go(turns, inside ? 1 : 100);
	turns_wait(turns, 2);
	cache_leave(cache_self);
	heap_free(heap_malloc(SIZE_CLASS_MAX_BYTES));
	turns_go(turns, 3);
	turns_wait(turns, 4);
	cache_thread_exit();
	return NULL;
}

static uint64_t filled_slots(void)
{
	return cache_check_locked(size_class_of(16)) + cache_check_locked(size_class_of(160));
}

/* A thief comes in vain, also one that forks; the owner does what it asked for. */
static void verify_request(void *(*run)(void *), bool refuse)
{
	struct turns turns = {
		.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
	uint64_t slots;
	pthread_t owner;

	cache_drain_all(UINT64_MAX);
	pthread_create(&owner, NULL, run, &turns);
	turns_wait(&turns, 1);
	slots = filled_slots();
	assert_true(slots > 0);
	atomic_store(&fake_os.refuse_fence, refuse);
	cache_drain_all(UINT64_MAX);
	assert_int_equal(filled_slots(), slots);
	assert_int_equal(fork_and_wait(child_main), 0);
	turns_go(&turns, 2);
	turns_wait(&turns, 3);
	assert_int_equal(filled_slots(), 0);
	atomic_store(&fake_os.refuse_fence, false);
	turns_go(&turns, 4);
	pthread_join(owner, NULL);
	verify_whole();
}

static void test_without_a_fence_the_owner_drains_at_its_next_slow_path(void **state)
{
	(void)state;
	verify_request(run_asked, true);
}

static void test_an_owner_stopped_inside_is_left_alone_and_drains_later(void **state)
{
	(void)state;
	verify_request(run_stopped_inside, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_block_has_two_holders_while_thieves_take_the_caches),
		cmocka_unit_test(test_nothing_breaks_where_there_is_no_fence),
		cmocka_unit_test(test_without_a_fence_the_owner_drains_at_its_next_slow_path),
		cmocka_unit_test(test_an_owner_stopped_inside_is_left_alone_and_drains_later),
		cmocka_unit_test(test_a_counter_loses_nothing),
		cmocka_unit_test(test_a_counter_loses_where_the_fence_does_not_fence),
		cmocka_unit_test(test_the_heap_breaks_where_thieves_do_not_look),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
