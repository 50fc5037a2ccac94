#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor/policy/shortage.h"

#define MIB ((uint64_t)1 << 20)
#define HOLD_MS 200

/* Someone waits, all have answered, and nobody holds anything. */
static const struct shortage_view nothing_left = {
	.is_short = true,
	.emptied = true,
	.headroom_bytes = 10 * MIB,
	.reserve_bytes = 8 * MIB,
	.limit_bytes = 256 * MIB,
	.hold_ms = HOLD_MS,
};

static enum shortage_change step(
	struct shortage *shortage, struct shortage_view view, uint64_t now_ms)
{
	bool tell;
	return shortage_step(shortage, &view, now_ms, &tell);
}

static void test_it_is_concluded_when_nobody_has_anything(void **state)
{
	(void)state;
	struct shortage shortage = {0};
	assert_int_equal(step(&shortage, nothing_left, 1000), SHORTAGE_CONCLUDE);
	assert_true(shortage.concluded);
	assert_int_equal(step(&shortage, nothing_left, 1010), SHORTAGE_KEEP);
}

static void test_but_not_while_one_condition_is_missing(void **state)
{
	(void)state;
	struct shortage shortage = {0};
	struct shortage_view view = nothing_left;
	view.is_short = false;
	assert_int_equal(step(&shortage, view, 1000), SHORTAGE_KEEP);
	view = nothing_left;
	view.emptied = false;
	assert_int_equal(step(&shortage, view, 1010), SHORTAGE_KEEP);
	view = nothing_left;
	view.idle_bytes = 4 * MIB;
	assert_int_equal(step(&shortage, view, 1020), SHORTAGE_KEEP);
	view = nothing_left;
	view.headroom_bytes = 40 * MIB;
	view.wants_bytes = MIB;
	assert_int_equal(step(&shortage, view, 1030), SHORTAGE_KEEP);
	assert_false(shortage.concluded);
	/* A want that is larger than all that is free. */
	view.wants_bytes = 50 * MIB;
	assert_int_equal(step(&shortage, view, 1040), SHORTAGE_CONCLUDE);
}

static void test_processes_that_are_not_seen_have_their_time(void **state)
{
	(void)state;
	struct shortage shortage = {0};
	struct shortage_view view = nothing_left;
	view.unseen_ms = 500;
	assert_int_equal(step(&shortage, view, 1000), SHORTAGE_KEEP);
	/* A pause between two waits does not begin it anew, a long one does. */
	view.is_short = false;
	assert_int_equal(step(&shortage, view, 1200), SHORTAGE_KEEP);
	view.is_short = true;
	assert_int_equal(step(&shortage, view, 1500), SHORTAGE_CONCLUDE);
	shortage = (struct shortage){0};
	step(&shortage, view, 1000);
	view.is_short = false;
	step(&shortage, view, 1300);
	view.is_short = true;
	assert_int_equal(step(&shortage, view, 1500), SHORTAGE_KEEP);
}

static void test_it_is_withdrawn_when_something_changes(void **state)
{
	(void)state;
	struct shortage_view changed[3] = {nothing_left, nothing_left, nothing_left};
	changed[0].idle_bytes = 8 * MIB;
	changed[1].headroom_bytes = 16 * MIB;
	changed[2].limit_bytes = 300 * MIB;
	for (size_t i = 0; i < 3; i++) {
		struct shortage shortage = {0};
		assert_int_equal(step(&shortage, nothing_left, 1000), SHORTAGE_CONCLUDE);
		assert_int_equal(step(&shortage, changed[i], 1010), SHORTAGE_WITHDRAW);
		assert_false(shortage.concluded);
		/* And drawn again when it is so again. */
		assert_int_equal(step(&shortage, nothing_left, 1020), SHORTAGE_CONCLUDE);
	}
}

static void test_it_is_told_once(void **state)
{
	(void)state;
	struct shortage shortage = {0};
	unsigned told = 0;
	for (uint64_t now_ms = 1000; now_ms < 1000 + SHORTAGE_TOLD_MS; now_ms += 10) {
		struct shortage_view view = nothing_left;
		bool tell;
		view.idle_bytes = now_ms % 100 == 0 ? 8 * MIB : 0;
		shortage_step(&shortage, &view, now_ms, &tell);
		told += tell ? 1 : 0;
	}
	assert_int_equal(told, 1);
}

