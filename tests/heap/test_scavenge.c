#include "shim/heap/base/gate.h"
#include "shim/heap/base/page.h"
#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/pages/page_heap.h"
#include "shim/heap/pages/page_map.h"
#include "shim/heap/pages/span.h"
#include "shim/heap/scavenge/scavenge.h"
#include "tests/support/fake_os.h"
#include "tests/support/random.h"
#include "tests/support/skip.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/*
 * Where two threads meet, TSan has more to see in test_crowd: there are thieves
 * beside forks, too.
 *
 * variants: release asan
 */
#define BLOCKS 40000
#define MIB ((size_t)1 << 20)

static unsigned char *blocks[BLOCKS];
static size_t sizes[BLOCKS];

static struct heap_stats stats_now(void)
{
	struct heap_stats stats;

	heap_stats_read(&stats);
	assert_int_equal(stats.mapped_bytes, stats.in_use_bytes + stats.idle_dirty_bytes +
						     stats.lazy_bytes + stats.clean_bytes +
						     stats.metadata_bytes);
	return stats;
}

static void verify(void)
{
	const char *wrong = heap_check();

	if (wrong != NULL)
		fail_msg("%s", wrong);
}

static struct heap_pass pass_at(enum heap_level level)
{
	return (struct heap_pass){
		.level = level, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};
}

static struct heap_pass scavenge_all(enum heap_level level)
{
	struct heap_pass pass = pass_at(level);

	heap_scavenge(&pass, HEAP_BY_FULL);
	return pass;
}

static unsigned char fill_of(size_t i)
{
	return (unsigned char)(i * 31 + 7);
}

static void allocate(size_t i, size_t size)
{
	blocks[i] = heap_malloc(size);
	assert_non_null(blocks[i]);
	sizes[i] = size;
	memset(blocks[i], fill_of(i), size);
}

static void release(size_t i)
{
	if (blocks[i][0] != fill_of(i) || memcmp(blocks[i], blocks[i] + 1, sizes[i] - 1) != 0)
		fail_msg("block %zu of %zu bytes changed", i, sizes[i]);
	heap_free(blocks[i]);
	blocks[i] = NULL;
}

static void allocate_all(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		allocate(i, 16 + random_below(i % 50 == 0 ? 60000 : 2000));
}

static void release_all(void)
{
	for (size_t i = 0; i < BLOCKS; i++)
		if (blocks[i] != NULL)
			release(i);
}

static bool is_resident(const void *page)
{
	unsigned char answer = 0;

	assert_int_equal(mincore((void *)page, PAGE_BYTES, &answer), 0);
	return (answer & 1) != 0;
}

static void test_full_leaves_next_to_nothing_after_all_was_freed(void **state)
{
	struct heap_stats stats;

	(void)state;
	allocate_all();
	release_all();
	assert_true(stats_now().in_use_bytes + stats_now().idle_dirty_bytes > 40 * MIB);
	scavenge_all(HEAP_FULL);
	stats = stats_now();
	assert_int_equal(stats.in_use_bytes, 0);
	assert_int_equal(stats.idle_dirty_bytes, 0);
	assert_int_equal(stats.lazy_bytes, 0);
	assert_int_equal(stats.blocks, 0);
	assert_true(stats.metadata_bytes < 2 * MIB);
	verify();
}

/* Resident bytes of the page map's pages, asked of the kernel. */
static size_t page_map_bytes(void)
{
	size_t resident = 0;
	uintptr_t start;
	size_t pages;

	for (size_t i = 0; page_heap_region_locked(i, &start, &pages); i++)
		for (size_t at = 0; at < pages; at += CHUNK_PAGES)
			resident += os_resident_bytes(
				page_map_of_chunk(start + at * PAGE_BYTES).start, PAGE_BYTES);
	return resident;
}

static void test_full_gives_the_page_map_of_empty_chunks_back(void **state)
{
	size_t held = BLOCKS / 2;

	(void)state;
	allocate_all();
	assert_true(page_map_bytes() > 20 * PAGE_BYTES);
	for (size_t i = 0; i < BLOCKS; i++)
		if (i != held)
			release(i);
	scavenge_all(HEAP_FULL);
	assert_int_equal(page_map_bytes(), PAGE_BYTES);
	release(held);
	scavenge_all(HEAP_FULL);
	assert_int_equal(page_map_bytes(), 0);
	verify();
	allocate_all();
	release_all();
	verify();
}

