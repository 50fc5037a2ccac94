#include "tests/policy/fixture.h"

#include "supervisor/policy/release.h"

/* One service through time; NONE where nothing is to be asked. */
struct row {
	uint64_t now_ms;
	enum level level;
	bool rose;
	bool answered;
	bool urgent;
	bool short_of_eager;
	uint64_t target_bytes;
	uint64_t idle_bytes;
	uint64_t released_bytes;
	enum level expected;
	uint64_t expected_bytes;
};

static void run(const struct row *rows, size_t count)
{
	struct release release = {.asked = false};
	for (size_t i = 0; i < count; i++) {
		const struct row *row = &rows[i];
		struct release_view view = {
			.level = row->level,
			.rose = row->rose,
			.urgent = row->urgent,
			.answered = row->answered,
			.short_of_eager = row->short_of_eager,
			.target_bytes = row->target_bytes,
			.idle_bytes = row->idle_bytes,
			.released_bytes = row->released_bytes,
			.usage = {.current_bytes = ((uint64_t)1 << 40) - row->released_bytes},
		};
		uint64_t bytes = 0;
		enum level level = release_step(&release, &view, row->now_ms, &bytes);
		if (level != row->expected || bytes != row->expected_bytes)
			fail_msg("row %zu: level %d, %llu bytes", i, (int)level,
				(unsigned long long)bytes);
	}
}

#define RUN(rows) run(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_rise_asks_once(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_CALM, false, true, true, false, 0, MIB, 0, LEVEL_CALM, 0},
		{10, LEVEL_LAZY, true, true, true, false, 5 * MIB, MIB, 0, LEVEL_LAZY, 5 * MIB},
		{20, LEVEL_LAZY, false, false, true, false, 5 * MIB, MIB, 0, LEVEL_CALM, 0},
		{30, LEVEL_LAZY, false, true, true, false, 0, 0, 5 * MIB, LEVEL_CALM, 0},
		{1000, LEVEL_LAZY, false, true, true, false, 0, 0, 5 * MIB, LEVEL_CALM, 0},
	};
	RUN(rows);
}

static void test_full_and_rises_without_a_number_ask_for_everything(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_EAGER, true, true, true, false, 0, MIB, 0, LEVEL_EAGER, UINT64_MAX},
		{10, LEVEL_FULL, true, true, true, true, MIB, MIB, 0, LEVEL_FULL, UINT64_MAX},
	};
	RUN(rows);
}

static void test_asks_again_when_answered_while_headroom_is_short(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_LAZY, true, true, true, false, 9 * MIB, 9 * MIB, 0, LEVEL_LAZY, 9 * MIB},
		{5, LEVEL_LAZY, false, false, true, false, 9 * MIB, 9 * MIB, 0, LEVEL_CALM, 0},
		{9, LEVEL_LAZY, false, true, true, false, 4 * MIB, 4 * MIB, 5 * MIB, LEVEL_LAZY,
			4 * MIB},
	};
	RUN(rows);
}

/* Near the wall the pause is no use where something is known to idle. */
static void test_what_idles_near_the_wall_is_asked_for_at_once(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_FULL, true, true, false, true, 9 * MIB, 0, 0, LEVEL_FULL, UINT64_MAX},
		{10, LEVEL_FULL, false, true, false, true, 9 * MIB, 20 * MIB, 9 * MIB, LEVEL_EAGER,
			9 * MIB},
		{20, LEVEL_FULL, false, true, false, true, 9 * MIB, 0, 18 * MIB, LEVEL_CALM, 0},
		{30, LEVEL_FULL, false, true, false, false, 9 * MIB, 20 * MIB, 18 * MIB, LEVEL_CALM,
			0},
	};
	RUN(rows);
}

static void test_an_answer_is_not_waited_for_without_end(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_LAZY, true, true, true, false, 9 * MIB, 9 * MIB, 0, LEVEL_LAZY, 9 * MIB},
		{199, LEVEL_LAZY, false, false, true, false, 9 * MIB, 9 * MIB, MIB, LEVEL_CALM, 0},
		{200, LEVEL_LAZY, false, false, true, false, 8 * MIB, 8 * MIB, MIB, LEVEL_LAZY,
			8 * MIB},
	};
	RUN(rows);
}

