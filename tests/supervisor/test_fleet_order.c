/* What starts and stops when, by what it needs.  Nothing runs. */

#include "supervisor/fleet/fleet_order.h"

#include <signal.h>
#include <string.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor/fleet/fleet_private.h"
#include "tests/support/fake_children.h"
#include "tests/support/fake_fleet.h"
#include "tests/support/fake_loop.h"
#include "tests/support/said.h"

#define SERVICE(name) "[service:" name "]\ncommand = " name "\nshim = off\n"
#define PROGRAM(name) \
	"[program:" name "]\ncommand = " name "\nshim = off\nstartsecs = 0\n" \
	"stdout_logfile = NONE\nstderr_logfile = NONE\n"
#define DB SERVICE("db")
#define API SERVICE("api") "requires = db\n"
#define WEB SERVICE("web") "requires = api\n"
#define ONCE "autorestart = false\n"
/* As many turns as the longest chain here takes. */
#define TURNS 6

static void settle(void)
{
	for (int i = 0; i < TURNS; i++)
		fake_fleet_pass(1);
}

static struct service *service(const char *name)
{
	return fleet_find(fake_fleet.fleet, name);
}

static bool runs(const char *name)
{
	return service(name)->lives;
}

static size_t told_to_stop(const char *name)
{
	return fake_children_signalled(fake_children_of(name)->pid, SIGTERM);
}

/* As over the control socket. */
static void by_hand_stop(const char *name)
{
	service(name)->held = true;
	fleet_order_stop(service(name));
	settle();
}

static void by_hand_start(const char *name)
{
	fleet_order_start(fake_fleet.fleet, service(name), fake_loop.now_ms);
	settle();
}

static void test_what_is_after_waits_until_that_is_up(void **state)
{
	(void)state;
	fake_fleet_start(DB "startsecs = 5\n" SERVICE("web") "after = db\n" SERVICE("log"));
	settle();
	assert_true(runs("db") && runs("log"));
	assert_int_equal(fake_children_spawned("web"), 0);
	assert_ptr_equal(fleet_order_awaited(fake_fleet.fleet, service("web")), service("db"));
	fake_fleet_pass(4990);
	assert_int_equal(fake_children_spawned("web"), 0);
	fake_fleet_pass(10);
	assert_true(runs("web"));
}

/* db in each of the ways in which it does not come up. */
static void test_what_is_after_starts_and_what_requires_does_not_without_it(void **state)
{
	static const struct {
		const char *keys;
		int failure;
		int status; /* of its exit; -1 = it runs */
		bool after_starts;
		bool requiring_starts;
	} rows[] = {
		{"", 0, -1, true, true},
		{ONCE, 0, 0, true, true},
		{ONCE, 0, 3, true, false},
		{"startsecs = 1\nstartretries = 0\n", 0, 3, true, false},
		{ONCE, -2, 127, true, false},
		{"startsecs = 1\nstartretries = 5\n", 0, 3, true, false},
		{"autostart = false\n", 0, -1, true, true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char text[512];
		snprintf(text, sizeof text,
			DB "%s" SERVICE("a") "after = db\n" SERVICE("r") "requires = db\n",
			rows[i].keys);
		fake_children.next_failure = rows[i].failure;
		fake_fleet_start(text);
		if (rows[i].status >= 0)
			fake_children_exit(fake_fleet_child("db"), rows[i].status);
		fake_fleet_reap();
		settle();
		assert_int_equal(fake_children_spawned("a"), rows[i].after_starts);
		assert_int_equal(fake_children_spawned("r"), rows[i].requiring_starts);
		fake_fleet_teardown(NULL);
		fake_fleet_setup(NULL);
	}
}

static void test_stopping_takes_as_long_as_the_longest_chain(void **state)
{
	(void)state;
	fake_fleet_start(DB SERVICE("web") "after = db\n" SERVICE("log") SERVICE("x") SERVICE("y"));
	settle();
	static const char *const names[] = {"web", "log", "x", "y", "db"};
	for (size_t i = 0; i < 5; i++)
		fake_fleet_child(names[i])->ignores = true;
	fake_fleet_signal(SIGTERM);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(told_to_stop(names[i]), 1);
	fake_fleet_pass(9999);
	assert_int_equal(told_to_stop("db"), 0);
	fake_fleet_pass(1);
	fake_fleet_pass(0);
	assert_int_equal(told_to_stop("db"), 1);
	fake_fleet_pass(10000);
	settle();
	assert_true(fake_loop.stopped);
}

/* A one-shot in the middle has ended long ago. */
static void test_a_chain_holds_through_what_is_down(void **state)
{
	(void)state;
	fake_fleet_start(
		DB SERVICE("migrate") "after = db\n" ONCE SERVICE("web") "after = migrate\n");
	settle();
	fake_children_exit(fake_fleet_child("migrate"), 0);
	fake_fleet_reap();
	settle();
	fake_fleet_child("web")->ignores = true;
	fake_fleet_signal(SIGTERM);
	fake_fleet_pass(9999);
	assert_int_equal(told_to_stop("db"), 0);
	fake_fleet_pass(1);
	fake_fleet_pass(0);
	assert_int_equal(told_to_stop("db"), 1);
}

static void test_priorities_stop_one_after_another_and_so_do_programs(void **state)
{
	static const char *const texts[] = {
		SERVICE("a") "priority = 1\n" SERVICE("b") "priority = 2\n",
		PROGRAM("a") PROGRAM("b"),
	};
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		fake_fleet_start(texts[i]);
		settle();
		fake_fleet_child("b")->ignores = true;
		fake_fleet_signal(SIGTERM);
		fake_fleet_pass(9999);
		assert_int_equal(told_to_stop("a"), 0);
		fake_fleet_pass(1);
		fake_fleet_pass(0);
		assert_int_equal(told_to_stop("a"), 1);
		fake_fleet_teardown(NULL);
		fake_fleet_setup(NULL);
	}
}

