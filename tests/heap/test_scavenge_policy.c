#include "shim/heap/scavenge/scavenge_policy.h"

#include "tests/support/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

#define SECOND_NS ((uint64_t)1000000000)
#define MS_NS ((uint64_t)1000000)
#define MIB ((uint64_t)1 << 20)
#define HOUR_NS (3600 * SECOND_NS)

/* Long enough after the clock began that no age is cut off. */
#define START_NS (100000 * SECOND_NS)

static struct reuse unknown;

static struct scavenge_view view_at(uint64_t now_ns)
{
	return (struct scavenge_view){
		.now_ns = now_ns,
		.price_ns = HEAP_PRICE_NS,
		.costs = &scavenge_costs_first,
		.reuse = &unknown,
		.dirty_bytes = 100 * MIB,
	};
}

static struct scavenge_plan step(
	struct scavenge_state *state, enum heap_policy policy, const struct scavenge_view *view)
{
	struct scavenge_plan plan;

	scavenge_policy_step(state, policy, view, &plan);
	return plan;
}

/* Break-even ------------------------------------------------------------------ */

static void test_break_even_is_what_wide_arithmetic_says(void **state)
{
	(void)state;
	for (int i = 0; i < 100000; i++) {
		struct scavenge_costs costs = scavenge_costs_first;
		uint64_t price_ns = 1 + (random_next() >> (40 + random_below(24)));
		unsigned __int128 expected_ns;
		uint64_t got_ns;

		costs.refault_page_ns = random_below(100000);
		costs.dontneed_page_ns[RUN_CHUNK] = random_below(100000);
		expected_ns = (unsigned __int128)(costs.refault_page_ns +
						  costs.dontneed_page_ns[RUN_CHUNK]) *
			      SECOND_NS / price_ns;
		got_ns = scavenge_break_even_ns(&costs, RUN_CHUNK, price_ns);
		if (expected_ns > UINT64_MAX || (uint64_t)expected_ns >= HOUR_NS)
			assert_int_equal(got_ns, HOUR_NS);
		else
			assert_int_equal(got_ns, (uint64_t)expected_ns);
		assert_true(scavenge_break_even_ns(&costs, RUN_CHUNK, price_ns + 1) <= got_ns);
	}
	assert_int_equal(
		scavenge_break_even_ns(&scavenge_costs_first, RUN_CHUNK, 0), 3600 * SECOND_NS);
}

/* The age at which pages go first. */
static uint64_t age_of(uint64_t now_ns, struct hunt_age age)
{
	uint64_t bucket_ns;

	if (age.before_ns == 0 || age.buckets == 0)
		return UINT64_MAX;
	bucket_ns = reuse_bucket_start_ns((unsigned)__builtin_ctzll(age.buckets));
	return bucket_ns > now_ns - age.before_ns ? bucket_ns : now_ns - age.before_ns;
}

static void test_who_knows_nothing_holds_until_break_even(void **state)
{
	(void)state;
	for (uint64_t price_ns = 1; price_ns < HEAP_PRICE_NS_MAX; price_ns = price_ns * 3 + 1) {
		struct scavenge_state policy = {.begun = false};
		struct scavenge_view view = view_at(START_NS);
		struct scavenge_plan plan;

		view.price_ns = price_ns;
		plan = step(&policy, HEAP_ADAPTIVE, &view);
		for (unsigned size = 0; size < RUN_CLASSES; size++) {
			assert_int_equal(age_of(START_NS, plan.away.dirty[size]),
				scavenge_break_even_ns(view.costs, size, price_ns));
			assert_int_equal(plan.lazy.dirty[size].before_ns, 0);
		}
	}
}

/* What looking each pause_ns and going late cost over a hold, in ns. */
static double looking(double pause_ns, double held_ns, double keep_ns)
{
	return 100e3 * held_ns / pause_ns + keep_ns * pause_ns / 2e9;
}

