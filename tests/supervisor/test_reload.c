/* A reload touches what has changed, and nothing where it fails.  Nothing runs. */

#include "supervisor/fleet/fleet_private.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_cgroup.h"
#include "tests/support/fake_children.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_fleet.h"
#include "tests/support/fake_loop.h"
#include "tests/support/fake_machine.h"
#include "tests/support/patience.h"
#include "tests/support/said.h"

#define SERVICE(name) "[service:" name "]\nshim = off\ncommand = " name
#define DB SERVICE("db") "\n"
#define WEB SERVICE("web") "\n"
#define LOG SERVICE("log") "\n"

static void reload(const char *text)
{
	fake_fleet_write(text);
	fake_fleet_signal(SIGHUP);
}

/* What has ended is reaped until nothing more happens. */
static void settle(void)
{
	for (int i = 0; i < 4; i++)
		fake_fleet_pass(0);
}

static void test_only_another_process_starts_again(void **state)
{
	static const struct {
		const char *text;
		bool again;
	} rows[] = {
		{SERVICE("web") "\n", false},
		{"# a comment\n" SERVICE("web") "\n\n", false},
		{SERVICE("web") "\nautorestart = true\n", false},
		{SERVICE("web") "\nstopsignal = INT\nstopwaitsecs = 3\n", false},
		{SERVICE("web") "\nmemory_max = 64M\n", false},
		{SERVICE("web") "\nmemory_high = 10%\n", false},
		{"[policy:p]\nlazy_headroom = 30%\n" SERVICE("web") "\npolicy = p\n", false},
		{"[supervisor]\npressure_signals = off\n" SERVICE("web") "\n", false},
		{SERVICE("web") " -v\n", true},
		{SERVICE("web") "\ndirectory = /\n", true},
		{SERVICE("web") "\nuser = 0\n", true},
		{SERVICE("web") "\nenvironment = A=1\n", true},
		{"[service:web]\ncommand = web\n", true},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		fake_fleet_start(DB WEB);
		pid_t db = fake_fleet_child("db")->pid;
		struct fake_child *web = fake_fleet_child("web");
		char text[512];
		snprintf(text, sizeof text, "%s" DB, rows[i].text);
		reload(text);
		settle();
		assert_int_equal(said("reloaded, 2 services"), 1);
		assert_int_equal(fake_fleet_child("web") != web, rows[i].again);
		assert_int_equal(web->state == FAKE_CHILD_GONE, rows[i].again);
		assert_int_equal(fake_fleet_child("db")->pid, db);
		assert_int_equal(fake_children_signalled(db, SIGTERM), 0);
		assert_true(fake_cgroup_has("box/web", fake_fleet_child("web")->pid));
		fake_fleet_teardown(NULL);
		fake_fleet_setup(NULL);
	}
}

static void test_a_file_with_an_error_changes_nothing(void **state)
{
	static const struct {
		const char *text; /* NULL = the file is gone */
		const char *said;
	} rows[] = {
		{"", "not reloaded, it has no service any more"},
		{"[supervisor]\n", "not reloaded, it has no service any more"},
		{"[service:web]\n", "not reloaded, 1 error"},
		{WEB WEB, "not reloaded, 1 error"},
		{SERVICE("new") "\nmemory_max = 0\n" DB, "not reloaded, 1 error"},
		{WEB "policy = nobody\nuser =\nstopwaitsecs = -1\n", "not reloaded, 3 errors"},
		{"garbage", "not reloaded, 1 error"},
		{"[service:web\ncommand = x\n", "not reloaded"},
		{"\x7f"
		 "ELF\x01\xff\xfe",
			"not reloaded"},
		{NULL, "not reloaded, 1 error"},
	};
	(void)state;
	fake_fleet_start(DB WEB);
	struct service **services = fake_fleet.fleet->service;
	pid_t db = fake_fleet_child("db")->pid;
	pid_t web = fake_fleet_child("web")->pid;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		said_clear();
		if (rows[i].text == NULL) {
			assert_int_equal(unlink(fake_fleet.file), 0);
			fake_fleet_signal(SIGHUP);
		} else {
			reload(rows[i].text);
		}
		settle();
		assert_int_equal(said(rows[i].said), 1);
		assert_int_equal(said("everything stays as it was"), 1);
		assert_ptr_equal(fake_fleet.fleet->service, services);
		assert_null(fake_fleet.fleet->reload);
		assert_int_equal(fake_fleet_child("db")->pid, db);
		assert_int_equal(fake_fleet_child("web")->pid, web);
		assert_int_equal(fake_children.signal_count, 0);
		assert_int_equal(fake_children.count, 2);
	}
	/* And the next one that is right comes into force. */
	reload(WEB DB LOG);
	settle();
	assert_int_equal(fake_children.count, 3);
}

