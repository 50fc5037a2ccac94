#include "tests/policy/fixture.h"

#include "supervisor/policy/credit.h"

static void test_taken_credit_is_pending_until_it_is_charged(void **state)
{
	(void)state;
	struct credit credit = {.given = true, .given_bytes = 50 * MIB};
	credit_account(&credit, 20 * MIB, 0, 0, 0, 1000);
	assert_int_equal(credit_pending_bytes(&credit), 30 * MIB);
	credit.given_bytes = 10 * MIB;
	credit_account(&credit, 10 * MIB, 12 * MIB, 0, 0, 1005);
	assert_int_equal(credit_pending_bytes(&credit), 18 * MIB);
	credit_account(&credit, 10 * MIB, 40 * MIB, 0, 0, 1010);
	assert_int_equal(credit_pending_bytes(&credit), 0);
}

static void test_taken_and_charged_in_one_go_is_not_pending(void **state)
{
	(void)state;
	struct credit credit = {.given = true, .given_bytes = 50 * MIB};
	credit_account(&credit, 20 * MIB, 30 * MIB, 0, 0, 1000);
	assert_int_equal(credit_pending_bytes(&credit), 0);
}

/* A process ends while the heap fills what it was granted: usage does not rise. */
static void test_what_is_resident_is_not_pending_where_usage_falls(void **state)
{
	(void)state;
	struct credit credit = {.given = true, .given_bytes = 50 * MIB, .period_ms = 1000};
	credit_account(&credit, 20 * MIB, 0, 10 * MIB, 0, 1000);
	assert_int_equal(credit_pending_bytes(&credit), 20 * MIB);
	credit.given = false;
	credit_account(&credit, 0, 0, 30 * MIB, 0, 1005);
	assert_int_equal(credit_pending_bytes(&credit), 0);
}

/* The same bytes, told twice, are not those of another who has taken credit meanwhile. */
static void test_usage_and_heaps_tell_the_same_bytes(void **state)
{
	(void)state;
	struct credit credit = {.given = true, .given_bytes = 50 * MIB, .period_ms = 1000};
	assert_int_equal(credit_account(&credit, 40 * MIB, 10 * MIB, 0, 0, 1000), 10 * MIB);
	credit.given_bytes = 40 * MIB;
	assert_int_equal(credit_account(&credit, 32 * MIB, 0, 10 * MIB, 0, 1001), 0);
	assert_int_equal(credit_pending_bytes(&credit), 8 * MIB);
	credit.given = false;
	assert_int_equal(credit_account(&credit, 0, 0, 18 * MIB, 0, 1002), 0);
	assert_int_equal(credit_pending_bytes(&credit), 0);
	credit.given = true;
	credit.given_bytes = 32 * MIB;
	assert_int_equal(credit_account(&credit, 25 * MIB, 8 * MIB, 18 * MIB, 0, 1003), 8 * MIB);
	assert_int_equal(credit_pending_bytes(&credit), 7 * MIB);
}

/* What was settled without the heaps' word, which never comes, does not hold up for long. */
static void test_debts_are_forgotten_in_time(void **state)
{
	(void)state;
	struct credit credit = {.given = true, .given_bytes = 50 * MIB, .period_ms = 1000};
	credit_account(&credit, 40 * MIB, 10 * MIB, 0, 0, 1000);
	credit.given = false;
	for (uint64_t now_ms = 1100; now_ms <= 3500; now_ms += 100)
		credit_account(&credit, 0, 0, 0, 0, now_ms);
	credit.given = true;
	credit_account(&credit, 40 * MIB, 0, 10 * MIB, 0, 3550);
	assert_int_equal(credit_pending_bytes(&credit), 0);
}

/* The heaps of a service that starts anew count from 0. */
static void test_heaps_may_count_anew(void **state)
{
	(void)state;
	struct credit credit = {
		.given = true, .given_bytes = 50 * MIB, .populated_bytes = 100 * MIB};
	credit_account(&credit, 40 * MIB, 0, 6 * MIB, 0, 1000);
	assert_int_equal(credit_pending_bytes(&credit), 4 * MIB);
}

