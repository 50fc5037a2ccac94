#include "tests/config/loading.h"

#define WEB "[service:web]\ncommand = x\n"

static void test_headrooms_fall_from_lazy_to_full(void **state)
{
	static const struct loading_row rows[] = {
		{"[policy:p]\nlazy_headroom = 10%\n",
			{{2, "lazy_headroom (10%) is below eager_headroom (15%, the default): "
			     "expected lazy >= eager >= full"}}},
		{"[policy:p]\nfull_headroom = 20M\nlazy_headroom = 40M\neager_headroom = 10M\n",
			{{4, "eager_headroom (10M) is below full_headroom (20M): expected lazy >= "
			     "eager >= full"}}},
		/* The middle one is off, or of another unit. */
		{"[policy:p]\neager_headroom = off\nlazy_headroom = 7%\n",
			{{3, "lazy_headroom (7%) is below full_headroom (8%, the default): "
			     "expected lazy >= eager >= full"}}},
		{"[policy:p]\neager_headroom = 64M\nfull_headroom = 30%\n",
			{{3, "lazy_headroom (25%, the default) is below full_headroom (30%): "
			     "expected lazy >= eager >= full"}}},
		/* All of them are wrong, in two errors rather than three. */
		{"[policy:p]\nlazy_headroom = 1%\neager_headroom = 6%\nfull_headroom = 7%\n",
			{{3, "lazy_headroom (1%) is below eager_headroom (6%): expected lazy >= "
			     "eager >= full"},
				{4, "eager_headroom (6%) is below full_headroom (7%): expected "
				    "lazy >= eager >= full"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_times_to_wall_fall_from_lazy_to_full(void **state)
{
	static const struct loading_row rows[] = {
		{"[policy:p]\neager_time_to_wall = 11s\n",
			{{2, "lazy_time_to_wall (10s, the default) is below eager_time_to_wall "
			     "(11s): expected lazy >= eager >= full"}}},
		{"[policy:default]\neager_time_to_wall = off\nlazy_time_to_wall = 999ms\n",
			{{3, "lazy_time_to_wall (999ms) is below full_time_to_wall (1s, the "
			     "default): expected lazy >= eager >= full"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_pressures_of_one_kind_rise_from_lazy_to_full(void **state)
{
	static const struct loading_row rows[] = {
		{"[policy:p]\nlazy_pressure = some 20% 2s\n",
			{{2, "lazy_pressure (some 20% 2s) is reached later than eager_pressure "
			     "(some 15% 2s, the default): expected lazy <= eager <= full"}}},
		/* 15 % of 4 s are at least 15 % of some 2 s in it. */
		{"[policy:p]\nlazy_pressure = some 15% 4s\n",
			{{2, "lazy_pressure (some 15% 4s) is reached later than eager_pressure "
			     "(some 15% 2s, the default): expected lazy <= eager <= full"}}},
		/* 400 ms within 1 s are more than 300 ms within 2 s. */
		{"[policy:p]\nlazy_pressure = some 400ms 1s\n",
			{{2, "lazy_pressure (some 40% 1s) is reached later than eager_pressure "
			     "(some 15% 2s, the default): expected lazy <= eager <= full"}}},
		{"[policy:p]\neager_pressure = off\nlazy_pressure = full 12% 2s\n",
			{{3, "lazy_pressure (full 12% 2s) is reached later than full_pressure "
			     "(full 10% 2s, the default): expected lazy <= eager <= full"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_pressure_windows_are_those_of_the_kernel(void **state)
{
	static const struct loading_row rows[] = {
		{"[policy:p]\nlazy_pressure = some 5% 499ms\nfull_pressure = full 10% 11s\n",
			{{2, "lazy_pressure (some 5% 499ms): the window is out of range: expected "
			     "500ms to 10s"},
				{3, "full_pressure (full 10% 11s): the window is out of range: "
				    "expected 500ms to 10s"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_reserve_and_brake_begin_below_eager(void **state)
{
	static const struct loading_row rows[] = {
		{"[policy:p]\nreserve = 16%\nbrake = 20%\n",
			{{2, "reserve (16%) is above eager_headroom (15%, the default): expected "
			     "reserve <= eager_headroom"},
				{3, "brake (20%) is above eager_headroom (15%, the default): "
				    "expected brake <= eager_headroom"}}},
		{"[policy:p]\neager_headroom = 5%\nfull_headroom = 5%\n",
			{{2, "brake (6%, the default) is above eager_headroom (5%): expected "
			     "brake <= eager_headroom"}}},
		{"[policy:p]\nbrake_hold = 0\n",
			{{2, "brake_hold: 0 ends every brake at once: expected a duration such as "
			     "3s, or brake = off"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_memory_high_is_not_above_memory_max(void **state)
{
	static const struct loading_row rows[] = {
		{WEB "memory_high = 65M\nmemory_max = 64M\n",
			{{4, "memory_high (65M) is above memory_max (64M): expected memory_high "
			     "<= memory_max"}}},
		{WEB "memory_min = 65M\nmemory_max = 64M\n",
			{{4, "memory_min (65M) is above memory_max (64M): expected memory_min "
			     "<= memory_max"}}},
		{WEB "memory_max = 64M\nmemory_low = 65M\n",
			{{4, "memory_low (65M) is above memory_max (64M): expected memory_low "
			     "<= memory_max"}}},
		{WEB "memory_max = 40%\nmemory_high = 50%\n",
			{{4, "memory_high (50%) is above memory_max (40%): expected memory_high "
			     "<= memory_max"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

static void test_what_cannot_be_compared_or_is_equal_passes(void **state)
{
	static const char *const texts[] = {
		"[policy:p]\nlazy_headroom = 1M\neager_headroom = 15%\nfull_headroom = 1M\n"
		"lazy_time_to_wall = off\n",
		"[policy:p]\nlazy_headroom = 5M\neager_headroom = 5M\nfull_headroom = 5M\n",
		"[policy:p]\nlazy_headroom = off\neager_headroom = off\nfull_headroom = off\n"
		"lazy_time_to_wall = 0\neager_time_to_wall = 0\nfull_time_to_wall = 0\n"
		"lazy_pressure = off\neager_pressure = off\nfull_pressure = off\n",
		"[policy:p]\nlazy_pressure = full 50% 2s\nfull_pressure = off\n",
		"[policy:p]\nlazy_pressure = some 5% 500ms\nfull_pressure = some 15% 2s\n",
		/* A short sharp stall and a long mild one: neither contains the other. */
		"[policy:p]\nlazy_pressure = some 20% 1s\n",
		"[policy:p]\nlazy_pressure = some 15% 2s\n",
		"[policy:p]\nlazy_pressure = some 5% 10s\n",
		"[policy:p]\nbrake = 100M\nreserve = 100M\n",
		"[policy:p]\nbrake = 15%\nreserve = 15%\n",
		"[policy:p]\nbrake = off\nbrake_hold = 0\n",
		"[policy:p]\nbrake = 0\nreserve = 0\ngate_wait = 0\nhold = 0\n",
		WEB "memory_max = 64M\nmemory_high = 64M\n",
		WEB "memory_max = 64M\nmemory_high = 80%\n",
		WEB "memory_high = 80%\n",
		WEB "memory_max = off\nmemory_high = 1G\n",
	};
	static struct config config;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		loading_succeeds(texts[i], &config);
		config_free(&config);
	}
}

static void test_an_unreadable_value_starts_no_second_complaint(void **state)
{
	static const struct loading_row rows[] = {
		{"[policy:p]\nlazy_headroom = x\neager_headroom = 30%\n",
			{{2, "lazy_headroom: \"x\": not understood: expected a size such as 64M, "
			     "a share such as 12.5%, or off"}}},
		{WEB "memory_max = 64Q\nmemory_high = 1G\n",
			{{3, "memory_max: \"64Q\": not understood: expected a size such as 64M, a "
			     "share such as 12.5%, or off"}}},
	};

	(void)state;
	loading_all_fail(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headrooms_fall_from_lazy_to_full),
		cmocka_unit_test(test_times_to_wall_fall_from_lazy_to_full),
		cmocka_unit_test(test_pressures_of_one_kind_rise_from_lazy_to_full),
		cmocka_unit_test(test_pressure_windows_are_those_of_the_kernel),
		cmocka_unit_test(test_reserve_and_brake_begin_below_eager),
		cmocka_unit_test(test_memory_high_is_not_above_memory_max),
		cmocka_unit_test(test_what_cannot_be_compared_or_is_equal_passes),
		cmocka_unit_test(test_an_unreadable_value_starts_no_second_complaint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
