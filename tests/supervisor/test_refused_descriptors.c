/* A fleet from open to close with descriptors refused. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/refused_story.h"

static void test_any_descriptor_may_be_refused(void **state)
{
	(void)state;
	refused_story_tell_all(REFUSED_DESCRIPTORS, REFUSED_ONCE);
}

static void test_all_descriptors_from_one_on_may_be_refused(void **state)
{
	(void)state;
	refused_story_tell_all(REFUSED_DESCRIPTORS, REFUSED_FROM_THEN_ON);
}

#define TEST(name) cmocka_unit_test_teardown(name, refused_story_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_any_descriptor_may_be_refused),
		TEST(test_all_descriptors_from_one_on_may_be_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