static void test_pending_is_forgotten_in_time(void **state)
{
	(void)state;
	struct credit credit = {.given = true, .given_bytes = 50 * MIB, .period_ms = 1000};
	credit_account(&credit, 20 * MIB, 0, 0, 0, 1050);
	credit.given_bytes = 0;
	credit_account(&credit, 0, 0, 0, 0, 1100);
	assert_int_equal(credit_pending_bytes(&credit), 30 * MIB);
	credit_account(&credit, 0, 0, 0, 0, 1199);
	assert_int_equal(credit_pending_bytes(&credit), 30 * MIB);
	credit_account(&credit, 0, 0, 0, 0, 1200);
	assert_int_equal(credit_pending_bytes(&credit), 0);
}

static void test_credit_without_limit_or_put_back_is_not_pending(void **state)
{
	(void)state;
	struct credit credit = {.given = true, .given_bytes = UINT64_MAX};
	credit_account(&credit, 20 * MIB, 0, 0, 0, 1000);
	assert_int_equal(credit_pending_bytes(&credit), 0);
	credit.given_bytes = 10 * MIB;
	credit_account(&credit, 12 * MIB, 0, 0, 0, 1001);
	assert_int_equal(credit_pending_bytes(&credit), 0);
}

static void test_waiting_is_timed_from_the_first_wish(void **state)
{
	(void)state;
	struct credit credit = {.given = false};
	credit_account(&credit, 0, 0, 0, MIB, 1000);
	credit_account(&credit, 0, 0, 0, 2 * MIB, 1050);
	assert_true(credit.waiting);
	assert_int_equal(credit.waiting_ms, 1000);
	credit_account(&credit, 0, 0, 0, 0, 1060);
	assert_false(credit.waiting);
	credit_account(&credit, 0, 0, 0, MIB, 1070);
	assert_int_equal(credit.waiting_ms, 1070);
}

#define ANY UINT64_MAX
#define SHARE(wants, limit, waited, is_active) \
	{ \
		.wants_bytes = (wants), .limit_bytes = (limit), .waited_ms = (waited), \
		.gate_wait_ms = 200, .active = (is_active) \
	}

static void share_out(struct credit_share *share, size_t count, uint64_t available_bytes)
{
	for (size_t i = 0; i < count; i++)
		share[i].next = i + 1 < count ? &share[i + 1] : NULL;
	credit_share_out(share, available_bytes);
}

static void test_shares(void **state)
{
	(void)state;
	static const struct {
		uint64_t available_bytes;
		struct credit_share share[3];
		uint64_t expected[3];
	} rows[] = {
		/* Nobody waits: even parts. */
		{90, {SHARE(0, ANY, 0, true), SHARE(0, ANY, 0, true), SHARE(0, ANY, 0, true)},
			{30, 30, 30}},
		/* The one who waits is served whole, the rest is even. */
		{90, {SHARE(60, ANY, 5, true), SHARE(0, ANY, 0, true), SHARE(0, ANY, 0, true)},
			{70, 10, 10}},
		/* Too little for the first, who has not waited for long: the second is served. */
		{50, {SHARE(60, ANY, 9, true), SHARE(20, ANY, 5, true), SHARE(0, ANY, 0, true)},
			{10, 30, 10}},
		/* After half of the wait nobody passes. */
		{50, {SHARE(60, ANY, 100, true), SHARE(20, ANY, 5, true), SHARE(0, ANY, 0, true)},
			{50, 0, 0}},
		/* The longest wait comes first, wherever it stands. */
		{50, {SHARE(40, ANY, 1, true), SHARE(0, ANY, 0, true), SHARE(40, ANY, 2, true)},
			{3, 3, 44}},
		/* Stopped by its own wall: it holds up nobody. */
		{90, {SHARE(60, 10, 150, true), SHARE(20, ANY, 0, true), SHARE(0, ANY, 0, true)},
			{10, 50, 30}},
		/* Nothing there. */
		{0, {SHARE(60, ANY, 0, true), SHARE(0, ANY, 0, true), SHARE(0, ANY, 0, false)},
			{0, 0, 0}},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct credit_share share[3];
		memcpy(share, rows[i].share, sizeof share);
		share_out(share, 3, rows[i].available_bytes);
		for (size_t k = 0; k < 3; k++)
			assert_int_equal(share[k].credit_bytes, rows[i].expected[k]);
	}
}