static void test_looks_are_as_far_apart_as_is_cheapest(void **state)
{
	unsigned between = 0;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct scavenge_state policy = {.begun = false};
		struct scavenge_view view = view_at(START_NS);
		struct scavenge_plan plan;
		double held_ns = 2e9; /* no look is further away than a second */
		double keep_ns;

		view.price_ns = 1 + (random_next() >> (34 + random_below(29)));
		view.dirty_bytes = random_next() >> (24 + random_below(30));
		plan = step(&policy, HEAP_ADAPTIVE, &view);
		for (unsigned size = 0; size < RUN_CLASSES; size++) {
			uint64_t age_ns = age_of(START_NS, plan.away.dirty[size]);

			held_ns = (double)age_ns < held_ns ? (double)age_ns : held_ns;
		}
		assert_in_range(plan.pause_ns, SECOND_NS / 20, SECOND_NS);
		keep_ns = (double)(view.dirty_bytes >> 12) * (double)view.price_ns;
		if (plan.pause_ns > SECOND_NS / 20 && view.dirty_bytes >= 2 * MIB) {
			double cost_ns = looking((double)plan.pause_ns, held_ns, keep_ns);

			assert_true(
				cost_ns <= looking(0.9 * (double)plan.pause_ns, held_ns, keep_ns));
			assert_true(
				(uint64_t)held_ns / 2 <= plan.pause_ns ||
				cost_ns <= looking(1.1 * (double)plan.pause_ns, held_ns, keep_ns));
			between++;
		}
	}
	assert_true(between > 1000);
}

/* Costs of one page, in ns, whose idle times are these (UINT64_MAX: never wanted again). */
struct bill {
	uint64_t paid;
	uint64_t optimum;
};

static uint64_t keeping(uint64_t ns)
{
	return HEAP_PRICE_NS * ns / SECOND_NS;
}

static void idle_time(struct bill *bill, uint64_t wanted_ns, uint64_t step_ns)
{
	const struct scavenge_costs *costs = &scavenge_costs_first;
	uint64_t release = costs->dontneed_page_ns[RUN_CHUNK];
	uint64_t round_trip = release + costs->refault_page_ns;
	struct scavenge_state policy = {.begun = false};
	uint64_t age_ns = 0;

	for (;; age_ns += step_ns) {
		struct scavenge_view view = view_at(START_NS + age_ns);
		struct scavenge_plan plan = step(&policy, HEAP_ADAPTIVE, &view);

		if (age_ns >= wanted_ns || plan.away.dirty[RUN_CHUNK].before_ns >= START_NS)
			break;
	}
	if (age_ns >= wanted_ns) {
		bill->paid += keeping(wanted_ns);
	} else {
		bill->paid += keeping(age_ns) + (wanted_ns == UINT64_MAX ? release : round_trip);
	}
	if (wanted_ns == UINT64_MAX)
		bill->optimum += release;
	else if (wanted_ns / SECOND_NS > 3600 || keeping(wanted_ns) > round_trip)
		bill->optimum += round_trip;
	else
		bill->optimum += keeping(wanted_ns);
}

/* cost <= 2 * optimum + R, and what one step of the scavenger more costs each time. */
static void assert_bill(const struct bill *bill, uint64_t times, uint64_t step_ns)
{
	assert_true(bill->paid <= 2 * bill->optimum + scavenge_costs_first.refault_page_ns +
					  times * (keeping(step_ns) + 1));
}

static void test_adversaries_cost_at_most_twice_the_optimum(void **state)
{
	(void)state;
	uint64_t break_even_ns =
		scavenge_break_even_ns(&scavenge_costs_first, RUN_CHUNK, HEAP_PRICE_NS);
	const uint64_t step_ns = MS_NS;
	const uint64_t times_ns[] = {0, 1, break_even_ns / 2, break_even_ns - 1, break_even_ns,
		break_even_ns + 1, break_even_ns + step_ns, break_even_ns + 2 * step_ns,
		2 * break_even_ns, 1000 * SECOND_NS};
	const size_t count = sizeof times_ns / sizeof times_ns[0];

	for (size_t i = 0; i < count; i++) {
		struct bill bill = {0};

		/* The same idle time for ever, and then never again. */
		for (int turn = 0; turn < 5; turn++)
			idle_time(&bill, times_ns[i], step_ns);
		idle_time(&bill, UINT64_MAX, step_ns);
		assert_bill(&bill, 6, step_ns);
	}
	for (int trace = 0; trace < 100; trace++) {
		struct bill bill = {0};

		for (int turn = 0; turn < 20; turn++)
			idle_time(&bill, times_ns[random_below(count)], step_ns);
		idle_time(&bill, UINT64_MAX, step_ns);
		assert_bill(&bill, 21, step_ns);
	}
}

