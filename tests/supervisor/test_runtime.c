/* How language runtimes are recognised, and what their environment is given. */
#include "supervisor/process/runtime.h"

#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#define LIMIT_BYTES (UINT64_C(400) << 20)

static char program[] = "program";
static char *plain[] = {program, NULL};

static void test_a_runtime_is_known_by_the_name_of_its_program(void **state)
{
	static const struct {
		const char *path;
		enum config_runtime runtime;
	} known[] = {
		{"/usr/bin/node", CONFIG_RUNTIME_NODE},
		{"node20", CONFIG_RUNTIME_NODE},
		{"/usr/local/bin/python3.12", CONFIG_RUNTIME_PYTHON},
		{"java", CONFIG_RUNTIME_JAVA},
		{"dotnet", CONFIG_RUNTIME_DOTNET},
		{"ruby3.1", CONFIG_RUNTIME_RUBY},
		{"/java/true", CONFIG_RUNTIME_AUTO},
		{"javac", CONFIG_RUNTIME_AUTO},
		{"nodes", CONFIG_RUNTIME_AUTO},
		{"", CONFIG_RUNTIME_AUTO},
	};
	(void)state;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (runtime_of_name(known[i].path) != known[i].runtime)
			fail_msg("%s", known[i].path);
}

static void test_a_runtime_is_known_by_what_it_links_with(void **state)
{
	static const char node[] = "\0libc.so.6\0node_module_register";
	static const char java[] = "\0libjli.so\0libc.so.6";
	static const char unlike[] = "\0my_libjli.so\0libc.so.6";
	(void)state;
	assert_int_equal(runtime_of_strings(node, sizeof node), CONFIG_RUNTIME_NODE);
	assert_int_equal(runtime_of_strings(java, sizeof java), CONFIG_RUNTIME_JAVA);
	assert_int_equal(runtime_of_strings(unlike, sizeof unlike), CONFIG_RUNTIME_AUTO);
	assert_int_equal(runtime_of_note("Go", 3), CONFIG_RUNTIME_GO);
	assert_int_equal(runtime_of_note("GNU", 4), CONFIG_RUNTIME_AUTO);
	assert_int_equal(runtime_of_note("Go", 2), CONFIG_RUNTIME_AUTO);
}

struct row {
	struct runtime_start start;
	const char *before[3]; /* the environment */
	const char *given;     /* NULL = nothing */
	const char *variable;  /* of the environment afterwards, */
	const char *value;     /* that it is; NULL = not set */
};

/* What holds of a start. */
enum { LIMITS = 1, SHIM = 2, LIBC = 4, ALL = 7 };

#define START(RUNTIME, HOLDS, LIMIT_BYTES, CPUS, ARGV) \
	{ \
		.runtime = CONFIG_RUNTIME_##RUNTIME, .limits = ((HOLDS)&LIMITS) != 0, \
		.has_heap = ((HOLDS)&SHIM) != 0, .has_libc_heap = ((HOLDS)&LIBC) != 0, \
		.limit_bytes = (LIMIT_BYTES), .cpus = (CPUS), .argv = (ARGV) \
	}
#define USUAL(RUNTIME) START(RUNTIME, ALL, LIMIT_BYTES, 4, plain)

static void check_row(const struct row *row)
{
	struct environment environment;
	struct runtime_given given;
	assert_int_equal(environment_init(&environment, NULL), 0);
	for (size_t i = 0; i < 3 && row->before[i] != NULL; i++)
		assert_int_equal(environment_put(&environment, row->before[i]), 0);
	assert_int_equal(runtime_give(&row->start, &environment, &given), 0);
	assert_int_equal(given.count, row->given != NULL);
	if (row->given != NULL)
		assert_string_equal(given.text[0], row->given);
	const char *value = environment_get(&environment, row->variable);
	if (row->value == NULL)
		assert_null(value);
	else
		assert_string_equal(value, row->value);
	environment_fini(&environment);
}

