#include "shim/heap/base/gate.h"
#include "shim/heap/base/os.h"
#include "shim/heap/base/page.h"
#include "shim/heap/front/heap.h"
#include "shim/heap/front/large.h"
#include "shim/heap/pages/mapped.h"
#include "shim/heap/scavenge/huge_look.h"
#include "shim/heap/scavenge/scavenge.h"
#include "tests/support/fake_os.h"
#include "tests/support/panic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* Blocks with mappings of their own, and how large blocks move.  One thread. */
/* variants: release asan */
#define MIB ((size_t)1 << 20)
#define STRIDE ((size_t)300 << 10)

static struct heap_stats stats_now(void)
{
	struct heap_stats stats;

	heap_stats_read(&stats);
	return stats;
}

/* Nothing lives and nothing idles, so that blocks lie one behind the other. */
static int begin(void **state)
{
	struct heap_pass pass = {
		.level = HEAP_FULL, .max_bytes = UINT64_MAX, .idle_before_ns = UINT64_MAX};

	(void)state;
	fake_os = (struct fake_os){.calls = 0};
	heap_scavenge(&pass, HEAP_BY_FULL);
	assert_int_equal(stats_now().idle_dirty_bytes, 0);
	assert_int_equal(stats_now().large_blocks, 0);
	return 0;
}

static void mark(unsigned char *block, size_t from, size_t to)
{
	for (size_t at = from; at < to; at += STRIDE)
		*(size_t *)(block + at) = at;
}

static void check_marks(const unsigned char *block, size_t bytes)
{
	for (size_t at = 0; at < bytes; at += STRIDE)
		assert_int_equal(*(const size_t *)(block + at), at);
}

static void check_sums(void)
{
	struct heap_stats stats = stats_now();

	assert_int_equal(stats.in_use_bytes + stats.idle_dirty_bytes + stats.lazy_bytes +
				 stats.clean_bytes + stats.metadata_bytes,
		stats.mapped_bytes);
	assert_null(heap_check());
}

/* With another one behind it, so that it cannot grow where it is. */
static unsigned char *block_in_the_way(size_t bytes, void **other)
{
	unsigned char *block = heap_malloc(bytes);

	assert_non_null(block);
	*other = heap_malloc(MIB);
	assert_non_null(*other);
	memset(block, 1, bytes);
	mark(block, 0, bytes);
	return block;
}

static void test_a_size_that_cannot_be_had_is_refused_at_once(void **state)
{
	void *block = heap_malloc(300 * MIB);
	uint64_t calls = atomic_load(&fake_os.calls);
	struct heap_stats before = stats_now();

	(void)state;
	for (size_t shift = 45; shift < 64; shift++) {
		size_t size = (size_t)1 << shift;

		assert_null(heap_malloc(size));
		assert_null(heap_calloc(1, size));
		assert_null(heap_memalign(MIB, size));
		assert_null(heap_realloc(block, size));
	}
	assert_true(atomic_load(&fake_os.calls) - calls < 400);
	assert_int_equal(stats_now().mapped_bytes, before.mapped_bytes);
	assert_int_equal(stats_now().large_blocks, 1);
	heap_free(block);
	check_sums();
}

static void test_an_untouched_block_costs_no_metadata(void **state)
{
	uint64_t before = stats_now().metadata_bytes;
	unsigned char *blocks[64];

	(void)state;
	for (size_t i = 0; i < 64; i++) {
		blocks[i] = heap_malloc(1024 * MIB);
		assert_non_null(blocks[i]);
		assert_int_equal(heap_usable_size(blocks[i]), 1024 * MIB);
		assert_int_equal(os_resident_bytes(blocks[i], 4 * MIB), 0);
	}
	assert_int_equal(stats_now().large_bytes, 65536 * MIB);
	assert_true(stats_now().metadata_bytes <= before + MIB);
	check_sums();
	for (size_t i = 0; i < 64; i++)
		heap_free(blocks[i]);
	assert_int_equal(stats_now().large_bytes, 0);
	assert_int_equal(stats_now().idle_dirty_bytes, 0);
	assert_true(stats_now().peak_in_use_bytes >= 65536 * MIB);
	check_sums();
}

