#include "tests/policy/world.h"

#include "supervisor/policy/steady.h"

/*
 * Policy against the model in world.h.  In every run no service's level changes more than
 * STEADY_CHANGES times a minute.
 */

static const uint64_t periods_ms[] = {1500, 3000, 6000, 15000, 30000};

/* By so much the wall is lowered where somebody is to come near it. */
#define LOWER_BYTES (8 * MIB)

static void assert_few_changes(void)
{
	for (size_t i = 0; i < HEAPS; i++)
		assert_true(world.changes[i] <= STEADY_CHANGES);
}

static void run_all(const struct speed *speed, bool reclaimable_known, bool timed)
{
	uint64_t lazy_releases = 0;
	for (size_t p = 0; p < sizeof periods_ms / sizeof periods_ms[0]; p++) {
		world_begin(periods_ms[p], speed, 0);
		world_run(true, reclaimable_known, timed);
		world_print();
		assert_int_equal(world.crossed, 0);
		assert_int_equal(world.timeouts, 0);
		assert_true(world.peak_bytes <= WALL_BYTES);
		assert_few_changes();
		lazy_releases += world.releases[LEVEL_LAZY];
		if (speed != &usual)
			continue;
		/* And the heaps got what they needed, in time. */
		assert_true(world.peak_live_bytes > 220 * MIB);
		assert_true(world.behind_ms < HEAPS * RUN_MS / 500);
	}
	assert_true(timed || lazy_releases > 0);
}

/* Odd as the world is: nobody crosses a wall, and nobody stands still. */
static void run_odd(int odds)
{
	for (size_t p = 0; p < sizeof periods_ms / sizeof periods_ms[0]; p++) {
		world_begin(periods_ms[p], &usual, odds);
		world_run(true, true, true);
		world_print();
		assert_int_equal(world.crossed, 0);
		assert_few_changes();
		assert_true(world.peak_live_bytes > 220 * MIB);
		assert_true(world.behind_ms < HEAPS * RUN_MS / 100);
	}
}

static void test_four_heaps_swing_under_one_wall_and_never_cross_it(void **state)
{
	(void)state;
	run_all(&usual, true, true);
}

static void test_nor_do_they_where_only_headroom_counts(void **state)
{
	(void)state;
	run_all(&usual, true, false);
}

static void test_nor_where_only_the_heaps_know_what_is_lazy(void **state)
{
	(void)state;
	run_all(&usual, false, false);
}

static void test_nor_on_a_slow_machine(void **state)
{
	(void)state;
	static const struct speed slow[] = {
		{300 * KIB, 4 * MIB, 3, 1},
		{300 * KIB, 48 * MIB, 3, 1},
		{1700 * KIB, 48 * MIB, 3, 1},
		{1700 * KIB, 4 * MIB, 30, 1},
		{1700 * KIB, 4 * MIB, 3, 8},
		{300 * KIB, 48 * MIB, 30, 8},
	};
	for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++)
		run_all(&slow[i], true, true);
}

static void test_nor_with_walls_of_their_own(void **state)
{
	(void)state;
	run_odd(OWN_WALLS);
}

static void test_nor_where_walls_move(void **state)
{
	(void)state;
	run_odd(LIVE_WALL);
	assert_int_equal(world.own_wall_bytes[0], OWN_WALL_BYTES);
}

/* The crawler fills what is free with what the kernel takes back: it brings nobody to a level that
 * the heaps would not have come to by themselves. */
static void test_nor_beside_a_crawler(void **state)
{
	(void)state;
	for (size_t p = 0; p < sizeof periods_ms / sizeof periods_ms[0]; p++) {
		uint64_t returned_bytes;
		world_begin(periods_ms[p], &usual, 0);
		world_run(true, true, true);
		returned_bytes = world.returned_bytes;
		world_begin(periods_ms[p], &usual, SLAB);
		world_run(true, true, true);
		world_print();
		assert_int_equal(world.crossed, 0);
		assert_few_changes();
		assert_true(world.returned_bytes < returned_bytes + returned_bytes / 4);
	}
	run_odd(SLAB);
}