static void test_the_new_wait_until_the_old_are_down(void **state)
{
	(void)state;
	fake_fleet_start(DB WEB);
	struct fake_child *web = fake_fleet_child("web");
	struct fake_child *left = fake_children_add(web->pid);
	struct service **services = fake_fleet.fleet->service;
	web->ignores = true;
	left->ignores = true;
	fake_cgroup_put("box/web", left->pid);
	reload(DB LOG);
	assert_int_equal(said("web: stopping, it was removed"), 1);
	fake_fleet_pass(9999);
	/* Until then the old config is in force, and its services live by it. */
	assert_ptr_equal(fake_fleet.fleet->service, services);
	assert_null(fake_children_of("log"));
	fake_children_exit(fake_fleet_child("db"), 1);
	fake_fleet_reap();
	fake_fleet_pass(1);
	settle();
	assert_int_equal(web->state, FAKE_CHILD_GONE);
	assert_int_equal(left->state, FAKE_CHILD_GONE);
	assert_true(fake_cgroup_has("box/log", fake_fleet_child("log")->pid));
	assert_false(fake_cgroup_exists("box/web"));
	fake_fleet_pass(100);
	assert_int_equal(fake_children_spawned("db"), 2);
}

static void test_a_renamed_service_is_the_old_one_gone_and_a_new_one(void **state)
{
	(void)state;
	fake_fleet_start(DB WEB);
	struct fake_child *old = fake_fleet_child("web");
	reload(DB "[service:www]\nshim = off\ncommand = web\n");
	settle();
	assert_int_equal(old->state, FAKE_CHILD_GONE);
	assert_true(fake_fleet_child("web") != old);
	assert_true(fake_cgroup_has("box/www", fake_fleet_child("web")->pid));
	assert_false(fake_cgroup_exists("box/web"));
	assert_int_equal(fake_children_spawned("db"), 1);
}

static void test_a_new_order_is_the_order_of_stopping(void **state)
{
	(void)state;
	fake_fleet_start(DB WEB LOG);
	pid_t log = fake_fleet_child("log")->pid;
	pid_t db = fake_fleet_child("db")->pid;
	fake_fleet_child("db")->ignores = true;
	reload(LOG WEB DB "priority = 1000\n");
	settle();
	assert_int_equal(fake_children.signal_count, 0);
	/* A death is that of the service at its new index. */
	fake_machine_events("box/web", 0, 1);
	fake_children_killed(fake_fleet_child("web"), SIGKILL);
	fake_fleet_reap();
	assert_int_equal(said("web: OOM-killed"), 1);
	fake_fleet_pass(100);
	fake_fleet_signal(SIGTERM);
	assert_int_equal(fake_children_signalled(db, SIGTERM), 1);
	assert_int_equal(fake_children_signalled(log, SIGTERM), 0);
}

static void test_new_ways_to_stop_hold_for_who_runs_already(void **state)
{
	(void)state;
	fake_fleet_start(WEB);
	struct fake_child *web = fake_fleet_child("web");
	web->ignores = true;
	reload(SERVICE("web") "\nstopsignal = INT\nstopwaitsecs = 1\n");
	settle();
	fake_fleet_signal(SIGTERM);
	assert_int_equal(fake_children_signalled(web->pid, SIGINT), 1);
	assert_int_equal(fake_children_signalled(web->pid, SIGTERM), 0);
	fake_fleet_pass(999);
	assert_int_equal(web->state, FAKE_CHILD_ALIVE);
	fake_fleet_pass(1);
	settle();
	assert_true(fake_loop.stopped);
}

