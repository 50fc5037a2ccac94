#include "supervisor/client/top_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((json_int_t)1 << 20)

static struct top top;

static int clean(void **state)
{
	(void)state;
	top_free(&top);
	return 0;
}

static json_t *service(const char *name, int live_mib, int limit_mib)
{
	json_t *made = json_pack("{s:s, s:s, s:s, s:i, s:I}", "name", name, "state", "RUNNING",
		"level", "calm", "pid", 7, "live_bytes", live_mib * MIB);
	if (limit_mib != 0)
		json_object_set_new(made, "limit_bytes", json_integer(limit_mib * MIB));
	return made;
}

/* Takes the reference of services. */
static void take(json_t *services, int limit_mib)
{
	json_t *supervisor =
		json_pack("{s:s, s:i, s:I}", "version", "1", "pid", 1, "used_bytes", 100 * MIB);
	if (limit_mib != 0)
		json_object_set_new(supervisor, "limit_bytes", json_integer(limit_mib * MIB));
	json_t *status = json_pack("{s:o, s:o}", "supervisor", supervisor, "services", services);
	assert_true(top_take(&top, status));
	json_decref(status);
}

static void test_a_choice_and_a_past_stay_with_their_service(void **state)
{
	unsigned char steps[TOP_HISTORY];

	(void)state;
	take(json_pack("[o, o]", service("a", 10, 0), service("b", 20, 0)), 0);
	top_choose(&top, 1);
	take(json_pack("[o, o, o]", service("b", 40, 0), service("new", 1, 0), service("a", 5, 0)),
		0);
	assert_string_equal(top_chosen(&top)->name, "b");
	assert_int_equal(top_trend(top_chosen(&top), steps, TOP_HISTORY), 2);
	assert_int_equal(steps[0], 3);
	assert_int_equal(steps[1], 7);
	assert_int_equal(top_trend(top_chosen(&top), steps, 1), 1);
	assert_int_equal(steps[0], 7);
	take(json_pack("[o]", service("a", 5, 0)), 0);
	assert_string_equal(top_chosen(&top)->name, "a");
	take(json_array(), 0);
	assert_null(top_chosen(&top));
	top_choose(&top, 1);
	assert_null(top_chosen(&top));
}

static void test_the_past_is_as_long_as_it_may_be(void **state)
{
	unsigned char steps[TOP_HISTORY];

	(void)state;
	for (int i = 1; i <= (int)TOP_HISTORY + 10; i++)
		take(json_pack("[o]", service("a", i, 0)), 0);
	assert_int_equal(top_trend(&top.service[0], steps, TOP_HISTORY), TOP_HISTORY);
	assert_int_equal(top.service[0].used[0], 11 * MIB);
	assert_int_equal(top.service[0].used[TOP_HISTORY - 1], (TOP_HISTORY + 10) * MIB);
}

static void test_a_choice_stays_within_what_there_is(void **state)
{
	(void)state;
	take(json_pack("[o, o, o]", service("a", 1, 0), service("b", 1, 0), service("c", 1, 0)), 0);
	top_choose(&top, -1);
	assert_string_equal(top_chosen(&top)->name, "a");
	top_choose(&top, 10);
	assert_string_equal(top_chosen(&top)->name, "c");
	top_choose(&top, -10);
	assert_string_equal(top_chosen(&top)->name, "a");
}

static void test_a_bar_ends_at_the_limit_or_the_shared_one_or_the_most(void **state)
{
	(void)state;
	take(json_pack("[o, o]", service("a", 10, 64), service("b", 20, 0)), 256);
	assert_int_equal(top.service[0].bar.end_bytes, 64 * MIB);
	assert_int_equal(top.service[1].bar.end_bytes, 256 * MIB);
	assert_false(top.service[1].bar.is_limit);
	assert_int_equal(top.shared.other_bytes, 70 * MIB);
	take(json_pack("[o, o]", service("a", 10, 0), service("b", 20, 0)), 0);
	assert_int_equal(top.service[0].bar.end_bytes, 20 * MIB);
	/* More is used than may be. */
	take(json_pack("[o]", service("a", 80, 64)), 0);
	assert_int_equal(top.service[0].bar.end_bytes, 80 * MIB);
}

static void test_what_is_no_status_changes_nothing(void **state)
{
	json_t *wrong = json_pack("{s:s}", "services", "none");

	(void)state;
	take(json_pack("[o]", service("a", 1, 0)), 0);
	assert_false(top_take(&top, wrong));
	assert_false(top_take(&top, NULL));
	assert_int_equal(top.count, 1);
	json_decref(wrong);
	/* Figures that are missing, negative or of another kind are none. */
	take(json_pack("[{s:i, s:s, s:i}]", "name", 3, "live_bytes", "many", "idle_bytes", -4), 0);
	assert_string_equal(top.service[0].name, "?");
	assert_int_equal(top.service[0].bar.live_bytes + top.service[0].bar.idle_bytes, 0);
}

static void test_cells_are_never_more_than_there_are(void **state)
{
	static const uint64_t amounts[] = {0, 1, MIB, 7 * MIB, 100 * MIB, UINT64_C(1) << 50};
	struct top_bar bar;

	(void)state;
	for (size_t cells = 0; cells < 40; cells += 3)
		for (size_t i = 0; i < 216; i++) {
			bar = (struct top_bar){.live_bytes = amounts[i % 6],
				.idle_bytes = amounts[i / 6 % 6],
				.lazy_bytes = amounts[i / 36],
				.other_bytes = amounts[(i + 1) % 6]};
			bar.end_bytes = bar.live_bytes + bar.idle_bytes + bar.lazy_bytes +
					bar.other_bytes + 1;
			struct top_cells parts = top_cells(&bar, cells);
			assert_true(parts.live + parts.idle + parts.lazy + parts.other <= cells);
			if (cells > 3 && bar.live_bytes > 0)
				assert_true(parts.live > 0);
		}
	bar = (struct top_bar){.live_bytes = 50, .idle_bytes = 25, .end_bytes = 100};
	struct top_cells parts = top_cells(&bar, 20);
	assert_int_equal(parts.live, 10);
	assert_int_equal(parts.idle, 5);
	assert_int_equal(parts.lazy + parts.other, 0);
}

static void test_of_the_log_the_oldest_lines_go(void **state)
{
	char text[16];

	(void)state;
	for (unsigned i = 0; i < TOP_LINES + 5; i++) {
		snprintf(text, sizeof text, "line %u", i);
		json_t *event = json_pack("{s:i, s:s}", "time_s", 0, "text", text);
		top_add_line(&top, event);
		json_decref(event);
	}
	assert_int_equal(top.line_count, TOP_LINES);
	assert_non_null(strstr(top.line[0], "line 5"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_a_choice_and_a_past_stay_with_their_service, clean),
		cmocka_unit_test_teardown(test_the_past_is_as_long_as_it_may_be, clean),
		cmocka_unit_test_teardown(test_a_choice_stays_within_what_there_is, clean),
		cmocka_unit_test_teardown(
			test_a_bar_ends_at_the_limit_or_the_shared_one_or_the_most, clean),
		cmocka_unit_test_teardown(test_what_is_no_status_changes_nothing, clean),
		cmocka_unit_test_teardown(test_cells_are_never_more_than_there_are, clean),
		cmocka_unit_test_teardown(test_of_the_log_the_oldest_lines_go, clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