static void test_the_bound_is_tight(void **state)
{
	(void)state;
	struct bill bill = {0};
	uint64_t break_even_ns =
		scavenge_break_even_ns(&scavenge_costs_first, RUN_CHUNK, HEAP_PRICE_NS);

	for (int turn = 0; turn < 10; turn++)
		idle_time(&bill, break_even_ns + 2 * MS_NS, MS_NS);
	assert_true(bill.paid * 100 >= bill.optimum * 195);
}

/* What is known ------------------------------------------------------------------ */

/* So many pages idled, again and again, and were wanted at this age. */
static void learn(struct reuse *reuse, enum run_class size, uint64_t wanted_ns, size_t pages)
{
	for (int i = 0; i < 50; i++) {
		reuse_exposed(reuse, size, 0, wanted_ns, pages);
		reuse_wanted(reuse, size, wanted_ns, pages);
	}
}

static uint64_t hold_ns(const struct reuse *reuse, bool dontneed_only)
{
	struct scavenge_state policy = {.begun = false};
	struct scavenge_view view = view_at(START_NS);
	struct scavenge_plan plan;
	uint64_t away_ns;
	uint64_t lazy_ns;

	view.reuse = reuse;
	view.dontneed_only = dontneed_only;
	plan = step(&policy, HEAP_ADAPTIVE, &view);
	away_ns = age_of(START_NS, plan.away.dirty[RUN_CHUNK]);
	lazy_ns = age_of(START_NS, plan.lazy.dirty[RUN_CHUNK]);
	return away_ns < lazy_ns ? away_ns : lazy_ns;
}

static void test_what_always_comes_late_goes_at_once(void **state)
{
	(void)state;
	struct reuse reuse;
	uint64_t break_even_ns =
		scavenge_break_even_ns(&scavenge_costs_first, RUN_CHUNK, HEAP_PRICE_NS);

	memset(&reuse, 0, sizeof reuse);
	learn(&reuse, RUN_CHUNK, 10 * break_even_ns, 1000);
	assert_true(hold_ns(&reuse, false) < break_even_ns / 8);
}

static void test_what_comes_soon_is_kept_until_then(void **state)
{
	(void)state;
	struct reuse reuse;
	uint64_t break_even_ns =
		scavenge_break_even_ns(&scavenge_costs_first, RUN_CHUNK, HEAP_PRICE_NS);

	memset(&reuse, 0, sizeof reuse);
	learn(&reuse, RUN_CHUNK, break_even_ns / 2, 1000);
	assert_true(hold_ns(&reuse, true) > break_even_ns / 2);
	assert_true(hold_ns(&reuse, true) < 3 * break_even_ns);
}

static void test_one_burst_more_or_less_changes_little(void **state)
{
	(void)state;
	struct reuse reuse;
	uint64_t break_even_ns =
		scavenge_break_even_ns(&scavenge_costs_first, RUN_CHUNK, HEAP_PRICE_NS);
	uint64_t before_ns = UINT64_MAX;

	memset(&reuse, 0, sizeof reuse);
	for (int i = 0; i < 10; i++) {
		uint64_t now_ns;

		reuse_exposed(&reuse, RUN_CHUNK, 0, 100 * break_even_ns, 1000);
		now_ns = hold_ns(&reuse, true);
		assert_true(now_ns <= before_ns);
		before_ns = now_ns;
	}
	assert_true(before_ns < break_even_ns / 8);
}