static void test_what_requires_goes_down_first_and_comes_back(void **state)
{
	(void)state;
	fake_fleet_start(DB API WEB SERVICE("log") "after = db\n");
	settle();
	assert_true(runs("web"));
	struct fake_child *web = fake_fleet_child("web");
	web->ignores = true;
	by_hand_stop("db");
	assert_int_equal(said("web: stops, as api, which it requires, stops"), 1);
	assert_int_equal(told_to_stop("api"), 0);
	fake_children_exit(web, 0);
	settle();
	settle();
	assert_true(!runs("web") && !runs("api") && !runs("db") && runs("log"));
	assert_true(service("web")->lacks && service("api")->lacks);
	assert_false(fake_loop.stopped);
	by_hand_start("db");
	settle();
	assert_true(runs("web") && runs("api") && runs("db"));
	assert_int_equal(fake_children_spawned("log"), 1);
}

static void test_a_start_by_hand_starts_what_it_requires(void **state)
{
	(void)state;
	fake_fleet_start(DB API WEB);
	settle();
	by_hand_stop("web");
	by_hand_stop("db");
	settle();
	assert_true(!runs("api") && !runs("db"));
	by_hand_start("web");
	assert_true(runs("web") && runs("api") && runs("db"));
}

static void test_a_restart_by_hand_takes_along_what_requires_it(void **state)
{
	(void)state;
	fake_fleet_start(DB API SERVICE("log") "after = db\n");
	settle();
	fleet_order_restart(fake_fleet.fleet, service("db"), fake_loop.now_ms);
	settle();
	settle();
	assert_true(runs("db") && runs("api"));
	assert_int_equal(fake_children_spawned("db"), 2);
	assert_int_equal(fake_children_spawned("api"), 2);
	assert_int_equal(fake_children_spawned("log"), 1);
}

static void test_a_crash_disturbs_nobody_and_an_end_for_good_does(void **state)
{
	(void)state;
	fake_fleet_start(DB "startretries = 0\nstartsecs = 1\n" API);
	fake_fleet_pass(1000);
	settle();
	assert_true(runs("api"));
	fake_children_exit(fake_fleet_child("db"), 1);
	fake_fleet_reap();
	settle();
	assert_true(runs("api"));
	fake_fleet_pass(100);
	assert_int_equal(fake_children_spawned("db"), 2);
	/* It does not come up again. */
	fake_children_exit(fake_fleet_child("db"), 1);
	fake_fleet_reap();
	settle();
	assert_false(runs("api"));
	assert_int_equal(said("api: stops, as db, which it requires, is down"), 1);
	/* Nobody is left to wait for. */
	assert_true(fake_loop.stopped);
}

static void test_what_waits_keeps_nobody_from_ending(void **state)
{
	(void)state;
	fake_fleet_start(DB ONCE API WEB);
	fake_children_exit(fake_fleet_child("db"), 3);
	fake_fleet_reap();
	settle();
	assert_int_equal(said("api: not started, as db, which it requires, is down"), 1);
	assert_int_equal(said("web: not started, as api, which it requires, is down"), 1);
	assert_int_equal(fake_children.count, 1);
	assert_true(fake_loop.stopped);
}

static void test_told_to_stop_what_waits_never_starts(void **state)
{
	(void)state;
	fake_fleet_start(DB "startsecs = 5\n" API WEB);
	settle();
	fake_fleet_signal(SIGTERM);
	settle();
	assert_true(fake_loop.stopped);
	assert_int_equal(fake_children.count, 1);
}

static void test_a_reload_stops_and_starts_along_needs(void **state)
{
	(void)state;
	fake_fleet_start(DB API SERVICE("log"));
	settle();
	fake_fleet_child("api")->ignores = true;
	fake_fleet_write(SERVICE("log") "after = db\n" DB "environment = A=1\n" API);
	fake_fleet_signal(SIGHUP);
	fake_fleet_pass(9999);
	assert_int_equal(told_to_stop("db"), 0);
	fake_fleet_pass(1);
	settle();
	settle();
	assert_true(runs("db") && runs("api"));
	assert_int_equal(fake_children_spawned("db"), 2);
	assert_int_equal(fake_children_spawned("api"), 2);
	assert_int_equal(fake_children_spawned("log"), 1);
	fake_fleet_signal(SIGTERM);
	assert_int_equal(told_to_stop("log"), 1);
	assert_int_equal(told_to_stop("db"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_fleet_setup, fake_fleet_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_what_is_after_waits_until_that_is_up),
		TEST(test_what_is_after_starts_and_what_requires_does_not_without_it),
		TEST(test_stopping_takes_as_long_as_the_longest_chain),
		TEST(test_a_chain_holds_through_what_is_down),
		TEST(test_priorities_stop_one_after_another_and_so_do_programs),
		TEST(test_what_requires_goes_down_first_and_comes_back),
		TEST(test_a_start_by_hand_starts_what_it_requires),
		TEST(test_a_restart_by_hand_takes_along_what_requires_it),
		TEST(test_a_crash_disturbs_nobody_and_an_end_for_good_does),
		TEST(test_what_waits_keeps_nobody_from_ending),
		TEST(test_told_to_stop_what_waits_never_starts),
		TEST(test_a_reload_stops_and_starts_along_needs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
