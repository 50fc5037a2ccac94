#include "shim/heap/scavenge/budget.h"

#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define MS_NS ((uint64_t)1000000)
#define WINDOW_NS (10000 * MS_NS)
#define SPENDINGS 4000U

static uint64_t at_ns[SPENDINGS];
static uint64_t amount_ns[SPENDINGS];

/* The most that any ten seconds saw, which begin or end with a spending. */
static uint64_t busiest_ns(size_t count)
{
	uint64_t most_ns = 0;
	uint64_t sum_ns = 0;
	size_t first = 0;

	for (size_t i = 0; i < count; i++) {
		sum_ns += amount_ns[i];
		for (; at_ns[i] - at_ns[first] > WINDOW_NS; first++)
			sum_ns -= amount_ns[first];
		most_ns = sum_ns > most_ns ? sum_ns : most_ns;
	}
	return most_ns;
}

/* Whoever waits as he is told spends at most the limit, and all but all of it when he can. */
static void spend_all(uint64_t limit_ns, uint64_t need_ns, uint64_t pause_max_ns)
{
	struct budget budget = {.slot = 0};
	uint64_t now_ns = random_next() >> 20;
	size_t count = 0;

	while (count < SPENDINGS) {
		uint64_t wait_ns = budget_wait_ns(&budget, now_ns, need_ns, limit_ns);

		assert_true(wait_ns <= WINDOW_NS + BUDGET_SLOT_NS);
		if (wait_ns != 0) {
			assert_true(
				budget_wait_ns(&budget, now_ns + wait_ns, need_ns, limit_ns) == 0);
			now_ns += wait_ns;
			continue;
		}
		at_ns[count] = now_ns;
		amount_ns[count] = need_ns;
		budget_spend(&budget, now_ns, need_ns);
		now_ns += random_below(pause_max_ns + 1);
		count++;
	}
	assert_true(busiest_ns(count) <= limit_ns);
	if (pause_max_ns * limit_ns / need_ns < WINDOW_NS)
		assert_true(busiest_ns(count) + 2 * need_ns > limit_ns);
}

static void test_no_ten_seconds_see_more_than_the_limit(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		uint64_t limit_ns = (1 + random_below(1000)) * MS_NS;

		spend_all(limit_ns, limit_ns / (1 + random_below(200)), random_below(1000) * MS_NS);
	}
}

static void test_what_was_not_spent_is_there_at_once(void **state)
{
	(void)state;
	struct budget budget = {.slot = 0};
	uint64_t now_ns = 3600000 * MS_NS;

	assert_int_equal(budget_wait_ns(&budget, now_ns, 100 * MS_NS, 100 * MS_NS), 0);
	budget_spend(&budget, now_ns, 100 * MS_NS);
	assert_true(budget_wait_ns(&budget, now_ns, 1, 100 * MS_NS) >= WINDOW_NS - BUDGET_SLOT_NS);
	now_ns += 3600000 * MS_NS;
	assert_int_equal(budget_wait_ns(&budget, now_ns, 100 * MS_NS, 100 * MS_NS), 0);
}

static void test_more_than_the_limit_waits_for_an_empty_window(void **state)
{
	(void)state;
	struct budget budget = {.slot = 0};

	budget_spend(&budget, 20000 * MS_NS, MS_NS);
	assert_true(budget_wait_ns(&budget, 20000 * MS_NS, 200 * MS_NS, 100 * MS_NS) >= WINDOW_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_ten_seconds_see_more_than_the_limit),
		cmocka_unit_test(test_what_was_not_spent_is_there_at_once),
		cmocka_unit_test(test_more_than_the_limit_waits_for_an_empty_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
