/* What is given back, as the kernel counts it. */
#include "supervisor/base/resident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* A sanitizer's runtime has a heap of its own. */
/* variants: release */

#define BLOCKS 64
#define BLOCK_BYTES 65536

/* Of the mappings whose line has that text. */
static unsigned resident_kb(const char *text)
{
	char line[1024];
	unsigned sum_kb = 0;
	unsigned kb;
	int is_wanted = 0;
	FILE *file = fopen("/proc/self/smaps", "re");
	assert_non_null(file);
	while (fgets(line, sizeof line, file) != NULL) {
		if (line[0] >= 'a' || (line[0] >= '0' && line[0] <= '9'))
			is_wanted = strstr(line, text) != NULL;
		else if (is_wanted && sscanf(line, "Rss: %u", &kb) == 1)
			sum_kb += kb;
	}
	fclose(file);
	return sum_kb;
}

/* Of a library, since all of this program is in the pages that are needed to look. */
static void test_code_that_was_run_once_is_given_back(void **state)
{
	(void)state;
	unsigned mapped_kb = resident_kb("/libc.so");
	resident_give_back();
	assert_in_range(resident_kb("/libc.so"), 1, mapped_kb - mapped_kb / 4);
}

static void test_free_pages_below_what_is_in_use_are_given_back(void **state)
{
	char *block[BLOCKS];
	(void)state;
	for (size_t i = 0; i < BLOCKS; i++) {
		block[i] = malloc(BLOCK_BYTES);
		assert_non_null(block[i]);
		memset(block[i], (int)i, BLOCK_BYTES);
	}
	for (size_t i = 0; i + 1 < BLOCKS; i++)
		free(block[i]);
	unsigned mapped_kb = resident_kb("[heap]");
	assert_in_range(mapped_kb, BLOCKS * 60, UINT32_MAX);
	resident_give_back();
	assert_in_range(resident_kb("[heap]"), 0, mapped_kb / 4);
	for (size_t i = 0; i < BLOCK_BYTES; i++)
		assert_int_equal(block[BLOCKS - 1][i], BLOCKS - 1);
	free(block[BLOCKS - 1]);
}

static void use_stack(unsigned bytes)
{
	volatile char deep[4096];
	deep[0] = deep[sizeof deep - 1] = (char)bytes;
	if (bytes > sizeof deep)
		use_stack(bytes - (unsigned)sizeof deep);
	assert_int_equal(deep[0], (char)bytes);
}

static void test_the_stack_below_is_given_back(void **state)
{
	char kept[8192];
	(void)state;
	memset(kept, 7, sizeof kept);
	use_stack(100000);
	unsigned mapped_kb = resident_kb("[stack]");
	resident_give_back();
	assert_in_range(resident_kb("[stack]"), 0, mapped_kb - 60);
	for (size_t i = 0; i < sizeof kept; i++)
		assert_int_equal(kept[i], 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_code_that_was_run_once_is_given_back),
		cmocka_unit_test(test_free_pages_below_what_is_in_use_are_given_back),
		cmocka_unit_test(test_the_stack_below_is_given_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