/* Resident bytes of all committed pages, asked of the kernel. */
static size_t resident_bytes(void)
{
	static unsigned char answers[1 << 16];
	size_t resident = 0;
	uintptr_t start;
	size_t pages;

	for (size_t i = 0; page_heap_region_locked(i, &start, &pages); i++) {
		for (size_t at = 0; at < pages; at += sizeof answers) {
			size_t some = pages - at < sizeof answers ? pages - at : sizeof answers;

			assert_int_equal(mincore((void *)(start + at * PAGE_BYTES),
						 some * PAGE_BYTES, answers),
				0);
			for (size_t k = 0; k < some; k++)
				resident += (answers[k] & 1) * PAGE_BYTES;
		}
	}
	return resident;
}

static void test_the_kernel_agrees_about_what_is_resident(void **state)
{
	struct heap_stats stats;

	(void)state;
	allocate_all();
	stats = stats_now();
	assert_true(resident_bytes() > 40 * MIB);
	assert_true(resident_bytes() <= stats.in_use_bytes + stats.idle_dirty_bytes);
	for (size_t i = 0; i < BLOCKS; i++)
		if (i % 10 != 0)
			release(i);
	scavenge_all(HEAP_FULL);
	stats = stats_now();
	assert_true(resident_bytes() <= stats.in_use_bytes);
	assert_true(resident_bytes() + MIB > stats.in_use_bytes);
	release_all();
	scavenge_all(HEAP_FULL);
	assert_int_equal(resident_bytes(), 0);
}

static void test_lazy_pages_can_be_used_again(void **state)
{
	struct heap_pass pass;
	unsigned char *block;

	(void)state;
	scavenge_all(HEAP_FULL);
	block = heap_malloc(MIB);
	memset(block, 1, MIB);
	heap_free(block);
	pass = scavenge_all(HEAP_LAZY);
	assert_int_equal(pass.lazy_bytes, MIB);
	assert_int_equal(pass.clean_bytes, 0);
	assert_int_equal(stats_now().lazy_bytes, MIB);
	assert_ptr_equal(heap_calloc(1, MIB), block);
	assert_int_equal(stats_now().lazy_bytes, 0);
	for (size_t i = 0; i < MIB; i++)
		assert_int_equal(block[i], 0);
	heap_free(block);
}

static void test_eager_takes_lazy_pages_and_truly_releases(void **state)
{
	struct heap_pass pass;
	unsigned char *block = heap_malloc(MIB);

	(void)state;
	memset(block, 1, MIB);
	heap_free(block);
	scavenge_all(HEAP_LAZY);
	pass = scavenge_all(HEAP_EAGER);
	assert_true(pass.clean_bytes >= MIB);
	assert_false(is_resident(block));
	assert_int_equal(stats_now().lazy_bytes + stats_now().idle_dirty_bytes, 0);
}

static void test_cushion_and_age_hold_memory_back(void **state)
{
	struct heap_pass pass = pass_at(HEAP_LAZY);
	unsigned char *block = heap_malloc(4 * MIB);

	(void)state;
	scavenge_all(HEAP_FULL);
	memset(block, 1, 4 * MIB);
	heap_free(block);
	pass.idle_before_ns = os_now_ns() - 1000000000U;
	heap_scavenge(&pass, HEAP_BACKGROUND);
	assert_int_equal(pass.lazy_bytes, 0);
	atomic_store(&fake_os.now_ahead_ns, 3000000000U);
	pass.idle_before_ns = os_now_ns() - 1000000000U;
	pass.cushion_bytes = MIB;
	heap_scavenge(&pass, HEAP_BACKGROUND);
	assert_int_equal(pass.lazy_bytes, 3 * MIB);
	assert_int_equal(stats_now().idle_dirty_bytes, MIB);
	atomic_store(&fake_os.now_ahead_ns, 0);
}

static void test_a_pass_is_bounded_and_says_whether_more_is_left(void **state)
{
	struct heap_pass pass = pass_at(HEAP_EAGER);
	unsigned char *block = heap_malloc(4 * MIB);
	uint64_t total = 0;

	(void)state;
	scavenge_all(HEAP_FULL);
	memset(block, 1, 4 * MIB);
	heap_free(block);
	pass.max_bytes = 256 << 10;
	do {
		heap_scavenge(&pass, HEAP_BY_EAGER);
		assert_true(pass.clean_bytes <= 256 << 10);
		total += pass.clean_bytes;
	} while (pass.more);
	assert_int_equal(total, 4 * MIB);
}