static void test_nor_beside_a_liar(void **state)
{
	(void)state;
	run_odd(LIAR);
}

static void work_beside_wish(uint64_t wall_bytes, uint64_t wish_bytes, uint64_t run_ms)
{
	world_begin(periods_ms[0], &usual, WISHER);
	world.wall_bytes = wall_bytes;
	world.wish_bytes = wish_bytes;
	world.run_ms = run_ms;
	world_run(true, true, true);
	assert_int_equal(world.crossed, 0);
}

/* A want that nobody takes, of about what is free: whoever works within its share loses little in
 * the first moment, and nothing after it. */
static void test_a_false_want_slows_nobody_down_for_long(void **state)
{
	(void)state;
	/* Half of a wait and a look or two, after which what nobody takes is not believed. */
	static const uint64_t run_ms[] = {120, 800};
	for (uint64_t wall_bytes = 200 * MIB; wall_bytes <= 248 * MIB; wall_bytes += 4 * MIB) {
		uint64_t rounds[2][2]; /* alone and beside the want, in each time */
		uint64_t waited_ms[2][2];
		for (size_t i = 0; i < 4; i++) {
			work_beside_wish(wall_bytes, i / 2 * 200 * MIB, run_ms[i % 2]);
			rounds[i / 2][i % 2] = world.rounds;
			waited_ms[i / 2][i % 2] = world.waited_ms;
		}
		print_message("# wall %llu MiB: %llu and %llu rounds of %llu and %llu, waited %llu "
			      "and %llu ms\n",
			(unsigned long long)(wall_bytes / MIB), (unsigned long long)rounds[1][0],
			(unsigned long long)rounds[1][1], (unsigned long long)rounds[0][0],
			(unsigned long long)rounds[0][1], (unsigned long long)waited_ms[1][0],
			(unsigned long long)waited_ms[1][1]);
		assert_true(waited_ms[1][1] - waited_ms[1][0] <= 10);
		assert_true(rounds[1][1] * 3 > rounds[0][1] * 2);
		/* A round that the end of the time cuts off is none. */
		assert_true((rounds[1][1] - rounds[1][0] + 1) * 100 >=
			    (rounds[0][1] - rounds[0][0]) * 97);
	}
}

static void test_nor_beside_one_that_never_answers(void **state)
{
	(void)state;
	run_odd(MUTE);
}

/* What grows without asking is slowed down near the wall until the others have given it room, and
 * is looked at when the brake comes off.  Growth that is through between two looks in calm is left
 * out: nobody tells of it. */
static void test_nor_beside_a_stranger_that_can_be_braked(void **state)
{
	(void)state;
	static const uint64_t stranger_ms[] = {1500, 15000, 30000};
	uint64_t peaks_bytes[2] = {0};
	uint64_t brakes_on = 0;
	for (size_t p = 0; p < sizeof stranger_ms / sizeof stranger_ms[0]; p++) {
		for (int brakes = 0; brakes < 2; brakes++) {
			world_begin(stranger_ms[p], &usual, STRANGER | (brakes != 0 ? BRAKE : 0));
			world.wall_bytes -= LOWER_BYTES;
			world_run(true, true, true);
			world_print();
			assert_few_changes();
			brakes_on += world.brakes;
			assert_true(brakes == 0 || world.crossed == 0);
			assert_true(world.peak_live_bytes > 220 * MIB);
			peaks_bytes[brakes] += world.peak_bytes;
		}
	}
	assert_true(brakes_on > 0);
	assert_true(peaks_bytes[1] < peaks_bytes[0]);
}

