#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "shim/libc.h"
#include "shim/symbol.h"

/* The program is the first in the order of loading, so that "next" is any library. */
static void test_next_is_dlsyms(void **state)
{
	(void)state;
	static const char *const names[] = {"fork", "prctl", "setns", "syscall", "unshare",
		"dlopen", "dlmopen", "cmocka_set_message_output"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		void *expected = dlsym(RTLD_NEXT, names[i]);
		assert_non_null(expected);
		assert_ptr_equal(symbol_next(names[i]), expected);
	}
}

/* glibc has an old and a new realpath and pthread_cond_wait. */
static void test_of_several_versions_it_is_the_default(void **state)
{
	(void)state;
	static const char *const names[] = {"realpath", "pthread_cond_wait", "posix_spawn"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		assert_ptr_equal(symbol_next(names[i]), dlsym(RTLD_DEFAULT, names[i]));
}

static void test_what_is_not_there_is_null(void **state)
{
	(void)state;
	assert_null(symbol_next("spillway_has_no_such_function"));
	assert_null(symbol_next(""));
	/* A variable. */
	assert_null(symbol_next("environ"));
	/* The program's own is not in a library. */
	assert_null(symbol_next("symbol_next"));
}

static void test_a_library_is_known_by_its_name(void **state)
{
	(void)state;
	assert_ptr_equal(symbol_of("libc.so.6", "fork"), dlsym(RTLD_DEFAULT, "fork"));
	assert_null(symbol_of("libc.so.6", "cmocka_set_message_output"));
	assert_null(symbol_of("libc.so", "fork"));
	assert_null(symbol_of("libspillway-none.so.1", "fork"));
}

/* The kernel's object has offsets where glibc made addresses of the others'. */
static void test_the_vdso_is_read_as_well(void **state)
{
	(void)state;
#ifdef __x86_64__
	assert_non_null(symbol_of("linux-vdso.so.1", "__vdso_clock_gettime"));
#else
	assert_non_null(symbol_of("linux-vdso.so.1", "__kernel_clock_gettime"));
#endif
}

static void test_threads_are_those_that_the_program_has(void **state)
{
	(void)state;
	const struct libc_threads *threads = libc_threads();
	assert_non_null(threads);
	assert_ptr_equal(threads->create, pthread_create);
	assert_ptr_equal(threads->key_set, pthread_setspecific);
}

static void test_the_environment_is_libcs_and_else_what_is_passed(void **state)
{
	(void)state;
	char *passed[] = {NULL};
	char **before = environ;
	assert_true(libc_is_there());
	assert_ptr_equal(libc_environment(passed), before);
	environ = NULL;
	assert_ptr_equal(libc_environment(passed), passed);
	environ = before;
}

/* The program is asked first, and exports nothing here. */
static void test_the_first_one_is_bound_to(void **state)
{
	(void)state;
	uintptr_t libc;
	uintptr_t base;
	assert_ptr_equal(symbol_first("fork", &libc), dlsym(RTLD_DEFAULT, "fork"));
	assert_ptr_equal(symbol_first("malloc", &base), dlsym(RTLD_DEFAULT, "malloc"));
	assert_null(symbol_first("spillway_has_no_such_function", &base));
	assert_ptr_equal(symbol_beside("setns", libc), dlsym(RTLD_DEFAULT, "setns"));
	assert_null(symbol_beside("setns", libc + 1));
	assert_null(symbol_beside("cmocka_set_message_output", libc));
	assert_null(symbol_beside("spillway_has_no_such_function", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_next_is_dlsyms),
		cmocka_unit_test(test_of_several_versions_it_is_the_default),
		cmocka_unit_test(test_what_is_not_there_is_null),
		cmocka_unit_test(test_the_first_one_is_bound_to),
		cmocka_unit_test(test_a_library_is_known_by_its_name),
		cmocka_unit_test(test_the_vdso_is_read_as_well),
		cmocka_unit_test(test_threads_are_those_that_the_program_has),
		cmocka_unit_test(test_the_environment_is_libcs_and_else_what_is_passed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