/* The longest range that was made not resident. */
static size_t longest_bytes;

static void on_longest(const struct os_range *ranges, size_t count, enum os_advice advice)
{
	for (size_t i = 0; i < count && advice == OS_DONTNEED; i++)
		if (ranges[i].bytes > longest_bytes)
			longest_bytes = ranges[i].bytes;
}

/* Each call may cost the thread its CPU. */
static void test_what_was_asked_for_goes_by_64_mib_at_once(void **state)
{
	size_t pages = 120 * MIB / PAGE_BYTES;
	struct heap_pass pass = pass_at(HEAP_FULL);
	void *run;

	(void)state;
	scavenge_all(HEAP_FULL);
	run = page_heap_take(pages, CHUNK_BYTES).start;
	assert_non_null(run);
	page_heap_put(run, pages, 0);
	longest_bytes = 0;
	atomic_store(&fake_os.watch, on_longest);
	heap_scavenge(&pass, HEAP_BY_FULL);
	atomic_store(&fake_os.watch, NULL);
	assert_true(pass.clean_bytes >= 120 * MIB);
	assert_in_range(longest_bytes, 32 * MIB, 64 * MIB);
	verify();
}

static void test_bytes_are_accounted_by_their_cause(void **state)
{
	struct heap_pass pass = pass_at(HEAP_EAGER);
	struct scavenge_stats before;
	struct scavenge_stats after;
	unsigned char *block = heap_malloc(MIB);

	(void)state;
	scavenge_all(HEAP_FULL);
	memset(block, 1, MIB);
	heap_free(block);
	scavenge_stats(&before);
	heap_scavenge(&pass, HEAP_GROWTH);
	scavenge_stats(&after);
	for (int i = 0; i < HEAP_CAUSES; i++)
		assert_int_equal(after.released_bytes[i] - before.released_bytes[i],
			i == HEAP_GROWTH ? MIB : 0);
	assert_true(after.advise_calls > before.advise_calls);
	assert_true(after.advise_ns > before.advise_ns);
}

/* One block in `keep` survives; the rest is freed. */
static void keep_one_in(size_t keep)
{
	allocate_all();
	for (size_t i = 0; i < BLOCKS; i++)
		if (i % keep != 0)
			release(i);
}

static void test_holes_are_released_around_live_blocks(void **state)
{
	struct heap_pass pass;
	struct heap_stats before;
	struct heap_stats after;
	uint64_t live = 0;

	(void)state;
	scavenge_all(HEAP_FULL);
	keep_one_in(20);
	scavenge_all(HEAP_EAGER);
	before = stats_now();
	pass = scavenge_all(HEAP_FULL);
	after = stats_now();
	verify();
	for (size_t i = 0; i < BLOCKS; i += 20)
		live += sizes[i];
	assert_true(pass.clean_bytes > 10 * MIB);
	/* Pages of slabs that were never touched become clean without being released. */
	assert_true(before.in_use_bytes - after.in_use_bytes >= pass.clean_bytes);
	assert_true(before.in_use_bytes - after.in_use_bytes < pass.clean_bytes + 4 * MIB);
	assert_true(after.in_use_bytes < 4 * live + MIB);
	assert_int_equal(scavenge_all(HEAP_FULL).clean_bytes, 0);
	release_all();
}

static void test_holes_fill_again_and_blocks_in_them_hold(void **state)
{
	uint64_t refaults;

	(void)state;
	keep_one_in(20);
	scavenge_all(HEAP_FULL);
	refaults = stats_now().refault_bytes;
	for (size_t i = 0; i < BLOCKS; i++)
		if (blocks[i] == NULL)
			allocate(i, 16 + random_below(2000));
	verify();
	assert_true(stats_now().refault_bytes - refaults > 10 * MIB);
	for (int round = 0; round < 20; round++) {
		for (size_t i = 0; i < BLOCKS; i++)
			if (random_below(3) == 0) {
				if (blocks[i] != NULL)
					release(i);
				else
					allocate(i, 16 + random_below(9000));
			}
		scavenge_all((enum heap_level)(round % HEAP_LEVELS));
		verify();
	}
	release_all();
	scavenge_all(HEAP_FULL);
	assert_int_equal(stats_now().in_use_bytes, 0);
}

