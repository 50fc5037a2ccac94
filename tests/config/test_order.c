/* In which order services start, by what they need and by priority, and what is no order. */
#include "tests/config/loading.h"

#include <stdio.h>

#define SERVICE(name) "[service:" name "]\ncommand = x\n"
#define PROGRAM(name) "[program:" name "]\ncommand = x\n"
#define NAMES_EXPECTED "expected names of services of this file such as db,cache"

static struct config config;

/* "db:0 web:1<db!": db in turn 0, then web in turn 1, which requires db. */
static const char *told(void)
{
	static char text[1024];
	size_t length = 0;

	for (size_t i = 0; i < config.service_count; i++) {
		const struct config_service *service = &config.services[i];
		length += (size_t)snprintf(text + length, sizeof text - length, "%s%s:%d",
			i == 0 ? "" : " ", service->name, service->turn);
		for (size_t j = 0; j < service->need_count; j++) {
			assert_true(service->need[j].service < i);
			length += (size_t)snprintf(text + length, sizeof text - length, "<%s%s",
				config.services[service->need[j].service].name,
				service->need[j].is_required ? "!" : "");
		}
	}
	return text;
}

static void test_services_start_by_needs_then_priority_then_the_file(void **state)
{
	static const struct {
		const char *text;
		const char *order;
	} rows[] = {
		{SERVICE("b") SERVICE("a"), "b:0 a:0"},
		{SERVICE("web") "after = db\n" SERVICE("db"), "db:0 web:0<db"},
		{SERVICE("web") "after = cache , db\n" SERVICE("db") SERVICE("cache"),
			"db:0 cache:0 web:0<cache<db"},
		{SERVICE("web") "requires = db\n" SERVICE("db"), "db:0 web:0<db!"},
		{SERVICE("web") "after = db\nrequires = db\n" SERVICE("db"), "db:0 web:0<db!"},
		{SERVICE("c") "after = b\n" SERVICE("b") "after = a\n" SERVICE("a"),
			"a:0 b:0<a c:0<b"},
		{SERVICE("a") "priority = 2\n" SERVICE("b") "priority = 1\n", "b:0 a:1"},
		/* A need is never of a higher turn. */
		{SERVICE("a") "priority = 1\nafter = c\n" SERVICE("b") SERVICE("c"),
			"b:0 c:0 a:0<c"},
		{PROGRAM("p") PROGRAM("q") "after = r\n" SERVICE("r"), "r:0 p:1 q:2<r"},
		{PROGRAM("p") "numprocs = 2\nprocess_name = p%(process_num)d\n" SERVICE(
			 "a") "requires = p\n",
			"p0:0 p1:1 a:2<p0!<p1!"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		loading_succeeds(rows[i].text, &config);
		assert_string_equal(told(), rows[i].order);
		config_free(&config);
	}
}

static void test_what_is_required_starts_by_itself(void **state)
{
	(void)state;
	loading_succeeds(
		SERVICE("a") "autostart = false\n" SERVICE(
			"b") "autostart = false\nrequires = "
			     "a\n" SERVICE("c") "requires = "
						"b\n" SERVICE("d") "autostar"
								   "t = "
								   "false"
								   "\n" SERVICE("e") "after = d\n",
		&config);
	for (size_t i = 0; i < config.service_count; i++)
		assert_int_equal(config.services[i].autostart, config.services[i].name[0] != 'd');
	config_free(&config);
}

static void test_a_change_of_needs_is_one(void **state)
{
	struct config other;

	(void)state;
	loading_succeeds(SERVICE("a") SERVICE("b") "after = a\n", &config);
	loading_succeeds(SERVICE("a") SERVICE("b") "requires = a\n", &other);
	assert_true(config_service_equal(&config.services[0], &other.services[0]));
	assert_false(config_service_equal(&config.services[1], &other.services[1]));
	config_free(&config);
	config_free(&other);
}

static void test_names_and_cycles_that_are_wrong_are_said(void **state)
{
	static const struct loading_row rows[] = {
		{SERVICE("web") "after = db\n",
			{{3, "after: there is no service db: expected the name of another service "
			     "of this file"}}},
		{SERVICE("web") "requires = databse\n" SERVICE("database"),
			{{3, "requires: there is no service databse: did you mean database?"}}},
		{SERVICE("web") "after = a\nrequires = a, b\n",
			{{3, "after: there is no service a: expected the name of another service "
			     "of this file"},
				{4, "requires: there is no service a: expected the name of another "
				    "service of this file"},
				{4, "requires: there is no service b: expected the name of another "
				    "service of this file"}}},
		{SERVICE("web") "after = web\n",
			{{3, "after: web is the service itself: expected the name of another "
			     "one"}}},
		{SERVICE("web") "after =\n", {{3, "after: \"\": not understood: " NAMES_EXPECTED}}},
		{SERVICE("web") "after = ,\n",
			{{3, "after: \",\": not understood: " NAMES_EXPECTED}}},
		{SERVICE("web") "requires = a/b\n",
			{{3, "requires: \"a/b\": not understood: " NAMES_EXPECTED}}},
		{SERVICE("a") "after = b\n" SERVICE("b") "requires = a\n",
			{{3, "a -> b -> a: expected needs without a cycle"}}},
		{SERVICE("z") "after = c\n" SERVICE("c") "after = b\n" SERVICE(
			 "a") "requires = c\n" SERVICE("b") "after = a\n" SERVICE("d"),
			{{6, "c -> b -> a -> c: expected needs without a cycle"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services_start_by_needs_then_priority_then_the_file),
		cmocka_unit_test(test_what_is_required_starts_by_itself),
		cmocka_unit_test(test_a_change_of_needs_is_one),
		cmocka_unit_test(test_names_and_cycles_that_are_wrong_are_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
