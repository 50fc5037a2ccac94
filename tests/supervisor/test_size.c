#include "supervisor/base/size.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void test_sizes_are_short_and_exact_enough(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} rows[] = {
		{0, "0"},
		{812, "812"},
		{1023, "1023"},
		{1024, "1K"},
		{1536, "1.5K"},
		{26843546, "25.6M"},
		{UINT64_C(256) << 20, "256M"},
		{(UINT64_C(99) << 20) + (1 << 19), "99.5M"},
		{(UINT64_C(100) << 20) + (1 << 19), "100M"},
		{(UINT64_C(1) << 30) - 1, "1023M"},
		{UINT64_C(3) << 40, "3T"},
		{UINT64_MAX - 1, "15.9E"},
		{UINT64_MAX, "no limit"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(size_text(rows[i].bytes).text, rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_are_short_and_exact_enough),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
