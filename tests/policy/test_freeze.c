#include "tests/policy/fixture.h"

/* web grows, idle holds what web needs, and bulk, which counts for less, grows too. */
enum { WEB, IDLE, BULK, SERVICES };

#define FREEZE_MS 500U

static void begin(void)
{
	fixture_start(SERVICES, 256 * MIB);
	fixture.service[IDLE].sample.heap.idle_dirty_bytes = 80 * MIB;
	fixture.service[BULK].sample.heap.processes = 0;
	fixture.service[BULK].priority = 10;
	fixture.service[BULK].freeze_ms = FREEZE_MS;
}

static void use(uint64_t web_mib, uint64_t idle_mib, uint64_t bulk_mib)
{
	fixture_use(WEB, web_mib * MIB);
	fixture_use(IDLE, idle_mib * MIB);
	fixture_use(BULK, bulk_mib * MIB);
}

/* At 1010 ms 16 MiB are left, less than full's threshold, and idle is asked. */
static void run_short(uint64_t web_mib, uint64_t bulk_mib)
{
	use(40, 140, 40);
	fixture_step(1000);
	assert_int_equal(fixture_count(ACTION_FREEZE), 0);
	use(web_mib, 240 - web_mib - bulk_mib, bulk_mib);
	fixture_step(1010);
}

static void test_a_lower_one_that_grows_stands_still_while_another_gives_back(void **state)
{
	(void)state;
	begin();
	run_short(50, 50);
	assert_non_null(fixture_action(ACTION_RELEASE, IDLE));
	const struct action *action = fixture_action(ACTION_FREEZE, BULK);
	assert_non_null(action);
	assert_int_equal(fixture_count(ACTION_FREEZE), 1);
	assert_int_equal(action->until_ms, 1010 + FREEZE_MS);
	assert_int_equal(action->needy, WEB);
	assert_int_equal(action->reason.kind, REASON_HEADROOM);
	assert_int_equal(action->reason.value, 16 * MIB);
	assert_true(action->reason.shared);
	assert_null(fixture_action(ACTION_BRAKE, BULK));
	assert_true(fixture.plan.next_ms <= 10);
}

static void test_nobody_else_stands_still(void **state)
{
	(void)state;
	for (int row = 0; row < 8; row++) {
		uint64_t web_mib = 50;
		uint64_t bulk_mib = 50;
		begin();
		switch (row) {
		case 0: /* not allowed */
			fixture.service[BULK].freeze_ms = 0;
			break;
		case 1: /* counts for as much */
			fixture.service[BULK].priority = 0;
			break;
		case 2: /* takes nothing */
			bulk_mib = 40;
			break;
		case 3: /* no file to write */
			fixture.service[BULK].sample.can_brake = false;
			break;
		case 4: /* is to give something back itself */
			fixture.service[BULK].sample.heap.processes = 1;
			fixture.service[BULK].sample.heap.idle_dirty_bytes = 10 * MIB;
			break;
		case 5: /* nobody gives anything back */
			fixture.service[WEB].sample.heap.processes = 0;
			fixture.service[IDLE].sample.heap.processes = 0;
			break;
		case 6: /* nobody above it needs anything */
			web_mib = 40;
			bulk_mib = 60;
			break;
		case 7: /* the operator asks it */
			fixture.service[BULK].sample.manual = LEVEL_EAGER;
			break;
		}
		run_short(web_mib, bulk_mib);
		assert_int_equal(fixture_count(ACTION_FREEZE), 0);
	}
}

