#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "supervisor/process/environment.h"

static const char *const given[] = {"A=1", "AB=2", "odd", "EMPTY=", "TWICE=x=y", NULL};
static struct environment environment;

static int set_up(void **state)
{
	(void)state;
	return environment_init(&environment, (char *const *)given);
}

static int tear_down(void **state)
{
	(void)state;
	environment_fini(&environment);
	return 0;
}

static void test_names_are_found_whole(void **state)
{
	(void)state;
	assert_string_equal(environment_get(&environment, "A"), "1");
	assert_string_equal(environment_get(&environment, "AB"), "2");
	assert_string_equal(environment_get(&environment, "EMPTY"), "");
	assert_string_equal(environment_get(&environment, "TWICE"), "x=y");
	assert_null(environment_get(&environment, "ABC"));
	assert_null(environment_get(&environment, "odd"));
}

static void test_setting_replaces_in_place_or_adds_at_the_end(void **state)
{
	(void)state;
	assert_int_equal(environment_set(&environment, "A", "new"), 0);
	assert_string_equal(environment.entries[0], "A=new");
	assert_int_equal(environment.count, 5);
	assert_int_equal(environment_set(&environment, "odd", "no more"), 0);
	assert_string_equal(environment.entries[2], "odd");
	assert_string_equal(environment.entries[5], "odd=no more");
	assert_null(environment.entries[6]);
}

static void test_an_entry_is_put_as_it_is(void **state)
{
	(void)state;
	assert_int_equal(environment_put(&environment, "AB=a=b c"), 0);
	assert_string_equal(environment_get(&environment, "AB"), "a=b c");
	assert_int_equal(environment_put(&environment, "no equals sign"), -EINVAL);
	assert_int_equal(environment.count, 5);
}

static void test_it_grows_and_stays_terminated(void **state)
{
	(void)state;
	char name[16];
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "N%d", i);
		assert_int_equal(environment_set(&environment, name, "v"), 0);
		assert_null(environment.entries[environment.count]);
	}
	assert_int_equal(environment.count, 305);
	assert_string_equal(environment_get(&environment, "N0"), "v");
	assert_string_equal(environment_get(&environment, "N299"), "v");
}

static void test_what_is_unset_is_gone_and_the_rest_stays(void **state)
{
	(void)state;
	size_t count = environment.count;
	assert_int_equal(environment_set(&environment, "FIRST", "1"), 0);
	assert_int_equal(environment_set(&environment, "LAST", "2"), 0);
	environment_unset(&environment, "FIRST");
	environment_unset(&environment, "FIRST");
	environment_unset(&environment, "LAS");
	assert_null(environment_get(&environment, "FIRST"));
	assert_string_equal(environment_get(&environment, "LAST"), "2");
	assert_int_equal(environment.count, count + 1);
	assert_null(environment.entries[environment.count]);
}

static void test_an_empty_one_can_be_filled(void **state)
{
	(void)state;
	struct environment empty;
	assert_int_equal(environment_init(&empty, NULL), 0);
	assert_null(empty.entries[0]);
	assert_int_equal(environment_set(&empty, "A", "b"), 0);
	assert_string_equal(empty.entries[0], "A=b");
	environment_fini(&empty);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names_are_found_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_setting_replaces_in_place_or_adds_at_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_an_entry_is_put_as_it_is, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_it_grows_and_stays_terminated, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			test_what_is_unset_is_gone_and_the_rest_stays, set_up, tear_down),
		cmocka_unit_test(test_an_empty_one_can_be_filled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
