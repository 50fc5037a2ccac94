/* variants: release asan */
#include "shim/heap/base/transit.h"

#include "shim/heap/front/heap.h"
#include "shim/heap/pages/page_heap_state.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static _Atomic bool began;

/* As a scavenger that has something in transit and needs the page heap for what comes next. */
static void *scavenge(void *unused)
{
	assert_true(transit_begin());
	atomic_store(&began, true);
	lock_take(&page_heap.lock);
	lock_drop(&page_heap.lock);
	transit_end();
	return unused;
}

/* A signal handler that interrupted the page heap forks meanwhile: neither could go on. */
static void test_a_fork_does_not_wait_for_who_waits_for_it(void **state)
{
	pthread_t thread;

	(void)state;
	heap_free(heap_malloc(1));
	lock_take(&page_heap.lock);
	assert_true(heap_is_inside());
	assert_int_equal(pthread_create(&thread, NULL, scavenge, NULL), 0);
	while (!atomic_load(&began))
		;
	heap_fork_prepare();
	heap_fork_parent();
	lock_drop(&page_heap.lock);
	pthread_join(thread, NULL);
	assert_false(heap_is_inside());
	assert_null(heap_check());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_fork_does_not_wait_for_who_waits_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
