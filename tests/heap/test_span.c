#include "shim/heap/base/page.h"
#include "shim/heap/pages/span.h"
#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define START 0x7000000000ULL

static struct span *span_make(unsigned size_class, uint64_t clean)
{
	struct span *span = calloc(1, span_record_bytes(size_class));

	span_init(span, (void *)(uintptr_t)START, size_class, clean);
	return span;
}

static void verify(const struct span *span)
{
	const char *wrong = span_check(span);

	if (wrong != NULL)
		fail_msg("class %u: %s", span->size_class, wrong);
}

static enum span_answer put_one(struct span *span, void *slot)
{
	enum span_answer answer;
	unsigned put = span_put(span, &slot, 1, &answer);

	assert_int_equal(put, answer == SPAN_OK);
	return answer;
}

static void test_slots_come_lowest_first_and_once(void **state)
{
	(void)state;
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		struct span *span = span_make(c, 0);
		void *slots[SIZE_CLASS_MAX_SLOTS + 1];
		void **end = slots + SIZE_CLASS_MAX_SLOTS + 1;

		assert_int_equal(
			span_take(span, end, SIZE_CLASS_MAX_SLOTS + 1), size_classes[c].slots);
		for (size_t i = 0; i < size_classes[c].slots; i++)
			assert_true((uintptr_t)end[-1 - (ptrdiff_t)i] ==
				    START + size_class_offset(c, i));
		assert_int_equal(span_take(span, end, 1), 0);
		verify(span);
		free(span);
	}
}

static void test_put_refuses_what_is_no_slot_in_use(void **state)
{
	struct span *span = span_make(3, 0);
	char *slot;

	(void)state;
	assert_int_equal(span_take(span, (void **)&slot + 1, 1), 1);
	/* The tail of the page. */
	assert_int_equal(put_one(span, slot + 4080), SPAN_NOT_A_SLOT);
	assert_int_equal(put_one(span, slot + 48), SPAN_ALREADY_FREE);
	assert_int_equal(put_one(span, slot), SPAN_OK);
	assert_int_equal(put_one(span, slot), SPAN_ALREADY_FREE);
	verify(span);
	free(span);
}

static void test_put_ends_at_what_is_not_the_slabs(void **state)
{
	unsigned c = size_class_of(816);
	struct span *span = span_make(c, 0);
	void *slots[20];
	enum span_answer answer;

	(void)state;
	assert_int_equal(span_take(span, slots + 20, 20), 20);
	slots[7] = (char *)slots[7] - 0x100000;
	assert_int_equal(span_put(span, slots, 20, &answer), 7);
	assert_int_equal(answer, SPAN_OK);
	slots[9] = (void *)(START + 4080);
	assert_int_equal(span_put(span, slots + 8, 12, &answer), 1);
	assert_int_equal(answer, SPAN_NOT_A_SLOT);
	slots[12] = slots[3];
	assert_int_equal(span_put(span, slots + 10, 10, &answer), 2);
	assert_int_equal(answer, SPAN_ALREADY_FREE);
	assert_int_equal(span->used, 10);
	verify(span);
	free(span);
}

/* The idle pages, one slot after the other. */
static uint64_t naive_idle(const struct span *span, const unsigned char *used)
{
	const struct size_class *class = &size_classes[span->size_class];
	uint64_t busy = span->hole;

	for (size_t slot = 0; slot < class->slots; slot++)
		for (size_t i = 0; used[slot] && i < class->bytes; i++)
			busy |= (uint64_t)1
				<< (size_class_offset(span->size_class, slot) + i) / PAGE_BYTES;
	return bits_mask(0, class->pages) & ~busy;
}

static void holes_round(struct span *span, unsigned char *used)
{
	void *slot;

	switch (random_below(5)) {
	case 0:
		span_make_holes(span, span_idle_pages(span) & random_next());
		break;
	case 1:
		if (span->hole != 0)
			span_fill(span, span_fill_plan(span));
		break;
	case 2:
		if (span_take(span, &slot + 1, 1) == 1) {
			size_t index = size_class_slot(span->size_class, (uintptr_t)slot - START);

			assert_int_equal(used[index], 0);
			used[index] = 1;
		}
		break;
	default: {
		size_t index = random_below(size_classes[span->size_class].slots);

		slot = (void *)(uintptr_t)(START + size_class_offset(span->size_class, index));
		assert_int_equal(put_one(span, slot), used[index] ? SPAN_OK : SPAN_ALREADY_FREE);
		used[index] = 0;
	}
	}
	verify(span);
	assert_true(span_idle_pages(span) == naive_idle(span, used));
}

static void test_holes_never_lie_under_used_slots(void **state)
{
	(void)state;
	for (unsigned c = 1; c <= SIZE_CLASSES; c++) {
		struct span *span = span_make(c, 0);
		unsigned char used[SIZE_CLASS_MAX_SLOTS] = {0};
		void *slots[SIZE_CLASS_MAX_SLOTS];
		unsigned count =
			span_take(span, slots + SIZE_CLASS_MAX_SLOTS, SIZE_CLASS_MAX_SLOTS);

		memset(used, 1, count);
		for (int i = 0; i < 400; i++)
			holes_round(span, used);
		while (span->hole != 0) {
			unsigned before = span->ready_slots;

			span_fill(span, span_fill_plan(span));
			assert_true(span->ready_slots > before);
		}
		verify(span);
		free(span);
	}
}

static void test_a_take_ends_with_a_page_where_it_has_half_of_what_it_wants(void **state)
{
	unsigned c = size_class_of(512);
	struct span *span = span_make(c, 0);
	void *slots[40];

	(void)state;
	/* Eight to a page. */
	assert_int_equal(span_take(span, slots + 40, 15), 8);
	assert_int_equal(span_take(span, slots + 40, 16), 16);
	assert_int_equal(span_take(span, slots + 40, 3), 3);
	assert_int_equal(span_take(span, slots + 40, 8), 5);
	assert_int_equal(span_take(span, slots + 40, 3), 3);
	assert_int_equal(span_take(span, slots + 40, 10), 10);
	assert_int_equal(span_take(span, slots + 40, 33), 27);
	verify(span);
	free(span);
}

static void test_pages_never_reached_stay_clean(void **state)
{
	unsigned c = size_class_of(1024);
	struct span *span = span_make(c, UINT64_MAX >> (64 - size_classes[c].pages));
	uint64_t all = bits_mask(0, size_classes[c].pages);
	void *slots[5];

	(void)state;
	assert_true(span_untouched(span, all) == all);
	assert_int_equal(span_take(span, slots + 4, 4), 4);
	assert_int_equal(span_take(span, slots + 5, 1), 1);
	assert_true(span_untouched(span, all) == (all & ~(uint64_t)3));
	for (int i = 0; i < 5; i++)
		assert_int_equal(put_one(span, slots[i]), SPAN_OK);
	assert_true(span_untouched(span, all) == (all & ~(uint64_t)3));
	free(span);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slots_come_lowest_first_and_once),
		cmocka_unit_test(test_put_refuses_what_is_no_slot_in_use),
		cmocka_unit_test(test_put_ends_at_what_is_not_the_slabs),
		cmocka_unit_test(test_holes_never_lie_under_used_slots),
		cmocka_unit_test(test_a_take_ends_with_a_page_where_it_has_half_of_what_it_wants),
		cmocka_unit_test(test_pages_never_reached_stay_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