/* The least expected cost over all hold times, by the definition in plain floating point. */
static double cost_of_hold(const struct reuse *reuse, unsigned hold)
{
	const struct scavenge_costs *costs = &scavenge_costs_first;
	double alive = 1;
	double cost = 0;

	for (unsigned i = 0; i < REUSE_BUCKETS; i++) {
		double start = (double)reuse_bucket_start_ns(i);
		double end =
			i + 1 < REUSE_BUCKETS ? (double)reuse_bucket_start_ns(i + 1) : 2 * start;
		uint64_t prior_part = reuse->most[RUN_CHUNK] / 8 + 1;
		double prior = (double)prior_part;
		double rate = ((double)reuse->wanted[RUN_CHUNK][i] + prior) /
			      ((double)reuse->exposed[RUN_CHUNK][i] +
				      prior * (start + end) / 2 / (double)REUSE_TICK_NS);
		double stays = 1 / (1 + rate * (end - start) / (double)REUSE_TICK_NS);

		if (i == hold)
			cost += alive * (double)costs->dontneed_page_ns[RUN_CHUNK];
		if (i < hold)
			cost += alive * HEAP_PRICE_NS * (end - start) / 1e9 * (1 + stays) / 2;
		else
			cost += alive * (1 - stays) * (double)costs->refault_page_ns;
		alive *= stays;
	}
	if (hold == REUSE_BUCKETS)
		cost += alive * (double)costs->dontneed_page_ns[RUN_CHUNK];
	return cost;
}

static void test_the_hold_time_is_the_cheapest_of_all(void **state)
{
	(void)state;
	for (int i = 0; i < 300; i++) {
		struct reuse reuse;
		double least = 1e300;
		double chosen;
		uint64_t hold;

		memset(&reuse, 0, sizeof reuse);
		for (int j = 0; j < 20; j++)
			learn(&reuse, RUN_CHUNK, random_next() >> (24 + random_below(16)),
				random_below(5000));
		for (unsigned b = 0; b <= REUSE_BUCKETS; b++)
			if (cost_of_hold(&reuse, b) < least)
				least = cost_of_hold(&reuse, b);
		hold = hold_ns(&reuse, true);
		chosen = cost_of_hold(
			&reuse, hold == UINT64_MAX ? REUSE_BUCKETS : reuse_bucket(hold));
		assert_true(chosen <= least * 1.02 + 1);
	}
}

static void test_madv_free_where_reuse_is_likely_and_never_where_it_may_not(void **state)
{
	(void)state;
	bool seen_lazy = false;

	for (int i = 0; i < 300; i++) {
		struct scavenge_state policy = {.begun = false};
		struct scavenge_view view = view_at(START_NS);
		struct scavenge_costs costs = scavenge_costs_first;
		struct reuse reuse;
		struct scavenge_plan plan;

		memset(&reuse, 0, sizeof reuse);
		for (int j = 0; j < 5; j++)
			learn(&reuse, RUN_CHUNK, random_next() >> (28 + random_below(12)), 1000);
		view.reuse = &reuse;
		view.costs = &costs;
		plan = step(&policy, HEAP_ADAPTIVE, &view);
		seen_lazy |= plan.lazy.dirty[RUN_CHUNK].before_ns != 0;
		view.dontneed_only = true;
		plan = step(&policy, HEAP_ADAPTIVE, &view);
		assert_int_equal(plan.lazy.dirty[RUN_CHUNK].before_ns, 0);
		view.dontneed_only = false;
		costs.free_page_ns[RUN_CHUNK] = 10000;
		plan = step(&policy, HEAP_ADAPTIVE, &view);
		assert_int_equal(plan.lazy.dirty[RUN_CHUNK].before_ns, 0);
	}
	assert_true(seen_lazy);
}

/* The others -------------------------------------------------------------------- */

static void test_off_does_nothing(void **state)
{
	(void)state;
	struct scavenge_state policy = {.begun = false};
	struct scavenge_view view = view_at(START_NS);
	struct scavenge_plan plan = step(&policy, HEAP_OFF, &view);

	assert_int_equal(plan.pause_ns, HEAP_UNTIL_USED);
	assert_int_equal(plan.slabs_before_ns, 0);
	for (unsigned size = 0; size < RUN_CLASSES; size++) {
		assert_int_equal(plan.away.dirty[size].before_ns, 0);
		assert_int_equal(plan.lazy.dirty[size].before_ns, 0);
	}
}