static void test_new_limits_hold_for_who_runs_already(void **state)
{
	(void)state;
	fake_fleet_start(DB WEB);
	reload(SERVICE("web") "\nmemory_max = 50%\nmemory_high = 100M\n" DB);
	settle();
	assert_true(WAIT_UNTIL(10, fake_cgroup_reads("box/web", "memory.max", "134217728")));
	assert_true(WAIT_UNTIL(10, fake_cgroup_reads("box/web", "memory.high", "104857600")));
	assert_true(WAIT_UNTIL(10, fake_cgroup_reads("box/db", "memory.max", "max")));
	reload(WEB DB);
	assert_true(WAIT_UNTIL(10, fake_cgroup_reads("box/web", "memory.max", "max")));
	assert_int_equal(fake_children.count, 2);
}

static void test_a_second_reload_takes_the_place_of_the_first(void **state)
{
	static const struct {
		const char *second;
		bool web_again;
		bool log;
		const char *said;
	} rows[] = {
		/* Back to what it was: it has been told to stop, so it starts again. */
		{.second = DB WEB, .web_again = true, .said = "reloaded, 2 services"},
		{.second = DB, .said = "reloaded, 1 service"},
		{.second = DB WEB LOG,
			.web_again = true,
			.log = true,
			.said = "reloaded, 3 services"},
		/* An error is no reload: the first goes on. */
		{.second = "garbage\n", .log = true, .said = "reloaded, 2 services"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		fake_fleet_start(DB WEB);
		pid_t db = fake_fleet_child("db")->pid;
		struct fake_child *web = fake_fleet_child("web");
		web->ignores = true;
		reload(DB LOG);
		fake_fleet_pass(5000);
		reload(rows[i].second);
		fake_fleet_pass(4999);
		assert_int_equal(fake_children.count, 2);
		fake_fleet_pass(1);
		settle();
		assert_int_equal(web->state, FAKE_CHILD_GONE);
		assert_int_equal(fake_children_spawned("web"), 1 + rows[i].web_again);
		assert_int_equal(fake_children_spawned("log"), rows[i].log);
		assert_int_equal(fake_fleet_child("db")->pid, db);
		assert_int_equal(said(rows[i].said), 1);
		assert_int_equal(said(": reloaded, "), 1);
		fake_fleet_teardown(NULL);
		fake_fleet_setup(NULL);
	}
}

static void test_a_stop_drops_a_reload_that_waits(void **state)
{
	(void)state;
	fake_fleet_start(DB WEB);
	fake_fleet_child("web")->ignores = true;
	reload(DB LOG);
	fake_fleet_signal(SIGTERM);
	fake_fleet_signal(SIGHUP);
	assert_int_equal(said("stopping: nothing is reloaded"), 1);
	fake_fleet_pass(10000);
	settle();
	assert_true(fake_loop.stopped);
	assert_null(fake_children_of("log"));
	assert_int_equal(fake_children.count, 2);
}

static void test_what_is_down_stays_down_unless_it_is_another(void **state)
{
	static const struct {
		const char *text;
		size_t starts;
	} rows[] = {
		{DB WEB "autorestart = false\n", 1},
		{DB WEB "autorestart = true\n", 1},
		{DB SERVICE("web") " -v\n", 2},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		fake_fleet_start(DB WEB "autorestart = false\n");
		fake_children_exit(fake_fleet_child("web"), 3);
		fake_fleet_reap();
		reload(rows[i].text);
		fake_fleet_pass(60000);
		assert_int_equal(fake_children_spawned("web"), rows[i].starts);
		fake_fleet_teardown(NULL);
		fake_fleet_setup(NULL);
	}
}

static void test_a_restart_that_waits_is_kept_or_overtaken(void **state)
{
	(void)state;
	fake_fleet_start(DB WEB);
	fake_children_exit(fake_fleet_child("web"), 3);
	fake_fleet_reap();
	fake_fleet_pass(60);
	reload(WEB DB);
	fake_fleet_pass(39);
	assert_int_equal(fake_children_spawned("web"), 1);
	fake_fleet_pass(1);
	assert_int_equal(fake_children_spawned("web"), 2);
	fake_children_exit(fake_fleet_child("web"), 3);
	fake_fleet_reap();
	/* It is another process, so the delay of the old one does not apply. */
	reload(SERVICE("web") " -v\n" DB);
	assert_int_equal(fake_children_spawned("web"), 3);
}

static void test_a_removed_service_that_cannot_be_killed_holds_nobody_up_for_ever(void **state)
{
	(void)state;
	fake_fleet_start(DB WEB);
	struct fake_child *left = fake_children_add(fake_fleet_child("web")->pid);
	left->unkillable = true;
	fake_cgroup_put("box/web", left->pid);
	reload(DB LOG);
	fake_fleet_reap();
	fake_fleet_pass(10000);
	assert_null(fake_children_of("log"));
	uint64_t slept_ms = fake_clock_slept_ms();
	fake_fleet_pass(2000);
	/* The loop did not sleep meanwhile. */
	assert_int_equal(fake_clock_slept_ms(), slept_ms);
	assert_int_equal(said("web: a process of it cannot be killed"), 1);
	assert_int_equal(said("web: its cgroup is still busy, left for later"), 1);
	assert_int_equal(fake_children_spawned("log"), 1);
	/* It comes back, beside the busy one. */
	reload(DB LOG WEB);
	settle();
	assert_true(fake_cgroup_has("box/web-2", fake_fleet_child("web")->pid));
	left->unkillable = false;
}

static void test_a_new_service_that_cannot_start_is_tried_again(void **state)
{
	(void)state;
	fake_fleet_start(DB);
	fake_children.refuse_spawns = 2;
	fake_children.refuse_error = -EAGAIN;
	reload(DB WEB);
	assert_int_equal(said("reloaded, 2 services"), 1);
	assert_null(fake_children_of("web"));
	fake_fleet_pass(100 + 200);
	assert_int_equal(fake_children_spawned("web"), 1);
	assert_int_equal(fake_children_spawned("db"), 1);
}

static void test_all_services_are_exchanged_at_once(void **state)
{
	enum { SERVICES = 300 };
	static char text[2][SERVICES * 64];
	struct descriptors descriptors = {0};
	(void)state;
	descriptors_raise(&descriptors);
	for (size_t i = 0; i < SERVICES; i++)
		for (size_t t = 0; t < 2; t++)
			snprintf(text[t] + strlen(text[t]), 64,
				"[service:%c%zu]\ncommand = %c\nshim = off\n", "ab"[t], i, "ab"[t]);
	fake_fleet_start(text[0]);
	reload(text[1]);
	settle();
	fake_fleet_pass(UINT64_C(2) * LIMIT_WATCH_AFTER_MS);
	assert_int_equal(fake_children_spawned("a"), SERVICES);
	assert_int_equal(fake_children_spawned("b"), SERVICES);
	assert_int_equal(said("runs without limits of its own"), 0);
	assert_true(fake_cgroup_exists("box/b63"));
	assert_false(fake_cgroup_exists("box/a63"));
	/* Trigger, events and notifier of each; these two of all, listener, limits and signals. */
	assert_int_equal(fake_loop_watches(), 3 * SERVICES + 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_fleet_setup, fake_fleet_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_only_another_process_starts_again),
		TEST(test_a_file_with_an_error_changes_nothing),
		TEST(test_the_new_wait_until_the_old_are_down),
		TEST(test_a_renamed_service_is_the_old_one_gone_and_a_new_one),
		TEST(test_a_new_order_is_the_order_of_stopping),
		TEST(test_new_ways_to_stop_hold_for_who_runs_already),
		TEST(test_new_limits_hold_for_who_runs_already),
		TEST(test_a_second_reload_takes_the_place_of_the_first),
		TEST(test_a_stop_drops_a_reload_that_waits),
		TEST(test_what_is_down_stays_down_unless_it_is_another),
		TEST(test_a_restart_that_waits_is_kept_or_overtaken),
		TEST(test_a_removed_service_that_cannot_be_killed_holds_nobody_up_for_ever),
		TEST(test_a_new_service_that_cannot_start_is_tried_again),
		TEST(test_all_services_are_exchanged_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
