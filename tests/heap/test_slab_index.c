#include "shim/heap/pages/page_map.h"
#include "shim/heap/slabs/slab_index.h"
#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define SPANS 400
#define CLASSES 3

/* Nobody's memory: only the page map is told of it. */
#define BASE ((uintptr_t)1 << 44)
#define GIB ((size_t)1 << 30)
#define GIBS 5

static const unsigned classes[CLASSES] = {2, 30, SIZE_CLASSES};
static struct span *spans[SPANS];
static bool in_set[SPANS][SLAB_KINDS];

static unsigned class_of(size_t i)
{
	return classes[i % CLASSES];
}

static bool is_free(uintptr_t start, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		if (page_map_get((const void *)(start + i * PAGE_BYTES)) != 0)
			return false;
	return true;
}

/* Anywhere, over ends of chunks and of GiBs too, the first ones close together. */
static void place(size_t i)
{
	size_t size_class = class_of(i);
	size_t pages = size_classes[size_class].pages;
	size_t within = i < SPANS / 2 ? 64 * CHUNK_PAGES : (GIBS - 1) * GIB / PAGE_BYTES;
	uintptr_t start;

	do
		start = BASE + random_below(within) * PAGE_BYTES;
	while (!is_free(start, pages));
	spans[i] = aligned_alloc(128, 256);
	*spans[i] = (struct span){.start = start, .size_class = (uint32_t)size_class};
	page_map_set(start, pages, spans[i], (unsigned)size_class);
	assert_true(slab_index_cover(start, (unsigned)size_class));
}

static int setup(void **state)
{
	(void)state;
	assert_true(page_map_cover(BASE, GIBS * GIB));
	for (size_t i = 0; i < SPANS; i++)
		place(i);
	/* One over the end of a GiB, which lies in the first. */
	page_map_set(spans[0]->start, size_classes[class_of(0)].pages, NULL, 0);
	spans[0]->start = BASE + GIB - 3 * PAGE_BYTES;
	page_map_set(spans[0]->start, size_classes[class_of(0)].pages, spans[0], class_of(0));
	return 0;
}

/* Blocks are ordered by when they were first used: by the first slab placed in each. */
static size_t order_of(uintptr_t start)
{
	for (size_t i = 0; i < SPANS; i++)
		if ((spans[i]->start - BASE) / GIB == (start - BASE) / GIB)
			return i;
	return SPANS;
}

static const struct span *naive_lowest(size_t of, enum slab_kind kind)
{
	const struct span *lowest = NULL;

	for (size_t i = of; i < SPANS; i += CLASSES) {
		const struct span *span = spans[i];

		if (!in_set[i][kind])
			continue;
		if (lowest == NULL || order_of(span->start) < order_of(lowest->start) ||
			(order_of(span->start) == order_of(lowest->start) &&
				span->start < lowest->start))
			lowest = span;
	}
	return lowest;
}

static void turn(size_t i, enum slab_kind kind)
{
	assert_int_equal(slab_set_has(kind, spans[i]), in_set[i][kind]);
	if (in_set[i][kind])
		slab_set_remove(kind, spans[i]);
	else
		slab_set_add(kind, spans[i]);
	in_set[i][kind] = !in_set[i][kind];
}

static void test_lowest_is_lowest_whatever_comes_and_goes(void **state)
{
	(void)state;
	for (int round = 0; round < 30000; round++) {
		/* Now many are in the sets, now few. */
		size_t i = random_below(round / 5000 % 2 == 0 ? SPANS : SPANS / 20);
		enum slab_kind kind = (enum slab_kind)random_below(SLAB_KINDS);
		size_t of = i % CLASSES;

		turn(i, kind);
		assert_ptr_equal(slab_set_lowest(kind, classes[of]), naive_lowest(of, kind));
	}
	for (size_t i = 0; i < SPANS; i++)
		for (int kind = 0; kind < SLAB_KINDS; kind++)
			if (in_set[i][kind])
				turn(i, (enum slab_kind)kind);
	for (size_t of = 0; of < CLASSES; of++)
		for (int kind = 0; kind < SLAB_KINDS; kind++)
			assert_null(slab_set_lowest((enum slab_kind)kind, classes[of]));
}

static long faults(void)
{
	struct rusage usage;

	assert_int_equal(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_minflt;
}

/* A class's lock is held over what follows slab_index_cover. */
static void test_what_is_covered_and_touched_does_not_fault_again(void **state)
{
	static const size_t chunks[] = {0, 9, 31, 32, 300, 511, 512};
	struct span *span = aligned_alloc(128, 256);
	uintptr_t fresh = BASE + GIBS * GIB;

	(void)state;
	assert_true(page_map_cover(fresh, 2 * GIB));
	for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
		for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
			uintptr_t start = fresh + chunks[i] * CHUNK_BYTES + 500 * PAGE_BYTES;
			size_t pages = size_classes[c].pages;
			long before;

			*span = (struct span){.start = start, .size_class = (uint16_t)c};
			assert_true(slab_index_cover(start, c));
			page_map_touch(start, pages);
			before = faults();
			page_map_set(start, pages, span, c);
			slab_set_add(SLAB_READY, span);
			slab_set_add(SLAB_HOLED, span);
			slab_set_remove(SLAB_READY, span);
			slab_set_remove(SLAB_HOLED, span);
			page_map_set(start, pages, NULL, 0);
			assert_int_equal(faults() - before, 0);
		}
	}
	free(span);
}

static void test_no_slab_is_shorter_than_what_one_bit_stands_for(void **state)
{
	(void)state;
	for (unsigned c = 1; c <= SIZE_CLASSES; c++)
		assert_true(size_classes[c].pages >= SLAB_GRAIN_PAGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_slab_is_shorter_than_what_one_bit_stands_for),
		cmocka_unit_test(test_what_is_covered_and_touched_does_not_fault_again),
		cmocka_unit_test(test_lowest_is_lowest_whatever_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