/* Those who ask before they grow are braked as well, and lose little by it. */
static void test_nor_where_all_can_be_braked(void **state)
{
	(void)state;
	/* Heaps that answer sooner make room before anybody has to be braked. */
	static const struct speed late = {1700 * KIB, 4 * MIB, 24, 1};
	uint64_t brakes_on = 0;
	for (size_t p = 0; p < sizeof periods_ms / sizeof periods_ms[0]; p++) {
		world_begin(periods_ms[p], &late, BRAKE);
		world_run(true, true, true);
		world_print();
		assert_int_equal(world.crossed, 0);
		assert_int_equal(world.timeouts, 0);
		assert_int_equal(world.expired, 0);
		assert_few_changes();
		assert_true(world.behind_ms < HEAPS * RUN_MS / 50);
		brakes_on += world.brakes;
	}
	assert_true(brakes_on > 0);
}

/* What costs nobody anything is free before it is needed, and so fewer find the wall hit. */
static void test_nor_where_the_kernel_takes_back_what_it_can(void **state)
{
	(void)state;
	uint64_t hits[2] = {0};
	for (size_t p = 0; p < sizeof periods_ms / sizeof periods_ms[0]; p++) {
		for (int reclaims = 0; reclaims < 2; reclaims++) {
			world_begin(periods_ms[p], &usual,
				SLAB | TIGHT | BRAKE | (reclaims != 0 ? RECLAIM : 0));
			world_run(true, true, true);
			world_print();
			assert_int_equal(world.crossed, 0);
			assert_few_changes();
			assert_true((world.reclaims > 0) == (reclaims != 0));
			hits[reclaims] += world.events_max;
		}
	}
	assert_true(hits[1] < hits[0]);
}

/* A process that ends makes usage fall, and nobody says why.  Who fills what it was granted at the
 * same time does not wait for that: heaps say what they have filled. */
static void test_nor_beside_processes_that_end(void **state)
{
	(void)state;
	uint64_t waited_ms[2] = {0};
	for (size_t p = 0; p < sizeof periods_ms / sizeof periods_ms[0]; p++) {
		for (int silent = 0; silent < 2; silent++) {
			world_begin(periods_ms[p], &usual, ENDS | (silent != 0 ? SILENT : 0));
			world_run(true, true, true);
			world_print();
			assert_int_equal(world.crossed, 0);
			assert_few_changes();
			waited_ms[silent] += world.waited_ms;
		}
	}
	print_message("# waited %llu ms, %llu silent\n", (unsigned long long)waited_ms[0],
		(unsigned long long)waited_ms[1]);
	assert_true(waited_ms[0] < waited_ms[1] / 2);
}

static void test_the_same_heaps_without_policy_cross_it(void **state)
{
	(void)state;
	for (size_t p = 0; p < sizeof periods_ms / sizeof periods_ms[0]; p++) {
		world_begin(periods_ms[p], &usual, 0);
		world_run(false, true, true);
		assert_true(world.crossed > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_four_heaps_swing_under_one_wall_and_never_cross_it),
		cmocka_unit_test(test_nor_do_they_where_only_headroom_counts),
		cmocka_unit_test(test_nor_where_only_the_heaps_know_what_is_lazy),
		cmocka_unit_test(test_nor_on_a_slow_machine),
		cmocka_unit_test(test_nor_with_walls_of_their_own),
		cmocka_unit_test(test_nor_where_walls_move),
		cmocka_unit_test(test_nor_beside_a_crawler),
		cmocka_unit_test(test_nor_beside_a_liar),
		cmocka_unit_test(test_a_false_want_slows_nobody_down_for_long),
		cmocka_unit_test(test_nor_beside_one_that_never_answers),
		cmocka_unit_test(test_nor_beside_a_stranger_that_can_be_braked),
		cmocka_unit_test(test_nor_where_all_can_be_braked),
		cmocka_unit_test(test_nor_where_the_kernel_takes_back_what_it_can),
		cmocka_unit_test(test_nor_beside_processes_that_end),
		cmocka_unit_test(test_the_same_heaps_without_policy_cross_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
