#include "tests/policy/fixture.h"

#include "supervisor/policy/price.h"

/*
 * Properties rather than samples: a goal that was out by a factor of a hundred, or
 * that held objects against pages, has gone unnoticed for years elsewhere, since
 * it looks right wherever somebody looks.
 */

#define ROUNDS 200000
#define LEAST PRICE_FACTOR_LEAST_PERMILLE
#define MOST PRICE_FACTOR_MOST_PERMILLE

/* Numbers at which arithmetic on 64 bits turns. */
static const uint64_t edges[] = {0, 1, 2, 3, 4, 63, 64, 65, 255, 256, 257, 4095, 4096, 4097,
	UINT32_MAX, UINT64_C(1) << 32, (UINT64_C(1) << 54) - 1, UINT64_C(1) << 54,
	(UINT64_C(1) << 56) - 1, UINT64_C(1) << 56, (UINT64_C(1) << 56) + 1, UINT64_MAX / 64,
	UINT64_MAX / 64 + 1, UINT64_MAX / 4, UINT64_MAX / 4 + 1, INT64_MAX, UINT64_MAX - 1,
	UINT64_MAX};

#define EDGES (sizeof edges / sizeof edges[0])

/* At an edge, or of any magnitude. */
static uint64_t any_size(uint64_t *seed)
{
	if (fixture_random(seed) % 4 == 0)
		return edges[fixture_random(seed) % EDGES];
	return fixture_random_size(seed);
}

static uint64_t any_wall(uint64_t *seed)
{
	uint64_t bytes = any_size(seed);
	return bytes == UINT64_MAX ? bytes - 1 : bytes;
}