static void test_nothing_left_to_give_is_asked_ever_less_often(void **state)
{
	(void)state;
	static const uint64_t asked_ms[] = {0, 200, 600, 1400, 3000, 5000, 7000, 9000};
	struct release release = {.asked = false};
	size_t n = 0;
	for (uint64_t now_ms = 0; now_ms < 10000; now_ms += 10) {
		struct release_view view = {.level = LEVEL_LAZY,
			.rose = now_ms == 0,
			.answered = true,
			.target_bytes = 50 * MIB};
		uint64_t bytes;
		if (release_step(&release, &view, now_ms, &bytes) == LEVEL_CALM)
			continue;
		assert_true(n < sizeof asked_ms / sizeof asked_ms[0]);
		assert_int_equal(now_ms, asked_ms[n++]);
	}
	assert_int_equal(n, sizeof asked_ms / sizeof asked_ms[0]);
}

static void test_new_idle_bytes_end_the_backing_off(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_LAZY, true, true, true, false, 9 * MIB, 0, 0, LEVEL_LAZY, 9 * MIB},
		{10, LEVEL_LAZY, false, true, true, false, 9 * MIB, 0, 0, LEVEL_CALM, 0},
		{20, LEVEL_LAZY, false, true, true, false, 9 * MIB, 255 * KIB, 0, LEVEL_CALM, 0},
		{30, LEVEL_LAZY, false, true, true, false, 9 * MIB, 256 * KIB, 0, LEVEL_LAZY,
			9 * MIB},
	};
	RUN(rows);
}

static void test_eager_that_is_not_enough_is_followed_by_full(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_EAGER, true, true, true, true, 40 * MIB, 10 * MIB, 0, LEVEL_EAGER,
			40 * MIB},
		{20, LEVEL_EAGER, false, true, true, true, 30 * MIB, 0, 10 * MIB, LEVEL_FULL,
			UINT64_MAX},
		{40, LEVEL_EAGER, false, true, true, true, 30 * MIB, 0, 10 * MIB, LEVEL_CALM, 0},
	};
	RUN(rows);
}

static void test_eager_that_brought_little_but_suffices_is_not(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_EAGER, true, true, true, true, 40 * MIB, 10 * MIB, 0, LEVEL_EAGER,
			40 * MIB},
		{20, LEVEL_EAGER, false, true, true, false, 30 * MIB, 0, 10 * MIB, LEVEL_EAGER,
			30 * MIB},
	};
	RUN(rows);
}

static void test_a_new_rise_does_not_wait_for_the_answer(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_LAZY, true, true, true, false, MIB, MIB, 0, LEVEL_LAZY, MIB},
		{1, LEVEL_EAGER, true, false, true, true, 2 * MIB, MIB, 0, LEVEL_EAGER, 2 * MIB},
	};
	RUN(rows);
}

static void test_released_total_running_backwards_counts_as_nothing(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_LAZY, true, true, true, false, MIB, MIB, 50 * MIB, LEVEL_LAZY, MIB},
		{10, LEVEL_LAZY, false, true, true, false, MIB, MIB, 2 * MIB, LEVEL_CALM, 0},
	};
	RUN(rows);
}

static void test_nobody_is_asked_twice_in_a_breath_unless_someone_waits(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_LAZY, true, true, false, false, 9 * MIB, 9 * MIB, 0, LEVEL_LAZY, 9 * MIB},
		{9, LEVEL_LAZY, false, true, false, false, 4 * MIB, 4 * MIB, 5 * MIB, LEVEL_CALM,
			0},
		{49, LEVEL_LAZY, false, true, false, false, 4 * MIB, 4 * MIB, 5 * MIB, LEVEL_CALM,
			0},
		{50, LEVEL_LAZY, false, true, false, false, 4 * MIB, 4 * MIB, 5 * MIB, LEVEL_LAZY,
			4 * MIB},
		{51, LEVEL_LAZY, false, true, true, false, 2 * MIB, 2 * MIB, 7 * MIB, LEVEL_LAZY,
			2 * MIB},
	};
	RUN(rows);
}