static void test_a_runtime_without_a_limit_is_given_one(void **state)
{
	static const struct row rows[] = {
		{USUAL(NODE), {NULL}, "NODE_OPTIONS=--max-old-space-size=300", "NODE_OPTIONS",
			"--max-old-space-size=300"},
		{USUAL(NODE), {"NODE_OPTIONS=--trace-gc"}, "NODE_OPTIONS=--max-old-space-size=300",
			"NODE_OPTIONS", "--trace-gc --max-old-space-size=300"},
		{USUAL(JAVA), {NULL},
			"JAVA_TOOL_OPTIONS=-XX:MaxRAM=419430400 -XX:MaxRAMPercentage=70",
			"JAVA_TOOL_OPTIONS", "-XX:MaxRAM=419430400 -XX:MaxRAMPercentage=70"},
		{USUAL(GO), {NULL}, "GOMEMLIMIT=360MiB", "GOMEMLIMIT", "360MiB"},
		{USUAL(DOTNET), {NULL}, "DOTNET_GCHeapHardLimit=0x12c00000",
			"DOTNET_GCHeapHardLimit", "0x12c00000"},
		{USUAL(PHP), {NULL}, NULL, "USE_ZEND_ALLOC", NULL},
		/* A limit of less than a MiB is still one. */
		{START(GO, ALL, 4096, 4, plain), {NULL}, "GOMEMLIMIT=1MiB", "GOMEMLIMIT", "1MiB"},
		{START(GO, ALL, UINT64_MAX, 4, plain), {NULL}, NULL, "GOMEMLIMIT", NULL},
		{START(GO, LIBC | SHIM, LIMIT_BYTES, 4, plain), {NULL}, NULL, "GOMEMLIMIT", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check_row(&rows[i]);
}

static void test_what_the_user_has_set_stays(void **state)
{
	static char heap[] = "-Xmx64m";
	static char *with_heap[] = {program, heap, NULL};
	static const struct row rows[] = {
		{USUAL(GO), {"GOMEMLIMIT="}, NULL, "GOMEMLIMIT", ""},
		{USUAL(NODE), {"NODE_OPTIONS=--x --max_old_space_size=9"}, NULL, "NODE_OPTIONS",
			"--x --max_old_space_size=9"},
		{START(JAVA, ALL, LIMIT_BYTES, 4, with_heap), {NULL}, NULL, "JAVA_TOOL_OPTIONS",
			NULL},
		{USUAL(JAVA), {"JDK_JAVA_OPTIONS=-Dx -Xmx9m"}, NULL, "JAVA_TOOL_OPTIONS", NULL},
		{USUAL(DOTNET), {"COMPlus_GCHeapHardLimit=9"}, NULL, "DOTNET_GCHeapHardLimit",
			NULL},
		{USUAL(PYTHON), {"PYTHONMALLOC=debug"}, NULL, "PYTHONMALLOC", "debug"},
		{USUAL(PYTHON), {"PYTHONDEVMODE=1"}, NULL, "PYTHONMALLOC", NULL},
		{START(AUTO, LIBC | LIMITS, LIMIT_BYTES, 4, plain),
			{"GLIBC_TUNABLES=glibc.cpu.x=1:glibc.malloc.arena_max=1"}, NULL,
			"MALLOC_ARENA_MAX", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check_row(&rows[i]);
}

static void test_python_moves_into_our_heap_where_there_is_a_limit(void **state)
{
	static const struct row rows[] = {
		{USUAL(PYTHON), {NULL}, "PYTHONMALLOC=malloc", "PYTHONMALLOC", "malloc"},
		{START(PYTHON, LIBC | SHIM, LIMIT_BYTES, 4, plain), {NULL}, NULL, "PYTHONMALLOC",
			NULL},
		{START(PYTHON, ALL, UINT64_MAX, 4, plain), {NULL}, NULL, "PYTHONMALLOC", NULL},
		{START(PYTHON, LIMITS, LIMIT_BYTES, 4, plain), {NULL}, NULL, "PYTHONMALLOC", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check_row(&rows[i]);
}

static void test_glibc_gets_as_many_arenas_as_cpus(void **state)
{
	static const struct row rows[] = {
		{START(AUTO, LIBC | LIMITS, LIMIT_BYTES, 4, plain), {NULL}, "MALLOC_ARENA_MAX=4",
			"MALLOC_ARENA_MAX", "4"},
		{START(AUTO, LIBC | LIMITS, LIMIT_BYTES, 1, plain), {NULL}, "MALLOC_ARENA_MAX=2",
			"MALLOC_ARENA_MAX", "2"},
		{USUAL(AUTO), {NULL}, NULL, "MALLOC_ARENA_MAX", NULL},
		{START(AUTO, LIMITS, LIMIT_BYTES, 4, plain), {NULL}, NULL, "MALLOC_ARENA_MAX",
			NULL},
		{START(AUTO, LIBC, LIMIT_BYTES, 4, plain), {NULL}, NULL, "MALLOC_ARENA_MAX", NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		check_row(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_runtime_is_known_by_the_name_of_its_program),
		cmocka_unit_test(test_a_runtime_is_known_by_what_it_links_with),
		cmocka_unit_test(test_a_runtime_without_a_limit_is_given_one),
		cmocka_unit_test(test_what_the_user_has_set_stays),
		cmocka_unit_test(test_python_moves_into_our_heap_where_there_is_a_limit),
		cmocka_unit_test(test_glibc_gets_as_many_arenas_as_cpus),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