static void test_it_goes_on_when_there_is_room_and_rests(void **state)
{
	(void)state;
	begin();
	run_short(50, 50);
	use(60, 130, 50);
	fixture_step(1060);
	assert_int_equal(fixture_count(ACTION_FREEZE) + fixture_count(ACTION_THAW), 0);
	use(60, 60, 50);
	fixture_step(3000 - 1);
	assert_non_null(fixture_action(ACTION_THAW, BULK));
	begin();
	run_short(50, 50);
	use(60, 60, 50);
	fixture_step(1260);
	const struct action *action = fixture_action(ACTION_THAW, BULK);
	assert_non_null(action);
	assert_int_equal(action->reason.kind, REASON_RELAXED);
	/* Short again at once, and still when the rest is over. */
	use(70, 120, 52);
	fixture_step(1300);
	assert_int_equal(fixture_count(ACTION_FREEZE), 0);
	use(72, 120, 54);
	fixture_step(1260 + FREEZE_REST_MS - 1);
	assert_int_equal(fixture_count(ACTION_FREEZE), 0);
	fixture.service[IDLE].sample.heap.answered = false;
	use(74, 120, 56);
	fixture_step(1260 + FREEZE_REST_MS);
	assert_non_null(fixture_action(ACTION_FREEZE, BULK));
}

static void test_it_goes_on_at_the_deadline_or_when_it_is_to_end(void **state)
{
	(void)state;
	begin();
	run_short(50, 50);
	use(52, 138, 50);
	fixture_step(1010 + FREEZE_MS);
	const struct action *action = fixture_action(ACTION_THAW, BULK);
	assert_non_null(action);
	assert_int_equal(action->reason.kind, REASON_DEADLINE);
	assert_int_equal(action->reason.value, FREEZE_MS);
	begin();
	run_short(50, 50);
	fixture.service[BULK].freeze_ms = 0;
	fixture_step(1011);
	assert_non_null(fixture_action(ACTION_THAW, BULK));
	begin();
	run_short(50, 50);
	fixture.service[BULK].sample.running = false;
	fixture_step(1011);
	assert_non_null(fixture_action(ACTION_THAW, BULK));
}

static void test_what_stands_still_is_asked_by_hand_only_and_goes_on_for_that(void **state)
{
	(void)state;
	begin();
	run_short(50, 50);
	struct service_sample *bulk = &fixture.service[BULK].sample;
	bulk->heap.processes = 1;
	bulk->heap.idle_dirty_bytes = 30 * MIB;
	bulk->heap.answered = false;
	use(60, 130, 50);
	fixture_step(1300);
	assert_null(fixture_action(ACTION_RELEASE, BULK));
	assert_null(fixture_action(ACTION_THAW, BULK));
	bulk->manual = LEVEL_FULL;
	fixture_step(1310);
	assert_non_null(fixture_action(ACTION_RELEASE, BULK));
	assert_non_null(fixture_action(ACTION_THAW, BULK));
}

static void test_the_rest_is_as_long_as_it_stood_still_four_times(void **state)
{
	(void)state;
	struct freeze freeze = {.on = false};
	struct freeze_view view = {.possible = true, .wanted = true, .for_ms = 10000};
	assert_int_equal(freeze_step(&freeze, &view, 1000), FREEZE_ON);
	assert_int_equal(freeze_step(&freeze, &view, 10999), FREEZE_KEEP);
	assert_int_equal(freeze_step(&freeze, &view, 11000), FREEZE_OFF);
	assert_int_equal(freeze_step(&freeze, &view, 50999), FREEZE_KEEP);
	assert_int_equal(freeze_step(&freeze, &view, 51000), FREEZE_ON);
	view.over = true;
	assert_int_equal(freeze_step(&freeze, &view, 51001), FREEZE_OFF);
	view.over = false;
	assert_int_equal(freeze_step(&freeze, &view, 51001 + FREEZE_REST_MS - 1), FREEZE_KEEP);
	assert_int_equal(freeze_step(&freeze, &view, 51001 + FREEZE_REST_MS), FREEZE_ON);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_lower_one_that_grows_stands_still_while_another_gives_back),
		cmocka_unit_test(test_nobody_else_stands_still),
		cmocka_unit_test(test_it_goes_on_when_there_is_room_and_rests),
		cmocka_unit_test(test_it_goes_on_at_the_deadline_or_when_it_is_to_end),
		cmocka_unit_test(test_what_stands_still_is_asked_by_hand_only_and_goes_on_for_that),
		cmocka_unit_test(test_the_rest_is_as_long_as_it_stood_still_four_times),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
