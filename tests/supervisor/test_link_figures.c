#include "supervisor/link/link_figures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* One thread, so there is nothing for TSan. */
/* variants: release asan */

/* Every figure of the list gets a value of its own; `from` sets processes apart. */
static void fill(struct link_slot *slot, uint64_t from)
{
	memset(slot, 0, sizeof *slot);
#define FILL(name, kind, attribute) slot->name = from++;
	FIGURES_OF_SLOT(FILL)
#undef FILL
}

static struct link_figures read_of(uint64_t from, struct link_figures *gone)
{
	struct link_slot slot;
	struct link_figures seen = {0};
	fill(&slot, from);
	link_figures_read(&slot, &seen, gone);
	return seen;
}

static void test_every_figure_is_read(void **state)
{
	struct link_figures gone = {0};
	struct link_figures seen = read_of(100, &gone);
	uint64_t expected = 100;
	(void)state;
#define CHECK(name, kind, attribute) \
	assert_int_equal(seen.name, expected++); \
	assert_int_equal(gone.name, 0);
	FIGURES_OF_SLOT(CHECK)
#undef CHECK
}

static void test_figures_are_put_together_by_their_kind(void **state)
{
	struct link_figures gone = {0};
	struct link_figures a = read_of(100, &gone);
	struct link_figures b = read_of(500, &gone);
	struct link_figures sum = {0};
	(void)state;
	link_figures_add(&sum, &b);
	link_figures_add(&sum, &a);
#define CHECK(name, kind, attribute) \
	assert_int_equal(sum.name, FIGURE_##kind == FIGURE_HIGHEST ? b.name : a.name + b.name);
	FIGURES_OF_SLOT(CHECK)
#undef CHECK
}

static void test_totals_outlive_their_process_and_nothing_else_does(void **state)
{
	struct link_figures gone = {0};
	struct link_figures seen = read_of(100, &gone);
	(void)state;
	link_figures_retire(&seen, &gone);
	link_figures_retire(&seen, &gone);
#define CHECK(name, kind, attribute) \
	assert_int_equal(gone.name, FIGURE_##kind == FIGURE_TOTAL ? 2 * seen.name : 0);
	FIGURES_OF_SLOT(CHECK)
#undef CHECK
}

static void test_a_total_that_falls_has_begun_anew(void **state)
{
	struct link_slot slot;
	struct link_figures gone = {0};
	struct link_figures before = read_of(100, &gone);
	struct link_figures seen = before;
	(void)state;
	fill(&slot, 1);
	link_figures_read(&slot, &seen, &gone);
#define CHECK(name, kind, attribute) \
	assert_int_equal(seen.name, before.name - 99); \
	assert_int_equal(gone.name, FIGURE_##kind == FIGURE_TOTAL ? before.name : 0);
	FIGURES_OF_SLOT(CHECK)
#undef CHECK
}

static void test_sums_saturate(void **state)
{
	struct link_figures one;
	struct link_figures sum;
	(void)state;
	memset(&one, 0xff, sizeof one);
	memset(&sum, 0xff, sizeof sum);
	link_figures_add(&sum, &one);
	link_figures_retire(&one, &sum);
#define CHECK(name, kind, attribute) assert_true(sum.name == UINT64_MAX);
	FIGURES_OF_SLOT(CHECK)
#undef CHECK
	assert_true(link_figures_released(&sum) == UINT64_MAX);
}

static void test_released_is_of_every_cause(void **state)
{
	struct link_figures figures = {0};
	uint64_t value = 1;
	(void)state;
#define FILL(name, kind, attribute) figures.name = value, value *= 2;
	FIGURES_RELEASED(FILL)
#undef FILL
	figures.refault_bytes = 1000;
	assert_int_equal(link_figures_released(&figures), value - 1);
}

static void test_a_page_costs_its_advice_and_the_faults_that_were_seen(void **state)
{
	(void)state;
	struct link_figures figures = {0};
	assert_int_equal(link_figures_page_ns(&figures), 0);
	/* A call for a page or two is no measure. */
	figures.released_full_bytes = 2 * (uint64_t)4096;
	figures.advise_ns = 10000;
	assert_int_equal(link_figures_page_ns(&figures), 0);
	figures.released_full_bytes = 0;
	figures.released_eager_bytes = 1000 * (uint64_t)4096;
	figures.advise_ns = 250000;
	assert_int_equal(link_figures_page_ns(&figures), 250);
	figures.refault_touched_bytes = 200 * (uint64_t)4096;
	assert_int_equal(link_figures_page_ns(&figures), 250 + 250 * 9 / 5);
	/* By what the heap has measured, where it says so. */
	figures.fault_page_ns = 1600;
	assert_int_equal(link_figures_page_ns(&figures), 250 + 1600 / 5);
	figures.fault_page_ns = UINT64_MAX;
	assert_int_equal(link_figures_page_ns(&figures), 250 + 1000000000 / 5);
	figures.fault_page_ns = 0;
	/* Whatever is in a slot. */
	figures.refault_touched_bytes = UINT64_MAX;
	assert_int_equal(link_figures_page_ns(&figures), 2500);
	figures.advise_ns = UINT64_MAX;
	figures.released_full_bytes = UINT64_MAX;
	assert_true(link_figures_page_ns(&figures) > 0);
	figures.advise_ns = 0;
	assert_true(link_figures_page_ns(&figures) > 0);
}

/* A library and a supervisor of one version may be of different releases. */
static void test_the_figures_of_version_3_are_where_they_were(void **state)
{
	static const char *const version_3[] = {"in_use_bytes", "idle_dirty_bytes", "lazy_bytes",
		"clean_bytes", "metadata_bytes", "wants_bytes", "released_background_bytes",
		"released_growth_bytes", "released_lazy_bytes", "released_eager_bytes",
		"released_full_bytes", "advise_calls", "advise_ns", "refault_bytes", "gate_waits",
		"gate_timeouts", "gate_wait_ns", "refault_touched_bytes", "regret_release_bytes",
		"regret_hold_bytes", "break_even_ns", "background_cpu_ns", "free_slots_bytes",
		"fault_page_ns", "populated_bytes"};
#define NAME(name, kind, attribute) #name,
	static const char *const names[] = {FIGURES_OF_SLOT(NAME)};
#undef NAME
	(void)state;
	assert_int_equal(LINK_VERSION, 3);
	assert_true(sizeof names >= sizeof version_3);
	for (size_t i = 0; i < sizeof version_3 / sizeof version_3[0]; i++)
		assert_string_equal(names[i], version_3[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_figure_is_read),
		cmocka_unit_test(test_figures_are_put_together_by_their_kind),
		cmocka_unit_test(test_totals_outlive_their_process_and_nothing_else_does),
		cmocka_unit_test(test_a_total_that_falls_has_begun_anew),
		cmocka_unit_test(test_sums_saturate),
		cmocka_unit_test(test_released_is_of_every_cause),
		cmocka_unit_test(test_a_page_costs_its_advice_and_the_faults_that_were_seen),
		cmocka_unit_test(test_the_figures_of_version_3_are_where_they_were),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