static void test_a_mapped_block_grows_and_shrinks_without_a_copy(void **state)
{
	unsigned char *block = heap_calloc(1, 256 * MIB);
	unsigned char *last;

	(void)state;
	assert_non_null(block);
	mark(block, 0, 256 * MIB);
	for (size_t mib = 260; mib < 600; mib += 50) {
		last = heap_malloc(256 * MIB);
		block = heap_realloc(block, mib * MIB);
		heap_free(last);
		assert_int_equal(heap_usable_size(block), mib * MIB);
		assert_int_equal(stats_now().large_bytes, mib * MIB);
		check_marks(block, 256 * MIB);
		assert_true(os_resident_bytes(block, mib * MIB) < 8 * MIB);
	}
	for (size_t mib = 200; mib > 0; mib /= 3) {
		block = heap_realloc(block, mib * MIB);
		check_marks(block, mib * MIB);
		assert_int_equal(stats_now().large_bytes, mib * MIB);
		check_sums();
	}
	block = heap_realloc(block, 100);
	assert_int_equal(stats_now().large_blocks, 0);
	heap_free(block);
	check_sums();
}

static void test_alignments_hold(void **state)
{
	(void)state;
	for (size_t alignment = 16; alignment <= (size_t)1 << 28; alignment *= 4) {
		unsigned char *block = heap_memalign(alignment, 257 * MIB + 1);

		assert_non_null(block);
		assert_int_equal((uintptr_t)block % alignment, 0);
		block[257 * MIB] = 1;
		heap_free(block);
	}
	check_sums();
}

/* One that grows past its neighbour moves by page tables, and leaves clean pages. */
static void test_a_block_that_moves_leaves_nothing_resident(void **state)
{
	void *other;
	unsigned char *block = block_in_the_way(8 * MIB, &other);
	unsigned char *moved = heap_realloc(block, 10 * MIB);

	(void)state;
	assert_ptr_not_equal(moved, block);
	check_marks(moved, 8 * MIB);
	assert_int_equal(moved[9 * MIB], 0);
	assert_int_equal(os_resident_bytes(block, 8 * MIB), 0);
	assert_true(stats_now().idle_dirty_bytes <= 8 * PAGE_BYTES);
	assert_int_equal(stats_now().large_blocks, 2);
	check_sums();
	heap_free(moved);
	heap_free(other);
	block = heap_calloc(1, 8 * MIB);
	for (size_t at = 0; at < 8 * MIB; at += PAGE_BYTES)
		assert_int_equal(block[at], 0);
	heap_free(block);
	check_sums();
}

static size_t resident_most;
static const unsigned char *watched_from;

/* Each piece goes before the next is copied. */
static void watch(const struct os_range *ranges, size_t count, enum os_advice advice)
{
	size_t left = os_resident_bytes(watched_from, 8 * MIB);

	assert_int_equal(count, 1);
	if (advice != OS_DONTNEED)
		return;
	assert_true(ranges[0].bytes <= LARGE_PIECE_BYTES);
	assert_int_equal(left, 8 * MIB - (size_t)((unsigned char *)ranges[0].start - watched_from));
	resident_most++;
}

static void test_without_moving_pages_it_is_copied_in_pieces(void **state)
{
	void *other;
	unsigned char *block = block_in_the_way(8 * MIB, &other);
	unsigned char *moved;

	(void)state;
	atomic_store(&fake_os.refuse_moves, true);
	resident_most = 0;
	watched_from = block;
	atomic_store(&fake_os.watch, watch);
	moved = heap_realloc(block, 10 * MIB);
	atomic_store(&fake_os.watch, NULL);
	assert_ptr_not_equal(moved, block);
	assert_int_equal(resident_most, 8 * MIB / LARGE_PIECE_BYTES);
	check_marks(moved, 8 * MIB);
	assert_int_equal(os_resident_bytes(block, 8 * MIB), 0);
	assert_true(stats_now().idle_dirty_bytes <= 8 * PAGE_BYTES);
	check_sums();
	heap_free(moved);
	heap_free(other);
	check_sums();
}

static void test_in_locked_memory_the_old_pages_stay(void **state)
{
	void *other;
	unsigned char *block = block_in_the_way(8 * MIB, &other);
	unsigned char *moved;

	(void)state;
	if (mlock(block, 8 * MIB) != 0)
		skip();
	moved = heap_realloc(block, 10 * MIB);
	check_marks(moved, 8 * MIB);
	check_sums();
	assert_int_equal(munlock(block, 8 * MIB), 0);
	heap_free(moved);
	heap_free(other);
	check_sums();
}