static void test_core_worth_is_a_second_of_cpu_for_a_second_of_it(void **state)
{
	(void)state;
	static const struct {
		uint64_t core_worth_bytes;
		uint64_t base_ns;
	} rows[] = {
		{2 * GIB, 1907},
		{GIB, 3814},
		{CONFIG_CORE_WORTH_LEAST_BYTES, 244140},
		{CONFIG_CORE_WORTH_MOST_BYTES, 3},
		{4096, 1000000000},
		{UINT64_MAX, 1},
		{1, UINT64_C(4096000000000)},
		{0, UINT64_C(4096000000000)},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(price_base_ns(rows[i].core_worth_bytes), rows[i].base_ns);
	/* The other way round: all pages of it, at that price, are one CPU. */
	for (uint64_t bytes = CONFIG_CORE_WORTH_LEAST_BYTES; bytes <= 64 * GIB; bytes += bytes / 3)
		assert_in_range(price_base_ns(bytes) * (bytes / 4096), 970000000, 1000000000);
}

static void test_less_worth_is_never_cheaper(void **state)
{
	(void)state;
	uint64_t seed = 0x9e3779b97f4a7c15U;
	for (int n = 0; n < ROUNDS; n++) {
		uint64_t a = any_size(&seed);
		uint64_t b = any_size(&seed);
		uint64_t less = a < b ? a : b;
		uint64_t more = a < b ? b : a;
		assert_true(price_base_ns(less) >= price_base_ns(more));
		assert_true(price_base_ns(more) > 0);
	}
}

static void test_the_factor_is_a_quarter_of_the_wall_over_headroom(void **state)
{
	(void)state;
	static const struct {
		uint64_t wall_bytes;
		uint64_t headroom_bytes;
		uint32_t permille;
	} rows[] = {
		{UINT64_MAX, UINT64_MAX, LEAST},
		{UINT64_MAX, 0, LEAST},
		{256 * MIB, UINT64_MAX, LEAST},
		{256 * MIB, 256 * MIB, LEAST},
		{256 * MIB, 64 * MIB, LEAST},
		{256 * MIB, 32 * MIB, 2000},
		{256 * MIB, 48 * MIB, 1333},
		{256 * MIB, 2 * MIB, 32000},
		{256 * MIB, MIB, MOST},
		{256 * MIB, 4096, MOST},
		{256 * MIB, 0, MOST},
		{UINT64_C(1) << 63, UINT64_C(1) << 60, 2000},
		{UINT64_C(1) << 63, UINT64_C(1) << 55, MOST},
		{0, 0, LEAST},
		{1, 0, MOST},
		{5, 1, 2000},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(price_factor_permille(rows[i].wall_bytes, rows[i].headroom_bytes),
			rows[i].permille);
}

static void test_the_factor_agrees_with_wide_arithmetic(void **state)
{
	(void)state;
	uint64_t seed = 88172645463325252U;
	for (int n = 0; n < ROUNDS; n++) {
		uint64_t wall = any_wall(&seed) | MIB;
		uint64_t headroom = fixture_random(&seed) % (wall / 4) + 1;
		uint64_t exact = (uint64_t)((unsigned __int128)wall * 250 / headroom);
		uint64_t got = price_factor_permille(wall, headroom);
		if (wall == UINT64_MAX)
			continue;
		exact = exact > MOST ? MOST : exact;
		assert_in_range(got, exact - 1, exact + 1);
	}
}

static void test_less_headroom_is_never_cheaper(void **state)
{
	(void)state;
	uint64_t seed = 42;
	for (int n = 0; n < ROUNDS; n++) {
		uint64_t wall = any_wall(&seed);
		uint64_t a = any_size(&seed);
		uint64_t b = n % 2 == 0 ? any_size(&seed) : a - (a > 0 ? 1 : 0);
		uint64_t less = a < b ? a : b;
		uint64_t more = a < b ? b : a;
		assert_true(price_factor_permille(wall, less) >= price_factor_permille(wall, more));
	}
	/* Neighbours all the way up, where rounding would show. */
	for (uint64_t wall = 1; wall < 2048; wall += wall / 16 + 1)
		for (uint64_t headroom = 0; headroom <= wall; headroom++)
			assert_true(price_factor_permille(wall, headroom) >=
				    price_factor_permille(wall, headroom + 1));
}

static void test_a_larger_wall_with_the_same_headroom_is_never_cheaper(void **state)
{
	(void)state;
	uint64_t seed = 7;
	for (int n = 0; n < ROUNDS; n++) {
		uint64_t headroom = any_size(&seed);
		uint64_t a = any_wall(&seed);
		uint64_t b = n % 2 == 0 ? any_wall(&seed) : a - (a > 0 ? 1 : 0);
		uint64_t less = a < b ? a : b;
		uint64_t more = a < b ? b : a;
		assert_true(price_factor_permille(less, headroom) <=
			    price_factor_permille(more, headroom));
	}
}

static void test_the_factor_has_bounds_for_all_numbers(void **state)
{
	(void)state;
	for (size_t w = 0; w < EDGES; w++)
		for (size_t h = 0; h < EDGES; h++)
			assert_in_range(price_factor_permille(edges[w], edges[h]), LEAST, MOST);
}

/* It begins to rise at the quarter, not with a step there. */
static void test_the_price_does_not_jump_at_the_quarter(void **state)
{
	(void)state;
	uint64_t base_ns = price_base_ns(2 * GIB);
	for (uint64_t wall = 16 * MIB; wall < UINT64_C(1) << 62; wall *= 2) {
		uint64_t quarter = wall / 4;
		assert_int_equal(price_factor_permille(wall, quarter + 1), LEAST);
		assert_int_equal(price_factor_permille(wall, quarter), LEAST);
		assert_int_equal(price_factor_permille(wall, quarter - 1), LEAST);
		assert_in_range(price_factor_permille(wall, quarter - quarter / 500), 1001, 1003);
		uint64_t near_ns =
			price_ns(base_ns, price_factor_permille(wall, quarter - quarter / 500));
		assert_in_range(near_ns, base_ns + 1, base_ns + base_ns / 300);
	}
}

static void test_the_price_is_base_times_factor_and_never_0(void **state)
{
	(void)state;
	uint64_t seed = 99;
	assert_int_equal(price_ns(1907, LEAST), 1907);
	assert_int_equal(price_ns(1907, 2500), 4767);
	assert_int_equal(price_ns(1907, MOST), 122048);
	assert_int_equal(price_ns(0, LEAST), 1);
	assert_int_equal(price_ns(0, MOST), 1);
	assert_true(price_ns(UINT64_MAX, MOST) == UINT64_MAX);
	for (int n = 0; n < ROUNDS; n++) {
		uint64_t base_ns = any_size(&seed);
		uint32_t factor = LEAST + (uint32_t)(fixture_random(&seed) % (MOST - LEAST + 1));
		unsigned __int128 exact = (unsigned __int128)base_ns * factor / 1000;
		uint64_t expected = exact > UINT64_MAX ? UINT64_MAX : (uint64_t)exact;
		assert_true(price_ns(base_ns, factor) == (expected > 0 ? expected : 1));
	}
}

/* Both walls of one service at once, and the plan's price for it. */
static uint64_t planned_ns(uint64_t shared_used_bytes, uint64_t own_used_bytes)
{
	fixture_start(2, 256 * MIB);
	fixture.service[0].sample.own.limit_bytes = 128 * MIB;
	fixture_use(0, own_used_bytes);
	fixture_use(1, shared_used_bytes - own_used_bytes);
	fixture_step(1000);
	return fixture.service[0].plan.price_ns;
}

static void test_a_service_pays_the_dearer_of_its_two_walls(void **state)
{
	(void)state;
	assert_int_equal(planned_ns(64 * MIB, 64 * MIB), 1907);
	assert_int_equal(planned_ns(224 * MIB, 64 * MIB), 2 * 1907);
	/* Its sibling has only the wall they share. */
	assert_int_equal(fixture.service[1].plan.price_ns, 2 * 1907);
	assert_int_equal(planned_ns(128 * MIB, 120 * MIB), 4 * 1907);
	assert_int_equal(fixture.service[1].plan.price_ns, 1907);
	assert_int_equal(planned_ns(255 * MIB, 112 * MIB), 64 * 1907);
}

static void test_all_under_one_wall_have_the_same_price(void **state)
{
	(void)state;
	fixture_start(3, 256 * MIB);
	fixture.policies[1] = fixture_policy;
	fixture.policies[1].core_worth_bytes = GIB;
	fixture.service[1].policy = &fixture.policies[1];
	fixture.service[2].sample.running = false;
	fixture_use(0, 16 * MIB);
	fixture_use(1, 224 * MIB);
	fixture_step(1000);
	/* That of the service to which idle memory is worth most. */
	assert_int_equal(fixture.service[0].plan.price_ns, 4 * 3814);
	assert_int_equal(fixture.service[1].plan.price_ns, 4 * 3814);
	/* One that does not run finds its price when it starts. */
	assert_int_equal(fixture.service[2].plan.price_ns, 4 * 3814);
	fixture.service[1].sample.running = false;
	fixture_step(1010);
	assert_int_equal(fixture.service[0].plan.price_ns, 4 * 1907);
}

static void test_without_a_wall_the_price_is_the_base(void **state)
{
	(void)state;
	fixture_start(1, SAMPLE_NO_LIMIT);
	fixture_use(0, 300 * GIB);
	fixture_step(1000);
	assert_int_equal(fixture.service[0].plan.price_ns, 1907);
}

/* A lazily freed page is room, and room makes keeping cheap. */
static void test_what_the_kernel_can_take_back_lowers_the_price(void **state)
{
	(void)state;
	fixture_start(1, 256 * MIB);
	fixture_use(0, 240 * MIB);
	fixture_step(1000);
	assert_int_equal(fixture.service[0].plan.price_ns, 4 * 1907);
	fixture.service[0].sample.heap.lazy_bytes = 48 * MIB;
	fixture_step(2000);
	assert_int_equal(fixture.service[0].plan.price_ns, 1907);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_core_worth_is_a_second_of_cpu_for_a_second_of_it),
		cmocka_unit_test(test_less_worth_is_never_cheaper),
		cmocka_unit_test(test_the_factor_is_a_quarter_of_the_wall_over_headroom),
		cmocka_unit_test(test_the_factor_agrees_with_wide_arithmetic),
		cmocka_unit_test(test_less_headroom_is_never_cheaper),
		cmocka_unit_test(test_a_larger_wall_with_the_same_headroom_is_never_cheaper),
		cmocka_unit_test(test_the_factor_has_bounds_for_all_numbers),
		cmocka_unit_test(test_the_price_does_not_jump_at_the_quarter),
		cmocka_unit_test(test_the_price_is_base_times_factor_and_never_0),
		cmocka_unit_test(test_a_service_pays_the_dearer_of_its_two_walls),
		cmocka_unit_test(test_all_under_one_wall_have_the_same_price),
		cmocka_unit_test(test_without_a_wall_the_price_is_the_base),
		cmocka_unit_test(test_what_the_kernel_can_take_back_lowers_the_price),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