static void test_go1_11_looks_every_150_s_for_what_idled_300(void **state)
{
	(void)state;
	struct scavenge_state policy = {.begun = false};

	for (uint64_t s = 0; s < 1000; s += 10) {
		struct scavenge_view view = view_at(START_NS + s * SECOND_NS);
		struct scavenge_plan plan = step(&policy, HEAP_GO1_11, &view);
		uint64_t run_s = s / 150 * 150;

		assert_int_equal(plan.away.dirty[RUN_SHORT].before_ns,
			START_NS + run_s * SECOND_NS - 300 * SECOND_NS);
		assert_int_equal(plan.lazy.dirty[RUN_SHORT].before_ns, 0);
		assert_int_equal(plan.pause_ns, (run_s + 150 - s) * SECOND_NS);
		assert_int_equal(plan.keep_bytes, 0);
	}
}

static void test_go1_12_keeps_nine_eighths_of_the_peak_for_a_bounded_time(void **state)
{
	(void)state;
	struct scavenge_state policy = {.begun = false};
	struct scavenge_view view = view_at(START_NS);
	struct scavenge_plan plan;
	uint64_t s = 0;

	view.in_use_bytes = 800 * MIB;
	step(&policy, HEAP_GO1_12, &view);
	view.in_use_bytes = 100 * MIB;
	for (; s < 1000; s++) {
		view.now_ns = START_NS + s * SECOND_NS;
		plan = step(&policy, HEAP_GO1_12, &view);
		if (plan.keep_bytes != 800 * MIB)
			break;
	}
	/* Sixteen cycles and the one that the peak was in. */
	assert_in_range(s, 16 * 5, 17 * 5);
	assert_int_equal(plan.keep_bytes, 100 * MIB / 8);
	assert_true(plan.lazy.dirty[RUN_SHORT].before_ns != 0);
	view.dontneed_only = true;
	plan = step(&policy, HEAP_GO1_12, &view);
	assert_int_equal(plan.lazy.dirty[RUN_SHORT].before_ns, 0);
	assert_true(plan.away.dirty[RUN_SHORT].before_ns != 0);
}

static void test_a_cycle_ends_by_volume_too(void **state)
{
	(void)state;
	struct scavenge_state policy = {.begun = false};
	struct scavenge_view view = view_at(START_NS);
	struct scavenge_plan plan;

	view.in_use_bytes = 800 * MIB;
	step(&policy, HEAP_GO1_12, &view);
	view.in_use_bytes = 100 * MIB;
	for (unsigned i = 0; i <= SCAVENGE_CYCLES; i++) {
		view.taken_bytes += SCAVENGE_CYCLE_BYTES;
		plan = step(&policy, HEAP_GO1_12, &view);
	}
	assert_int_equal(plan.keep_bytes, 100 * MIB / 8);
}

static void test_go1_13_keeps_a_tenth_over_the_last_cycle(void **state)
{
	(void)state;
	struct scavenge_state policy = {.begun = false};
	struct scavenge_view view = view_at(START_NS);
	struct scavenge_plan plan;

	view.in_use_bytes = 1000 * MIB;
	plan = step(&policy, HEAP_GO1_13, &view);
	assert_int_equal(plan.keep_bytes, 100 * MIB);
	assert_int_equal(plan.lazy.dirty[RUN_CHUNK].before_ns, UINT64_MAX);
	assert_int_equal(plan.away.dirty[RUN_CHUNK].before_ns, 0);
	view.in_use_bytes = 1200 * MIB;
	plan = step(&policy, HEAP_GO1_13, &view);
	assert_int_equal(plan.keep_bytes, 0);
	view.in_use_bytes = 200 * MIB;
	plan = step(&policy, HEAP_GO1_13, &view);
	assert_int_equal(plan.keep_bytes, 900 * MIB);
	view.now_ns += SCAVENGE_CYCLE_NS;
	plan = step(&policy, HEAP_GO1_13, &view);
	assert_int_equal(plan.keep_bytes, 20 * MIB);
}

static double smoothstep(double x)
{
	return x <= 0 ? 0 : x >= 1 ? 1 : x * x * x * (x * (x * 6 - 15) + 10);
}