static void test_refused_advice_leaves_everything_as_it_was(void **state)
{
	struct heap_pass pass;
	struct heap_stats before;

	(void)state;
	keep_one_in(20);
	scavenge_all(HEAP_LAZY);
	atomic_store(&fake_os.refuse_advice, true);
	before = stats_now();
	pass = scavenge_all(HEAP_FULL);
	assert_int_equal(pass.clean_bytes, 0);
	assert_false(pass.more);
	assert_true(stats_now().lazy_bytes >= before.lazy_bytes);
	verify();
	atomic_store(&fake_os.refuse_advice, false);
	release_all();
	scavenge_all(HEAP_FULL);
	assert_int_equal(stats_now().in_use_bytes, 0);
	verify();
}

static void *filler[4096];

static size_t gate_asked;

static bool on_gate(size_t bytes)
{
	gate_asked += bytes;
	return true;
}

static void test_gate_is_asked_before_a_hole_is_used(void **state)
{
	size_t count = 0;

	(void)state;
	scavenge_all(HEAP_FULL);
	for (size_t i = 0; i < 4096; i++)
		filler[i] = heap_malloc(512);
	for (size_t i = 0; i < 4096; i++)
		if (i % 64 != 0)
			heap_free(filler[i]);
	scavenge_all(HEAP_FULL);
	gate_set(on_gate);
	while (gate_asked == 0 && count < 2000)
		blocks[count++] = heap_malloc(512);
	gate_set(NULL);
	assert_true(gate_asked >= PAGE_BYTES);
	verify();
	while (count > 0)
		heap_free(blocks[--count]);
	for (size_t i = 0; i < 4096; i += 64)
		heap_free(filler[i]);
	memset(blocks, 0, sizeof blocks);
}

/* What the gate has populated is resident, touched or not. */
static void test_a_populated_slab_is_given_back_by_advice(void **state)
{
	const struct span *span;
	void *block;

	(void)state;
	scavenge_all(HEAP_FULL);
	gate_set(on_gate);
	block = heap_malloc(PAGE_BYTES / 2);
	gate_set(NULL);
	span = page_map_span(page_map_get(block));
	const char *last =
		(char *)span->start + (size_classes[span->size_class].pages - 1) * PAGE_BYTES;
	if (!is_resident(last)) {
		heap_free(block);
		skip_because("this kernel cannot populate: it is older than 5.14");
	}
	scavenge_all(HEAP_FULL);
	assert_false(is_resident(last));
	heap_free(block);
	verify();
}

/* A chunk that could not be committed has a page that hunts find it by, and nothing to touch. */
static void test_nothing_is_measured_where_nothing_is_committed(void **state)
{
	struct heap_pass pass = pass_at(HEAP_EAGER);
	void *block = heap_malloc(8 * MIB);

	(void)state;
	memset(block, 1, 8 * MIB);
	heap_free(block);
	scavenge_all(HEAP_FULL);
	atomic_store(&fake_os.calls, 0);
	atomic_store(&fake_os.refuse_all_from, true);
	atomic_store(&fake_os.refuse_at, 1);
	assert_null(heap_malloc(4 * MIB));
	atomic_store(&fake_os.refuse_at, 0);
	atomic_store(&fake_os.refuse_all_from, false);
	assert_true(stats_now().idle_dirty_bytes > 0);
	/* Long after the last time. */
	atomic_fetch_add(&fake_os.now_ahead_ns, UINT64_C(3600000000000));
	heap_scavenge(&pass, HEAP_BACKGROUND);
	assert_int_equal(stats_now().idle_dirty_bytes, 0);
	verify();
}

/* Another thread may free while this one waits at the gate with a new slab. */
static bool free_at_the_gate(size_t bytes)
{
	(void)bytes;
	heap_free(blocks[0]);
	return false;
}

/* Without a cache: one slot at a time.  A dirty page will be part of the new slab. */
static void *take_after_others_gave_back(void *block)
{
	void *large;

	cache_thread_exit();
	blocks[0] = heap_malloc(100000);
	large = heap_realloc(heap_malloc(60 * PAGE_BYTES), 59 * PAGE_BYTES);
	gate_set(free_at_the_gate);
	block = heap_malloc(100000);
	gate_set(NULL);
	heap_free(large);
	return block;
}

