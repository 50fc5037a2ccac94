#include "tests/config/loading.h"
#include "tests/support/skip.h"

#include <stdlib.h>

/*
 * Every allocation of the loader fails once.  The C library lets a program
 * bring a malloc of its own, and strdup() and inih then use it; a sanitizer
 * brings its own already, so there this is skipped.
 */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

static void test_any_allocation_may_fail(void **state)
{
	(void)state;
	skip_because("the sanitizer's malloc cannot be made to fail");
}

#else

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nmemb, size_t size);
void *__libc_realloc(void *ptr, size_t size);
void __libc_free(void *ptr);

static bool counting;
static size_t allocations; /* since counting */
static size_t failing;     /* which one fails; 0 = none */
static long live;

static bool fails(void)
{
	return counting && ++allocations == failing;
}

static void *counted(void *memory)
{
	if (counting && memory != NULL)
		live++;
	return memory;
}

void *malloc(size_t size)
{
	return fails() ? NULL : counted(__libc_malloc(size));
}

void *calloc(size_t nmemb, size_t size)
{
	return fails() ? NULL : counted(__libc_calloc(nmemb, size));
}

void *realloc(void *ptr, size_t size)
{
	if (fails())
		return NULL;
	void *moved = __libc_realloc(ptr, size);
	return ptr == NULL ? counted(moved) : moved;
}

void free(void *ptr)
{
	if (counting && ptr != NULL)
		live--;
	__libc_free(ptr);
}

static const char text[] = "[supervisor]\npressure_signals = USR1:full\n"
			   "[service:a]\ncommand = a 'b c' d\nenvironment = A=1,B=2\n"
			   "user = u\ndirectory = /\npolicy = p\n[policy:p]\n"
			   "[service:b]\ncommand = b\n[service:c]\ncommand = c\n"
			   "[supervisord]\nenvironment = A=1\n[program:d]\ncommand = d\n"
			   "process_name=d%(process_num)d\nnumprocs=2\nenvironment=B=2\n"
			   "[group:g]\nprograms=d\n";

static void test_any_allocation_may_fail(void **state)
{
	static struct config config;
	static struct config before;
	static struct config_errors errors;
	int error = -ENOMEM;

	(void)state;
	memset(&before, 0xA5, sizeof before);
	/* Until one is to fail that there is not.  vasprintf makes up for one. */
	for (failing = 1; error != 0 || failing <= allocations; failing++) {
		config = before;
		live = 0;
		allocations = 0;
		counting = true;
		error = config_load_text(text, sizeof text - 1, &config, &errors);
		if (error == 0)
			config_free(&config);
		counting = false;
		assert_int_equal(live, 0);
		if (error == 0)
			continue;
		assert_int_equal(error, -ENOMEM);
		assert_int_equal(errors.count, 1);
		assert_non_null(strstr(errors.error[0].text, "out of memory"));
		assert_memory_equal(&config, &before, sizeof config);
	}
	/* The config, the loader, inih's line, and what the values need. */
	assert_true(allocations > 50);
}

#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