/* What keeps a service within its share of the wall goes first, and passes one who holds all. */
static void test_fair_wants_go_first(void **state)
{
	(void)state;
	static const struct {
		uint64_t available_bytes;
		uint64_t wants[3], fair[3], waited_ms[3];
		uint64_t expected[3];
	} rows[] = {
		/* Not the one that waits longest, and of the others the smallest. */
		{90, {80, 30, 20}, {50, 50, 50}, {90, 20, 10}, {13, 43, 34}},
		{40, {80, 30, 20}, {50, 50, 50}, {90, 20, 10}, {6, 7, 27}},
		/* It holds the rest, but for an even part where that is fair. */
		{90, {80, 30, 0}, {50, 50, 50}, {100, 10, 0}, {20, 50, 20}},
		{90, {80, 30, 0}, {50, 35, 10}, {100, 10, 0}, {45, 35, 10}},
		/* Who uses more than its share waits as before. */
		{90, {95, 30, 0}, {50, 0, 0}, {100, 10, 0}, {90, 0, 0}},
		/* A large want is served whole where there is enough. */
		{90, {80, 0, 0}, {50, 50, 50}, {10, 0, 0}, {83, 3, 4}},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct credit_share share[3];
		for (size_t k = 0; k < 3; k++) {
			share[k] = (struct credit_share)SHARE(
				rows[i].wants[k], ANY, rows[i].waited_ms[k], true);
			share[k].fair_bytes = rows[i].fair[k];
		}
		share_out(share, 3, rows[i].available_bytes);
		for (size_t k = 0; k < 3; k++)
			assert_int_equal(share[k].credit_bytes, rows[i].expected[k]);
	}
}

static void test_service_without_processes_gets_a_starter(void **state)
{
	(void)state;
	struct credit_share share[2] = {
		SHARE(0, ANY, 0, false),
		SHARE(0, ANY, 0, true),
	};
	share_out(share, 2, 100 * MIB);
	assert_int_equal(share[0].credit_bytes, CREDIT_STARTER_BYTES);
	assert_int_equal(share[1].credit_bytes, 99 * MIB);
}

static void test_shares_never_exceed_what_is_there_nor_what_each_can_use(void **state)
{
	(void)state;
	uint64_t seed = 7;
	for (int n = 0; n < 50000; n++) {
		struct credit_share share[FIXTURE_SERVICES_MAX];
		size_t count = fixture_random(&seed) % FIXTURE_SERVICES_MAX + 1;
		uint64_t available_bytes = fixture_random_size(&seed);
		uint64_t sum = 0;
		for (size_t i = 0; i < count; i++) {
			uint64_t bits = fixture_random(&seed);
			share[i] = (struct credit_share){
				.wants_bytes = bits & 1 ? fixture_random_size(&seed) : 0,
				.limit_bytes = bits & 2 ? fixture_random_size(&seed) : UINT64_MAX,
				.fair_bytes = bits & 16 ? fixture_random_size(&seed) : 0,
				.waited_ms = fixture_random(&seed) % 300,
				.gate_wait_ms = 200,
				.active = (bits & 12) != 0,
			};
		}
		share_out(share, count, available_bytes);
		for (size_t i = 0; i < count; i++) {
			assert_true(share[i].credit_bytes <= available_bytes - sum);
			assert_true(share[i].credit_bytes <= share[i].limit_bytes);
			sum += share[i].credit_bytes;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken_credit_is_pending_until_it_is_charged),
		cmocka_unit_test(test_taken_and_charged_in_one_go_is_not_pending),
		cmocka_unit_test(test_what_is_resident_is_not_pending_where_usage_falls),
		cmocka_unit_test(test_usage_and_heaps_tell_the_same_bytes),
		cmocka_unit_test(test_debts_are_forgotten_in_time),
		cmocka_unit_test(test_heaps_may_count_anew),
		cmocka_unit_test(test_pending_is_forgotten_in_time),
		cmocka_unit_test(test_credit_without_limit_or_put_back_is_not_pending),
		cmocka_unit_test(test_waiting_is_timed_from_the_first_wish),
		cmocka_unit_test(test_shares),
		cmocka_unit_test(test_fair_wants_go_first),
		cmocka_unit_test(test_service_without_processes_gets_a_starter),
		cmocka_unit_test(test_shares_never_exceed_what_is_there_nor_what_each_can_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
