#include "shim/heap/caches/cache.h"
#include "shim/heap/front/heap.h"
#include "tests/support/heap_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define LIVE_MAX 4000

static void verify_totals(void)
{
	static struct heap_stats before;
	struct heap_stats now;

	heap_stats_read(&now);
#define CHECK(name, kind, attribute) \
	if (FIGURE_##kind == FIGURE_TOTAL && now.name < before.name) \
		fail_msg(#name " fell");
	FIGURES_OF_HEAP(CHECK)
#undef CHECK
	before = now;
}

static void verify(struct heap_model *model)
{
	const char *wrong;

	heap_model_verify(model);
	if (model->wrong[0] != '\0')
		fail_msg("%s", model->wrong);
	wrong = heap_model_check_heap(model->count, model->bytes);
	if (wrong != NULL)
		fail_msg("%s", wrong);
	verify_totals();
}

static void test_random_operations_keep_every_block(void **state)
{
	static struct heap_model_block blocks[LIVE_MAX];
	struct heap_model model = {.blocks = blocks, .room = LIVE_MAX};

	(void)state;
	for (int i = 0; i < 60000; i++) {
		struct heap_operation operation = heap_model_random();

		heap_model_perform(&model, &operation);
		if (i % 5000 == 0)
			verify(&model);
	}
	heap_model_drop_all(&model);
	verify(&model);
	cache_thread_exit();
	assert_null(heap_model_check_empty());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations_keep_every_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
