#include "shim/heap/span_queue.h"
#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SPANS 200

static struct span spans[SPANS];

static struct span *naive_lowest(void)
{
	for (size_t i = 0; i < SPANS; i++)
		if (spans[i].queued)
			return &spans[i];
	return NULL;
}

static void test_lowest_is_lowest_whatever_comes_and_goes(void **state)
{
	struct span_queue queue = {NULL};

	(void)state;
	for (size_t i = 0; i < SPANS; i++)
		spans[i].start = (i + 1) * 4096;
	for (int i = 0; i < 100000; i++) {
		struct span *span = &spans[random_below(SPANS)];

		if (random_below(4) == 0 && queue.lowest != NULL)
			span = queue.lowest;
		if (span->queued)
			span_queue_remove(&queue, span);
		else
			span_queue_insert(&queue, span);
		assert_ptr_equal(queue.lowest, naive_lowest());
	}
	while (queue.lowest != NULL) {
		assert_ptr_equal(queue.lowest, naive_lowest());
		span_queue_remove(&queue, queue.lowest);
	}
	assert_null(naive_lowest());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lowest_is_lowest_whatever_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