static void test_full_gives_back_a_new_slab_that_nobody_took_from(void **state)
{
	pthread_t thread;
	void *block = NULL;

	(void)state;
	scavenge_all(HEAP_FULL);
	assert_int_equal(pthread_create(&thread, NULL, take_after_others_gave_back, NULL), 0);
	assert_int_equal(pthread_join(thread, &block), 0);
	assert_ptr_equal(block, blocks[0]);
	heap_free(block);
	scavenge_all(HEAP_FULL);
	assert_int_equal(stats_now().in_use_bytes, 0);
	assert_int_equal(stats_now().idle_dirty_bytes, 0);
}

static _Atomic bool enough;

static void *scavenge_until_enough(void *arg)
{
	(void)arg;
	while (!atomic_load(&enough))
		scavenge_all(HEAP_FULL);
	return NULL;
}

static bool background_gives_back(void)
{
	struct heap_pass pass = pass_at(HEAP_LAZY);
	unsigned char *block = heap_malloc(4 * MIB);

	memset(block, 1, 4 * MIB);
	heap_free(block);
	heap_scavenge(&pass, HEAP_BACKGROUND);
	return pass.lazy_bytes >= 4 * MIB;
}

/* Who scavenged in the parent is not there in the child to say that it is done. */
static void test_a_child_of_a_process_that_scavenges_has_a_background_too(void **state)
{
	pthread_t thread;

	(void)state;
	/* A thread spins for a lock until the clock says that it should sleep. */
	atomic_store(&fake_os.now_stands_ns, 0);
	assert_int_equal(pthread_create(&thread, NULL, scavenge_until_enough, NULL), 0);
	for (int i = 0; i < 50; i++) {
		int status = 0;
		pid_t child;

		heap_fork_prepare();
		child = fork();
		if (child == 0) {
			heap_fork_child();
			_exit(background_gives_back() ? 0 : 1);
		}
		heap_fork_parent();
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	atomic_store(&enough, true);
	pthread_join(thread, NULL);
}

/* A release that is asked for ends sooner the fewer system calls it has. */
static void test_what_is_asked_for_goes_in_few_calls(void **state)
{
	struct heap_pass pass = pass_at(HEAP_FULL);
	unsigned char *block = heap_malloc(16 * MIB);
	uint64_t calls;

	(void)state;
	assert_non_null(block);
	memset(block, 1, 16 * MIB);
	heap_free(block);
	calls = atomic_load(&fake_os.calls);
	pass.max_bytes = 12 * MIB;
	heap_scavenge(&pass, HEAP_BY_FULL);
	assert_true(pass.clean_bytes >= 12 * MIB);
	/* The pages, the page map's, and their commit charge; and a first or last part of a chunk.
	 */
	assert_true(atomic_load(&fake_os.calls) - calls <= 8);
	(void)scavenge_all(HEAP_FULL);
	verify();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* Before heap_check reads the page map, which counts as resident. */
		cmocka_unit_test(test_full_gives_the_page_map_of_empty_chunks_back),
		cmocka_unit_test(test_full_leaves_next_to_nothing_after_all_was_freed),
		cmocka_unit_test(test_the_kernel_agrees_about_what_is_resident),
		cmocka_unit_test(test_lazy_pages_can_be_used_again),
		cmocka_unit_test(test_eager_takes_lazy_pages_and_truly_releases),
		cmocka_unit_test(test_cushion_and_age_hold_memory_back),
		cmocka_unit_test(test_a_pass_is_bounded_and_says_whether_more_is_left),
		cmocka_unit_test(test_what_is_asked_for_goes_in_few_calls),
		cmocka_unit_test(test_bytes_are_accounted_by_their_cause),
		cmocka_unit_test(test_what_was_asked_for_goes_by_64_mib_at_once),
		cmocka_unit_test(test_holes_are_released_around_live_blocks),
		cmocka_unit_test(test_holes_fill_again_and_blocks_in_them_hold),
		cmocka_unit_test(test_refused_advice_leaves_everything_as_it_was),
		cmocka_unit_test(test_gate_is_asked_before_a_hole_is_used),
		cmocka_unit_test(test_a_populated_slab_is_given_back_by_advice),
		cmocka_unit_test(test_nothing_is_measured_where_nothing_is_committed),
		cmocka_unit_test(test_full_gives_back_a_new_slab_that_nobody_took_from),
		cmocka_unit_test(test_a_child_of_a_process_that_scavenges_has_a_background_too),
	};

	/* The clock goes only where it is pushed ahead. */
	atomic_store(&fake_os.now_stands_ns, os_now_ns());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