static void test_every_refusal_leaves_the_block(void **state)
{
	bool refused = true;

	for (uint64_t nth = 1; refused; nth++) {
		void *other;
		unsigned char *block;
		unsigned char *moved;

		begin(state);
		block = block_in_the_way(6 * MIB, &other);
		for (size_t mib = 7; mib < 300; mib += 140) {
			uint64_t calls = atomic_load(&fake_os.calls);
			size_t had = heap_usable_size(block);

			atomic_store(&fake_os.refuse_at, calls + nth);
			moved = heap_realloc(block, mib * MIB);
			refused = atomic_load(&fake_os.calls) >= calls + nth;
			atomic_store(&fake_os.refuse_at, 0);
			block = moved != NULL ? moved : block;
			assert_int_equal(heap_usable_size(block), moved != NULL ? mib * MIB : had);
			check_marks(block, 6 * MIB);
			check_sums();
		}
		heap_free(block);
		heap_free(other);
		check_sums();
	}
}

static size_t asked;

static bool gate(size_t bytes)
{
	asked += bytes;
	return false;
}

static void test_the_gate_is_asked_for_the_growth(void **state)
{
	for (int turn = 0; turn < 2; turn++) {
		void *other;
		unsigned char *block;

		begin(state);
		block = block_in_the_way(20 * MIB, &other);
		atomic_store(&fake_os.refuse_moves, turn == 1);
		gate_set(gate);
		asked = 0;
		block = heap_realloc(block, 25 * MIB);
		assert_int_equal(asked, 5 * MIB);
		block = heap_realloc(block, 31 * MIB);
		gate_set(NULL);
		assert_int_equal(asked, 11 * MIB);
		heap_free(block);
		heap_free(other);
	}
}

static void test_what_was_never_touched_is_not_idle(void **state)
{
	unsigned char *block = heap_malloc(100 * MIB);
	struct heap_stats before;

	(void)state;
	heap_free(block);
	assert_true(stats_now().idle_dirty_bytes <= 2 * PAGE_BYTES);
	before = stats_now();
	block = heap_malloc(100 * MIB);
	assert_int_equal(stats_now().refault_bytes - before.refault_bytes, 0);
	memset(block + 10 * MIB, 1, 5 * MIB);
	heap_free(block);
	assert_in_range(stats_now().idle_dirty_bytes, 5 * MIB, 5 * MIB + 2 * CHUNK_BYTES);
	check_sums();
	block = heap_realloc(heap_malloc(100 * MIB), 50 * MIB);
	heap_free(block);
	assert_in_range(stats_now().idle_dirty_bytes, 5 * MIB, 5 * MIB + 2 * CHUNK_BYTES);
	check_sums();
}

static void free_it(void *block)
{
	heap_free(block);
}

static void test_misuse_is_told(void **state)
{
	unsigned char *block = heap_malloc(256 * MIB);

	(void)state;
	assert_true(panic_says(free_it, block + PAGE_BYTES, "free(): invalid pointer 0x"));
	heap_free(block);
	assert_true(panic_says(free_it, block, "free(): invalid pointer 0x"));
}

/* The last test: huge pages stay on. */
static void test_with_huge_pages_whole_chunks_become_clean(void **state)
{
	void *other;
	unsigned char *block;
	unsigned char *moved;

	(void)state;
	atomic_store(&fake_os.huge_pages, true);
	huge_use(true);
	for (int turn = 0; turn < 2; turn++) {
		atomic_store(&fake_os.refuse_moves, turn == 1);
		block = block_in_the_way(9 * MIB, &other);
		check_sums();
		moved = heap_realloc(block, 300 * MIB);
		assert_ptr_not_equal(moved, block);
		check_marks(moved, 9 * MIB);
		assert_true(stats_now().idle_dirty_bytes <= 6 * MIB);
		check_sums();
		heap_free(moved);
		heap_free(other);
		/* Untouched. */
		heap_free(heap_malloc(50 * MIB));
		check_sums();
		begin(state);
		atomic_store(&fake_os.huge_pages, true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_a_size_that_cannot_be_had_is_refused_at_once, begin),
		cmocka_unit_test_setup(test_an_untouched_block_costs_no_metadata, begin),
		cmocka_unit_test_setup(test_a_mapped_block_grows_and_shrinks_without_a_copy, begin),
		cmocka_unit_test_setup(test_alignments_hold, begin),
		cmocka_unit_test_setup(test_a_block_that_moves_leaves_nothing_resident, begin),
		cmocka_unit_test_setup(test_without_moving_pages_it_is_copied_in_pieces, begin),
		cmocka_unit_test_setup(test_in_locked_memory_the_old_pages_stay, begin),
		cmocka_unit_test_setup(test_every_refusal_leaves_the_block, begin),
		cmocka_unit_test_setup(test_the_gate_is_asked_for_the_growth, begin),
		cmocka_unit_test_setup(test_what_was_never_touched_is_not_idle, begin),
		cmocka_unit_test_setup(test_misuse_is_told, begin),
		cmocka_unit_test_setup(test_with_huge_pages_whole_chunks_become_clean, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
