#include "tests/policy/fixture.h"

#include "supervisor/policy/fraction.h"

static void test_part_of_is_exact_for_ordinary_sizes(void **state)
{
	(void)state;
	static const struct {
		uint64_t bytes;
		uint32_t permille;
		uint64_t expected;
	} rows[] = {
		{0, 500, 0},
		{1000, 0, 0},
		{1000, 1, 1},
		{999, 1, 0},
		{256 * MIB, 250, 64 * MIB},
		{256 * MIB, 1000, 256 * MIB},
		{UINT64_MAX, 1000, UINT64_MAX},
		{UINT64_MAX, 2000, UINT64_MAX},
		{UINT64_MAX, 500, UINT64_MAX / 2},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(
			fraction_part_of(rows[i].bytes, rows[i].permille), rows[i].expected);
}

static void test_amount_is_share_of_the_wall_or_bytes(void **state)
{
	(void)state;
	struct config_amount share = {.bytes = 7, .permille = 100};
	struct config_amount bytes = {.bytes = 64 * MIB};
	assert_int_equal(fraction_amount_bytes(share, 1000), 100);
	assert_int_equal(fraction_amount_bytes(share, UINT64_MAX), 0);
	assert_int_equal(fraction_amount_bytes(bytes, 1000), 64 * MIB);
	assert_int_equal(fraction_amount_bytes(bytes, UINT64_MAX), 64 * MIB);
}

static void test_share_agrees_with_wide_arithmetic(void **state)
{
	(void)state;
	uint64_t seed = 0x9e3779b97f4a7c15U;
	for (int n = 0; n < 200000; n++) {
		uint64_t total = fixture_random_size(&seed);
		uint64_t whole = fixture_random(&seed) % UINT32_MAX + 1;
		uint64_t part = fixture_random(&seed) % UINT32_MAX;
		unsigned __int128 exact = (unsigned __int128)total * part / whole;
		uint64_t expected = exact > UINT64_MAX ? UINT64_MAX : (uint64_t)exact;
		assert_int_equal(fraction_share(total, part, whole), expected);
	}
}

static void test_share_of_large_wholes_is_close_and_never_too_much(void **state)
{
	(void)state;
	uint64_t seed = 88172645463325252U;
	for (int n = 0; n < 200000; n++) {
		uint64_t total = fixture_random_size(&seed);
		uint64_t whole = fixture_random_size(&seed) + (UINT64_C(1) << 32);
		if (whole < UINT64_C(1) << 32)
			continue;
		uint64_t part = fixture_random(&seed) % whole;
		uint64_t exact = (uint64_t)((unsigned __int128)total * part / whole);
		uint64_t got = fraction_share(total, part, whole);
		uint64_t slack = (total >> 30) + 1;
		assert_true(got <= total);
		assert_true(got <= exact ? exact - got <= slack : got - exact <= slack);
	}
}

static void test_shares_together_never_exceed_the_total(void **state)
{
	(void)state;
	uint64_t seed = 42;
	for (int n = 0; n < 20000; n++) {
		uint64_t part[FIXTURE_SERVICES_MAX];
		uint64_t whole = 0;
		uint64_t total = fixture_random_size(&seed);
		uint64_t sum = 0;
		for (size_t i = 0; i < FIXTURE_SERVICES_MAX; i++) {
			part[i] = fixture_random_size(&seed) >> 6;
			whole += part[i];
		}
		for (size_t i = 0; i < FIXTURE_SERVICES_MAX; i++) {
			uint64_t share = fraction_share(total, part[i], whole);
			assert_true(share <= total - sum);
			sum += share;
		}
	}
}

static void test_nothing_of_nothing_is_nothing(void **state)
{
	(void)state;
	assert_int_equal(fraction_share(1, 1, 0), 0);
	assert_int_equal(fraction_permille(1, 0), 0);
	assert_int_equal(fraction_permille(1, 4), 250);
	assert_int_equal(fraction_permille(UINT64_MAX, 1), UINT32_MAX);
	assert_int_equal(fraction_less(1, 2), 0);
	assert_int_equal(fraction_plus(UINT64_MAX, 1), UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_part_of_is_exact_for_ordinary_sizes),
		cmocka_unit_test(test_amount_is_share_of_the_wall_or_bytes),
		cmocka_unit_test(test_share_agrees_with_wide_arithmetic),
		cmocka_unit_test(test_share_of_large_wholes_is_close_and_never_too_much),
		cmocka_unit_test(test_shares_together_never_exceed_the_total),
		cmocka_unit_test(test_nothing_of_nothing_is_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