static void test_idle_spans_at_full_are_asked_for_with_eager(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_FULL, true, true, false, true, MIB, 9 * MIB, 0, LEVEL_FULL, UINT64_MAX},
		{100, LEVEL_FULL, false, true, false, true, MIB, 4 * MIB, 9 * MIB, LEVEL_EAGER,
			MIB},
		{200, LEVEL_FULL, false, true, false, true, 2 * MIB, 3 * MIB, 9 * MIB + 512 * KIB,
			LEVEL_EAGER, 2 * MIB},
		{2000, LEVEL_FULL, false, true, false, true, MIB, 4 * MIB, 20 * MIB, LEVEL_FULL,
			UINT64_MAX},
		/* Someone waits, and eager did not help. */
		{2100, LEVEL_FULL, false, true, true, true, MIB, 4 * MIB, 30 * MIB, LEVEL_EAGER,
			MIB},
		{2101, LEVEL_FULL, false, true, true, true, MIB, 4 * MIB, 30 * MIB + 300 * KIB,
			LEVEL_FULL, UINT64_MAX},
	};
	RUN(rows);
}

static void test_full_is_asked_again_where_nothing_idle_is_known_of(void **state)
{
	(void)state;
	static const struct row rows[] = {
		{0, LEVEL_FULL, true, true, false, true, MIB, 0, 0, LEVEL_FULL, UINT64_MAX},
		{100, LEVEL_FULL, false, true, false, true, MIB, 0, 9 * MIB, LEVEL_FULL,
			UINT64_MAX},
		{200, LEVEL_FULL, false, true, false, true, MIB, 0, 9 * MIB, LEVEL_CALM, 0},
		{300, LEVEL_FULL, false, true, false, true, MIB, 0, 9 * MIB, LEVEL_FULL,
			UINT64_MAX},
	};
	RUN(rows);
}

static void test_lazy_bytes_are_idle_from_eager_on(void **state)
{
	(void)state;
	struct release release = {.asked = false};
	struct heap_sample heap = {.idle_dirty_bytes = 3, .lazy_bytes = 4};
	assert_int_equal(release_idle_bytes(&release, &heap, LEVEL_LAZY), 3);
	assert_int_equal(release_idle_bytes(&release, &heap, LEVEL_EAGER), 7);
	assert_int_equal(release_idle_bytes(&release, &heap, LEVEL_FULL), 7);
	release.proof.unseen = PROOF_TIMES;
	assert_int_equal(release_idle_bytes(&release, &heap, LEVEL_FULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rise_asks_once),
		cmocka_unit_test(test_full_and_rises_without_a_number_ask_for_everything),
		cmocka_unit_test(test_asks_again_when_answered_while_headroom_is_short),
		cmocka_unit_test(test_what_idles_near_the_wall_is_asked_for_at_once),
		cmocka_unit_test(test_an_answer_is_not_waited_for_without_end),
		cmocka_unit_test(test_nothing_left_to_give_is_asked_ever_less_often),
		cmocka_unit_test(test_new_idle_bytes_end_the_backing_off),
		cmocka_unit_test(test_eager_that_is_not_enough_is_followed_by_full),
		cmocka_unit_test(test_eager_that_brought_little_but_suffices_is_not),
		cmocka_unit_test(test_a_new_rise_does_not_wait_for_the_answer),
		cmocka_unit_test(test_released_total_running_backwards_counts_as_nothing),
		cmocka_unit_test(test_nobody_is_asked_twice_in_a_breath_unless_someone_waits),
		cmocka_unit_test(test_idle_spans_at_full_are_asked_for_with_eager),
		cmocka_unit_test(test_full_is_asked_again_where_nothing_idle_is_known_of),
		cmocka_unit_test(test_lazy_bytes_are_idle_from_eager_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
