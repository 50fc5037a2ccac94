#include "tests/policy/fixture.h"

#include "supervisor/policy/reclaim.h"

/* 10 MiB are free of 256, and 20 ought to be; 30 lie in a cache that nobody uses. */
static struct reclaim_view wanting(void)
{
	return (struct reclaim_view){
		.possible = true,
		.has_nothing = true,
		.headroom_bytes = 18 * MIB,
		.free_bytes = 10 * MIB,
		.wanted_bytes = 20 * MIB,
		.limit_bytes = 256 * MIB,
		.unused_bytes = 30 * MIB,
		.used_bytes = 50 * MIB,
	};
}

/* Asks, and answers so long later. */
static uint64_t ask(struct reclaim *reclaim, struct reclaim_view *view, uint64_t got_bytes,
	uint64_t now_ms, uint64_t later_ms)
{
	uint64_t bytes = reclaim_judge(reclaim, view, now_ms);
	view->possible = false;
	view->under_way = true;
	assert_int_equal(reclaim_judge(reclaim, view, now_ms + later_ms), 0);
	view->possible = true;
	view->under_way = false;
	view->got_bytes = got_bytes;
	assert_int_equal(reclaim_judge(reclaim, view, now_ms + later_ms), 0);
	return bytes;
}

static void test_free_memory_is_brought_up_to_the_threshold_in_steps(void **state)
{
	(void)state;
	struct reclaim reclaim = {.asked = false};
	struct reclaim_view view = wanting();
	assert_int_equal(ask(&reclaim, &view, 10 * MIB, 1000, 5), 10 * MIB);
	view.free_bytes = 2 * MIB;
	view.unused_bytes = 20 * MIB;
	assert_int_equal(reclaim_judge(&reclaim, &view, 1004 + RECLAIM_REST_MS), 0);
	/* A step is no more than its share of the limit. */
	assert_int_equal(ask(&reclaim, &view, 16 * MIB, 1005 + RECLAIM_REST_MS, 5), 16 * MIB);
	view.free_bytes = 18 * MIB;
	view.unused_bytes = 4 * MIB;
	assert_int_equal(reclaim_judge(&reclaim, &view, 5000), 2 * MIB);
}

static void test_nothing_is_asked_for_while_there_is_no_need(void **state)
{
	(void)state;
	static const struct {
		uint64_t headroom_bytes;
		uint64_t free_bytes;
		uint64_t unused_bytes;
		bool possible;
		bool has_nothing;
	} rows[] = {
		{20 * MIB, 0, 30 * MIB, true, true}, /* the page cache is no pressure */
		{18 * MIB, 20 * MIB, 30 * MIB, true, true}, {18 * MIB, 0, MIB - 1, true, true},
		{18 * MIB, 0, 30 * MIB, false, true},
		{18 * MIB, 0, 30 * MIB, true, false}, /* the heaps are asked first */
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct reclaim reclaim = {.asked = false};
		struct reclaim_view view = wanting();
		view.headroom_bytes = rows[i].headroom_bytes;
		view.free_bytes = rows[i].free_bytes;
		view.unused_bytes = rows[i].unused_bytes;
		view.possible = rows[i].possible;
		view.has_nothing = rows[i].has_nothing;
		assert_int_equal(reclaim_judge(&reclaim, &view, 1000), 0);
	}
}

static void test_cache_in_use_goes_only_where_somebody_waits_for_it(void **state)
{
	(void)state;
	struct reclaim reclaim = {.asked = false};
	struct reclaim_view view = wanting();
	view.unused_bytes = 0;
	assert_int_equal(reclaim_judge(&reclaim, &view, 1000), 0);
	view.is_short = true;
	assert_int_equal(reclaim_judge(&reclaim, &view, 1001), 10 * MIB);
	/* And not before all that nobody uses. */
	reclaim = (struct reclaim){.asked = false};
	view.unused_bytes = 3 * MIB;
	assert_int_equal(reclaim_judge(&reclaim, &view, 1000), 3 * MIB);
}

static void test_a_cache_that_comes_back_is_left_alone_for_longer_and_longer(void **state)
{
	(void)state;
	struct reclaim reclaim = {.asked = false};
	struct reclaim_view view = wanting();
	view.unused_bytes = 0;
	view.is_short = true;
	unsigned asked = 0;
	for (uint64_t now_ms = 0; now_ms < 300000; now_ms += 10) {
		uint64_t bytes = reclaim_judge(&reclaim, &view, now_ms);
		asked += bytes > 0 ? 1 : 0;
		view.got_bytes = bytes > 0 ? bytes : view.got_bytes;
		/* It is gone when the step is weighed, and read again after. */
		view.used_bytes = bytes > 0 ? 40 * MIB : 50 * MIB;
	}
	/* Every half second would be 600. */
	assert_in_range(asked, 5, 14);
	/* What does not come back was worth it. */
	reclaim = (struct reclaim){.asked = false};
	asked = 0;
	view.used_bytes = 50 * MIB;
	for (uint64_t now_ms = 0; now_ms < 10000; now_ms += 10) {
		uint64_t bytes = reclaim_judge(&reclaim, &view, now_ms);
		asked += bytes > 0 ? 1 : 0;
		view.got_bytes = bytes > 0 ? bytes : view.got_bytes;
	}
	assert_in_range(asked, 18, 20);
}

