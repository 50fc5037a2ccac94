/* OOM kills: counted and attributed to services, on fake cgroups. */

#include "supervisor/tick/tick.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_cgroup.h"
#include "tests/support/fake_children.h"
#include "tests/support/fake_machine.h"
#include "tests/support/said.h"

#define WEB "[service:web]\ncommand = x\n"
#define WEB_AND_DB WEB "[service:db]\ncommand = y\nmemory_max = 64M\nmemory_high = 25%\n"

static void test_an_oom_kill_is_counted_and_told_once(void **state)
{
	(void)state;
	fake_machine_start(WEB_AND_DB);
	fake_machine_turn(1000);
	fake_machine_events("box/db", 3, 1);
	fake_machine_turn(1000);
	fake_machine_turn(1000);
	assert_int_equal(said("db: the kernel OOM-killed 1 process: used "), 1);
	assert_int_equal(tick_service_ended(machine.tick, machine.service[0], true, 0), 0);
	assert_int_equal(tick_service_ended(machine.tick, machine.service[1], true, 0), 1);
	assert_int_equal(tick_service_ended(machine.tick, machine.service[1], true, 0), 0);
	tick_service_started(machine.service[1]);
	/* Two more, noticed by the death and not by a turn. */
	fake_machine_events("box/db", 3, 3);
	assert_int_equal(tick_service_ended(machine.tick, machine.service[1], true, 0), 2);
	assert_int_equal(said("db: the kernel OOM-killed 2 processes"), 1);
	/* A count that cannot be read, or falls, is no kill; nor is its return. */
	fake_cgroup_set("box/db", "memory.events", "");
	fake_machine_turn(1000);
	fake_machine_events("box/db", 0, 1);
	fake_machine_turn(1000);
	fake_machine_events("box/db", 3, 3);
	fake_machine_turn(1000);
	assert_int_equal(tick_service_ended(machine.tick, machine.service[1], true, 0), 0);
	assert_int_equal(fake_machine_counts(1).oom_kills, 3);
	assert_int_equal(fake_machine_counts(0).oom_kills, 0);
}

static void be_beside_strangers(void)
{
	fake_cgroup_put("box", fake_children_add(0)->pid);
}

static void test_without_leaves_each_who_was_killed_takes_one(void **state)
{
	(void)state;
	be_beside_strangers();
	fake_machine_start(WEB_AND_DB);
	assert_null(machine.service[0]->leaf);
	fake_machine_events("box", 0, 1);
	fake_machine_turn(1000);
	assert_int_equal(said("all services: the kernel OOM-killed 1 process in the cgroup they "
			      "share"),
		1);
	assert_int_equal(
		tick_service_ended(machine.tick, machine.service[1], true, machine.now_ms), 1);
	assert_int_equal(
		tick_service_ended(machine.tick, machine.service[0], true, machine.now_ms), 0);
	assert_int_equal(fake_machine_counts(1).oom_kills, 1);
	/* Two at once, while a third ends by itself. */
	fake_machine_events("box", 0, 3);
	assert_int_equal(
		tick_service_ended(machine.tick, machine.service[0], false, machine.now_ms), 0);
	assert_int_equal(
		tick_service_ended(machine.tick, machine.service[0], true, machine.now_ms), 1);
	assert_int_equal(
		tick_service_ended(machine.tick, machine.service[1], true, machine.now_ms), 1);
	assert_int_equal(
		tick_service_ended(machine.tick, machine.service[1], true, machine.now_ms), 0);
	assert_int_equal(fake_machine_counts(0).oom_kills, 1);
	assert_int_equal(fake_machine_counts(1).oom_kills, 2);
}

static void test_without_leaves_a_later_end_is_not_due_to_a_kill(void **state)
{
	(void)state;
	be_beside_strangers();
	fake_machine_start(WEB_AND_DB);
	/* The kernel killed a worker: no main process ends of it. */
	fake_machine_events("box", 0, 1);
	tick_service_ended(machine.tick, machine.service[0], false, 5000);
	assert_int_equal(
		tick_service_ended(machine.tick, machine.service[1], true, 5001 + TICK_OOM_END_MS),
		0);
	fake_machine_events("box", 0, 2);
	tick_service_ended(machine.tick, machine.service[0], false, 50000);
	assert_int_equal(
		tick_service_ended(machine.tick, machine.service[1], true, 50000 + TICK_OOM_END_MS),
		1);
}

static void test_kills_from_before_are_nobodys(void **state)
{
	(void)state;
	be_beside_strangers();
	fake_machine_events("box", 0, 7);
	fake_machine_start(WEB);
	fake_machine_turn(1000);
	assert_int_equal(tick_service_ended(machine.tick, machine.service[0], true, 0), 0);
	assert_int_equal(said("OOM-killed"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_machine_setup, fake_machine_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_an_oom_kill_is_counted_and_told_once),
		TEST(test_without_leaves_each_who_was_killed_takes_one),
		TEST(test_without_leaves_a_later_end_is_not_due_to_a_kill),
		TEST(test_kills_from_before_are_nobodys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
