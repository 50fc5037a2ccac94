/* A fleet from open to close with allocations refused. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/refused_story.h"

REFUSED_MALLOC

static void test_any_allocation_may_fail(void **state)
{
	(void)state;
	refused_story_tell_all(REFUSED_MEMORY, REFUSED_ONCE);
}

static void test_all_allocations_from_one_on_may_fail(void **state)
{
	(void)state;
	refused_story_tell_all(REFUSED_MEMORY, REFUSED_FROM_THEN_ON);
}

#define TEST(name) cmocka_unit_test_teardown(name, refused_story_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_any_allocation_may_fail),
		TEST(test_all_allocations_from_one_on_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