static void test_what_brings_little_is_asked_for_less_and_less_often(void **state)
{
	(void)state;
	struct reclaim reclaim = {.asked = false};
	struct reclaim_view view = wanting();
	unsigned asked = 0;
	for (uint64_t now_ms = 0; now_ms < 300000; now_ms += 10)
		asked += reclaim_judge(&reclaim, &view, now_ms) > 0 ? 1 : 0;
	assert_in_range(asked, 5, 14);
	/* It is forgotten once there was no need. */
	view.headroom_bytes = 30 * MIB;
	assert_int_equal(reclaim_judge(&reclaim, &view, 400000), 0);
	view.headroom_bytes = 18 * MIB;
	assert_int_equal(ask(&reclaim, &view, 10 * MIB, 400010, 10), 10 * MIB);
	assert_int_equal(reclaim_judge(&reclaim, &view, 400020 + RECLAIM_REST_MS), 10 * MIB);
}

/* --- with walls ------------------------------------------------------------------------------- */

static const struct reclaim_sample possible = {.possible = true};

static void cache(struct wall_sample *wall, uint64_t bytes)
{
	wall->reclaimable_known = true;
	wall->reclaimable_bytes = bytes;
	wall->cache_bytes = bytes;
}

static void test_the_kernel_is_asked_when_the_heaps_have_answered(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture.sample.reclaim = possible;
	fixture_use(0, 156 * MIB);
	fixture_use(1, 96 * MIB);
	cache(&fixture.sample.shared, 12 * MIB);
	fixture.service[0].sample.heap.answered = false;
	fixture_step(1000);
	assert_int_equal(fixture_level(0), LEVEL_FULL);
	assert_int_equal(fixture_count(ACTION_RELEASE), 2);
	fixture_step(1010);
	assert_int_equal(fixture_count(ACTION_RECLAIM), 0);
	fixture.service[0].sample.heap.answered = true;
	fixture_step(1020);
	const struct action *action = fixture_action(ACTION_RECLAIM, 0);
	assert_non_null(action);
	assert_true(action->all && action->reason.shared);
	assert_int_equal(action->target_bytes, 12 * MIB);
	assert_int_equal(action->until_ms, 1020 + RECLAIM_MS);
	assert_int_equal(action->reason.value, 16 * MIB);
}

static void test_of_a_wall_of_its_own_the_leaf_is_asked(void **state)
{
	(void)state;
	fixture_start(2, SAMPLE_NO_LIMIT);
	fixture.sample.reclaim = possible;
	fixture.service[1].sample.heap.processes = 0;
	fixture.service[1].sample.own.limit_bytes = 64 * MIB;
	cache(&fixture.service[1].sample.own, 2 * MIB);
	fixture_use(1, 63 * MIB);
	fixture_step(1000);
	const struct action *action = fixture_action(ACTION_RECLAIM, 1);
	assert_non_null(action);
	assert_false(action->all || action->reason.shared);
	assert_int_equal(action->target_bytes, 2 * MIB);
	/* One at a time. */
	fixture.sample.reclaim.under_way = true;
	fixture_step(1010);
	assert_int_equal(fixture_count(ACTION_RECLAIM), 0);
	assert_true(fixture.plan.next_ms <= 10);
}

static void test_lazily_freed_pages_of_who_does_not_answer_go_first(void **state)
{
	(void)state;
	fixture_start(2, 256 * MIB);
	fixture.sample.reclaim = possible;
	fixture_use(0, 152 * MIB);
	fixture_use(1, 100 * MIB);
	cache(&fixture.sample.shared, 14 * MIB);
	fixture.service[1].sample.heap.lazy_bytes = 9 * MIB;
	fixture.service[1].sample.heap.answered = false;
	for (uint64_t now_ms = 1000; now_ms < 1500; now_ms += 10) {
		fixture_step(now_ms);
		const struct action *action = fixture_action(ACTION_RECLAIM, 1);
		if (action == NULL)
			continue;
		assert_false(action->all);
		assert_true(action->reason.shared);
		assert_true(now_ms >= 1000 + RELEASE_ANSWER_MS);
		return;
	}
	fail_msg("nothing was reclaimed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_free_memory_is_brought_up_to_the_threshold_in_steps),
		cmocka_unit_test(test_nothing_is_asked_for_while_there_is_no_need),
		cmocka_unit_test(test_cache_in_use_goes_only_where_somebody_waits_for_it),
		cmocka_unit_test(test_a_cache_that_comes_back_is_left_alone_for_longer_and_longer),
		cmocka_unit_test(test_what_brings_little_is_asked_for_less_and_less_often),
		cmocka_unit_test(test_the_kernel_is_asked_when_the_heaps_have_answered),
		cmocka_unit_test(test_of_a_wall_of_its_own_the_leaf_is_asked),
		cmocka_unit_test(test_lazily_freed_pages_of_who_does_not_answer_go_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