static void test_waiting_is_in_vain_when_nothing_came_back_for_a_while(void **state)
{
	(void)state;
	struct shortage shortage = {0};
	struct shortage_view view = nothing_left;
	step(&shortage, view, 1000);
	step(&shortage, view, 1000 + HOLD_MS - 1);
	assert_false(shortage_is_hopeless(&shortage));
	step(&shortage, view, 1000 + HOLD_MS);
	assert_true(shortage_is_hopeless(&shortage));
	/* The heaps must have said so lately. */
	view.emptied = false;
	step(&shortage, view, 1300);
	assert_false(shortage_is_hopeless(&shortage));
	view.emptied = true;
	/* Headroom fell and rose again: that came back. */
	view.headroom_bytes = 1 * MIB;
	step(&shortage, view, 1400);
	assert_true(shortage_is_hopeless(&shortage));
	view.headroom_bytes = 6 * MIB;
	step(&shortage, view, 1500);
	assert_false(shortage_is_hopeless(&shortage));
}

static void test_the_last_part_is_kept_back_until_waiting_is_hopeless(void **state)
{
	(void)state;
	struct shortage shortage = {0};
	const uint64_t limit_bytes = nothing_left.limit_bytes;
	const uint64_t last_bytes = limit_bytes / SHORTAGE_LAST_SHARE;
	assert_int_equal(
		shortage_reserve_bytes(&shortage, 2 * last_bytes, limit_bytes), 2 * last_bytes);
	step(&shortage, nothing_left, 1000);
	assert_int_equal(
		shortage_reserve_bytes(&shortage, 2 * last_bytes, limit_bytes), last_bytes);
	assert_int_equal(
		shortage_reserve_bytes(&shortage, last_bytes / 2, limit_bytes), last_bytes / 2);
	step(&shortage, nothing_left, 1000 + HOLD_MS);
	assert_int_equal(shortage_reserve_bytes(&shortage, 2 * last_bytes, limit_bytes), 0);
}

/* From the conclusion until waiting is found to be in vain. */
static uint64_t patience_ms(struct shortage *shortage, uint64_t *now_ms)
{
	uint64_t start_ms = *now_ms;
	step(shortage, nothing_left, start_ms);
	while (!shortage_is_hopeless(shortage))
		step(shortage, nothing_left, ++*now_ms);
	return *now_ms - start_ms;
}

static void test_patience_is_shorter_where_it_brought_nothing(void **state)
{
	(void)state;
	struct shortage shortage = {0};
	struct shortage_view freed = nothing_left;
	uint64_t now_ms = 1000;
	freed.headroom_bytes = 100 * MIB;
	for (uint64_t ms = HOLD_MS; ms > HOLD_MS >> SHORTAGE_HALVES; ms /= 2) {
		assert_int_equal(patience_ms(&shortage, &now_ms), ms);
		assert_int_equal(step(&shortage, freed, ++now_ms), SHORTAGE_WITHDRAW);
	}
	assert_in_range(patience_ms(&shortage, &now_ms), 1, HOLD_MS / 10);
	step(&shortage, freed, ++now_ms);
	/* While someone waited, another freed. */
	step(&shortage, nothing_left, ++now_ms);
	step(&shortage, freed, ++now_ms);
	assert_int_equal(patience_ms(&shortage, &now_ms), HOLD_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_concluded_when_nobody_has_anything),
		cmocka_unit_test(test_but_not_while_one_condition_is_missing),
		cmocka_unit_test(test_processes_that_are_not_seen_have_their_time),
		cmocka_unit_test(test_it_is_withdrawn_when_something_changes),
		cmocka_unit_test(test_it_is_told_once),
		cmocka_unit_test(test_waiting_is_in_vain_when_nothing_came_back_for_a_while),
		cmocka_unit_test(test_the_last_part_is_kept_back_until_waiting_is_hopeless),
		cmocka_unit_test(test_patience_is_shorter_where_it_brought_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