static void test_decay_follows_the_curve(void **state)
{
	(void)state;
	struct scavenge_state policy = {.begun = false};
	struct scavenge_view view = view_at(START_NS);
	uint64_t dirty_bytes = 100 * MIB;

	view.dirty_bytes = 0;
	step(&policy, HEAP_DECAY, &view);
	for (uint64_t ms = 50; ms <= 12000; ms += 50) {
		struct scavenge_plan plan;
		double expected;

		view.now_ns = START_NS + ms * MS_NS;
		view.dirty_bytes = dirty_bytes;
		plan = step(&policy, HEAP_DECAY, &view);
		expected = smoothstep(1 - (double)(ms - 50) / 10000) * 100 * (double)MIB;
		assert_true((double)plan.keep_bytes <= expected + (double)MIB);
		assert_true((double)plan.keep_bytes >= expected - (double)MIB);
		assert_int_equal(plan.away.dirty[RUN_CHUNK].before_ns, UINT64_MAX);
		if (plan.keep_bytes < dirty_bytes)
			dirty_bytes = plan.keep_bytes;
	}
	assert_int_equal(dirty_bytes, 0);
}

static uint64_t anything(void)
{
	return random_below(4) == 0 ? 0 : random_next() >> random_below(64);
}

static void test_no_input_breaks_a_plan(void **state)
{
	(void)state;
	struct scavenge_state policy = {.begun = false};
	uint64_t now_ns = 0;

	for (int i = 0; i < 20000; i++) {
		struct scavenge_view view = {
			.price_ns = random_below(HEAP_PRICE_NS_MAX + 1),
			.dontneed_only = random_below(2) != 0,
			.in_use_bytes = anything() >> 8,
			.dirty_bytes = anything() >> 8,
			.lazy_bytes = anything() >> 8,
			.taken_bytes = anything(),
			.costs = &scavenge_costs_first,
		};
		struct reuse reuse;
		struct scavenge_plan plan;

		now_ns += anything() >> 14;
		view.now_ns = now_ns;
		for (unsigned j = 0; j < sizeof reuse / sizeof(uint64_t); j++)
			((uint64_t *)&reuse)[j] = anything();
		view.reuse = &reuse;
		plan = step(&policy, (enum heap_policy)random_below(HEAP_POLICIES), &view);
		assert_true(plan.pause_ns != 0);
		assert_true(plan.slabs_before_ns <= now_ns);
		for (unsigned size = 0; size < RUN_CLASSES; size++) {
			uint64_t away_ns = plan.away.dirty[size].before_ns;
			uint64_t lazy_ns = plan.lazy.dirty[size].before_ns;

			assert_true(away_ns <= now_ns || away_ns == UINT64_MAX);
			assert_true(lazy_ns <= now_ns || lazy_ns == UINT64_MAX);
			assert_true(!view.dontneed_only || lazy_ns == 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_break_even_is_what_wide_arithmetic_says),
		cmocka_unit_test(test_who_knows_nothing_holds_until_break_even),
		cmocka_unit_test(test_looks_are_as_far_apart_as_is_cheapest),
		cmocka_unit_test(test_adversaries_cost_at_most_twice_the_optimum),
		cmocka_unit_test(test_the_bound_is_tight),
		cmocka_unit_test(test_what_always_comes_late_goes_at_once),
		cmocka_unit_test(test_what_comes_soon_is_kept_until_then),
		cmocka_unit_test(test_one_burst_more_or_less_changes_little),
		cmocka_unit_test(test_the_hold_time_is_the_cheapest_of_all),
		cmocka_unit_test(test_madv_free_where_reuse_is_likely_and_never_where_it_may_not),
		cmocka_unit_test(test_off_does_nothing),
		cmocka_unit_test(test_go1_11_looks_every_150_s_for_what_idled_300),
		cmocka_unit_test(test_go1_12_keeps_nine_eighths_of_the_peak_for_a_bounded_time),
		cmocka_unit_test(test_a_cycle_ends_by_volume_too),
		cmocka_unit_test(test_go1_13_keeps_a_tenth_over_the_last_cycle),
		cmocka_unit_test(test_decay_follows_the_curve),
		cmocka_unit_test(test_no_input_breaks_a_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
