/* All services together: the order of stopping, what signals mean, the end.  Nothing runs. */

#include "supervisor/fleet/fleet.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_cgroup.h"
#include "tests/support/fake_children.h"
#include "supervisor/fleet/fleet_private.h"
#include "tests/support/fake_fleet.h"
#include "tests/support/fake_loop.h"
#include "tests/support/fake_machine.h"
#include "tests/support/said.h"

#define SERVICE(name) "[service:" name "]\ncommand = " name "\nshim = off\n"
#define THREE SERVICE("db") SERVICE("web") SERVICE("log")
#define CHAIN SERVICE("db") SERVICE("web") "after = db\n" SERVICE("log") "after = web\n"
#define ONCE(name) SERVICE(name) "autorestart = false\n"

static void test_all_start_in_the_order_of_the_file(void **state)
{
	(void)state;
	fake_fleet_start(THREE);
	assert_true(fake_fleet_child("db")->pid < fake_fleet_child("web")->pid);
	assert_true(fake_fleet_child("web")->pid < fake_fleet_child("log")->pid);
	assert_true(fake_cgroup_has("box/web", fake_fleet_child("web")->pid));
	assert_false(fake_loop.stopped);
}

static void test_what_does_not_start_by_itself_waits_for_a_hand(void **state)
{
	(void)state;
	fake_fleet_start(SERVICE("db") SERVICE("web") "autostart = false\n");
	assert_int_equal(fake_children_spawned("db"), 1);
	assert_int_equal(fake_children_spawned("web"), 0);
	fake_children_exit(fake_fleet_child("db"), 0);
	fake_fleet_reap();
	assert_false(fake_loop.stopped);
	fake_fleet_signal(SIGTERM);
	assert_true(fake_loop.stopped);
}

static void essential_ends(void *context)
{
	pid_t db = fake_fleet_child("db")->pid;
	(void)context;
	fake_children_exit(fake_fleet_child("web"), 7);
	fake_fleet_reap();
	assert_int_equal(fake_children_signalled(db, SIGTERM), 1);
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
}

static void test_one_may_end_all_with_its_status(void **state)
{
	(void)state;
	assert_int_equal(fake_fleet_run(SERVICE("db") SERVICE("web") "autorestart = false\n"
								     "on_exit = shutdown\n",
				 false, essential_ends),
		7);
	assert_int_equal(said("web: it has ended with 7, and everything ends with it"), 1);
}

static void other_ends(void *context)
{
	(void)context;
	/* Its restart is due, so that is not its end. */
	fake_children_exit(fake_fleet_child("web"), 7);
	fake_fleet_reap();
	assert_false(fake_loop.stopped);
	assert_int_equal(fake_children_signalled(fake_fleet_child("db")->pid, SIGTERM), 0);
	fake_fleet_signal(SIGTERM);
	fake_fleet_reap();
	fake_fleet_reap();
}

static void test_one_that_is_started_again_ends_nobody(void **state)
{
	(void)state;
	assert_int_equal(fake_fleet_run(SERVICE("db") SERVICE("web") "on_exit = shutdown\n", false,
				 other_ends),
		0);
}

static void test_with_programs_of_supervisords_it_stays(void **state)
{
	(void)state;
	fake_fleet_start("[program:db]\ncommand=db\nshim=off\nstartsecs=0\nautorestart=false\n"
			 "stdout_logfile=NONE\nstderr_logfile=NONE\n");
	fake_children_exit(fake_fleet_child("db"), 0);
	fake_fleet_reap();
	assert_false(fake_loop.stopped);
	fake_fleet_signal(SIGTERM);
	assert_true(fake_loop.stopped);
}

static void test_a_chain_stops_one_after_another_from_the_last(void **state)
{
	(void)state;
	fake_fleet_start(CHAIN);
	fake_fleet_pass(1);
	fake_fleet_pass(1);
	struct fake_child *web = fake_fleet_child("web");
	struct fake_child *log = fake_fleet_child("log");
	struct fake_child *db = fake_fleet_child("db");
	web->ignores = true;
	fake_fleet_signal(SIGTERM);
	assert_int_equal(fake_children_signalled(log->pid, SIGTERM), 1);
	assert_int_equal(fake_children_signalled(web->pid, SIGTERM), 0);
	fake_fleet_reap();
	assert_int_equal(fake_children_signalled(web->pid, SIGTERM), 1);
	assert_int_equal(fake_children_signalled(db->pid, SIGTERM), 0);
	/* The one in the middle takes all its time, and the first is not touched until then. */
	fake_fleet_pass(9999);
	assert_int_equal(web->state, FAKE_CHILD_ALIVE);
	assert_int_equal(fake_children_signalled(db->pid, SIGTERM), 0);
	fake_fleet_pass(1);
	assert_int_equal(said("web: still there after 10000 ms, killed"), 1);
	fake_fleet_pass(0);
	assert_int_equal(fake_children_signalled(db->pid, SIGTERM), 1);
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
	assert_int_equal(fake_children.count, 3);
}

static void test_what_a_service_left_behind_is_waited_for_before_the_next(void **state)
{
	(void)state;
	fake_fleet_start(CHAIN);
	fake_fleet_pass(1);
	fake_fleet_pass(1);
	struct fake_child *left = fake_children_add(fake_fleet_child("log")->pid);
	left->ignores = true;
	fake_cgroup_put("box/log", left->pid);
	fake_fleet_signal(SIGTERM);
	fake_fleet_pass(9999);
	assert_int_equal(fake_children_signalled(fake_fleet_child("web")->pid, SIGTERM), 0);
	fake_fleet_pass(1);
	fake_fleet_pass(0);
	assert_int_equal(left->state, FAKE_CHILD_GONE);
	fake_fleet_pass(0);
	assert_true(fake_loop.stopped);
}

static void test_told_twice_everything_is_killed_at_once(void **state)
{
	(void)state;
	fake_fleet_start(THREE);
	for (size_t i = 0; i < fake_children.count; i++)
		fake_children.child[i].ignores = true;
	struct fake_child *orphan = fake_children_add(0);
	orphan->ignores = true;
	fake_fleet_signal(SIGINT);
	fake_fleet_pass(100);
	assert_int_equal(fake_children.child[0].state, FAKE_CHILD_ALIVE);
	fake_fleet_signal(SIGTERM);
	fake_fleet_reap();
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
	assert_int_equal(orphan->state, FAKE_CHILD_GONE);
	/* At the second signal no process gets a TERM first. */
	assert_int_equal(fake_children_signalled(0, SIGTERM), 0);
}

static void test_what_waits_for_its_restart_is_down_at_once(void **state)
{
	(void)state;
	fake_fleet_start(THREE);
	pid_t web = fake_fleet_child("web")->pid;
	fake_children_exit(fake_fleet_child("db"), 1);
	fake_children_exit(fake_fleet_child("log"), 1);
	fake_fleet_reap();
	fake_fleet_signal(SIGTERM);
	assert_int_equal(fake_children_signalled(web, SIGTERM), 1);
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
	assert_int_equal(fake_children.count, 3);
}

static void test_a_crash_is_repaired_by_the_loops_own_timer(void **state)
{
	(void)state;
	fake_fleet_start(THREE);
	fake_machine_events("box/web", 0, 1);
	fake_children_killed(fake_fleet_child("web"), SIGKILL);
	fake_fleet_reap();
	assert_int_equal(said("web: OOM-killed after 0.000 s (1 so far)"), 1);
	assert_int_equal(said("web: starts again in 100 ms"), 1);
	fake_fleet_pass(99);
	assert_int_equal(fake_children_spawned("web"), 1);
	fake_fleet_pass(1);
	assert_int_equal(fake_children_spawned("web"), 2);
	assert_true(fake_cgroup_has("box/web", fake_fleet_child("web")->pid));
	assert_int_equal(fake_children_spawned("db"), 1);
}

static void test_one_wake_reaps_all_and_strangers_too(void **state)
{
	(void)state;
	fake_fleet_start(THREE);
	for (int i = 0; i < 100; i++)
		fake_children_exit(fake_children_add(0), i % 3);
	fake_children_exit(fake_fleet_child("web"), 0);
	fake_fleet_reap();
	assert_true(fake_loop_pass(0));
	for (size_t i = 0; i < fake_children.count; i++)
		assert_int_not_equal(fake_children.child[i].state, FAKE_CHILD_ZOMBIE);
	assert_int_equal(said("web: exited with 0"), 1);
	assert_int_equal(fake_children_spawned("web"), 1);
	assert_false(fake_loop.stopped);
}

/* What each signal does, in run mode with one service. */
static void test_signals_in_run_mode(void **state)
{
	static const struct {
		int number;
		bool stops;
		const char *text;
	} rows[] = {
		{SIGTERM, true, "SIGTERM: stopping"},
		{SIGINT, true, "SIGINT: stopping"},
		{SIGQUIT, true, "SIGQUIT: stopping"},
		{SIGHUP, false, "reloaded, 1 service"},
		{SIGUSR1, false, NULL},
		{SIGUSR2, false, NULL},
		{SIGTTIN, false, NULL},
		{SIGTTOU, false, NULL},
		{SIGPIPE, false, NULL},
		{SIGWINCH, false, NULL},
		{SIGSEGV, false, NULL},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (int from_us = 0; from_us <= 1; from_us++) {
			fake_fleet_start(SERVICE("web"));
			pid_t web = fake_fleet_child("web")->pid;
			said_clear();
			if (from_us)
				fake_fleet_signal_from_us(rows[i].number);
			else
				fake_fleet_signal(rows[i].number);
			bool stops = rows[i].stops && !from_us;
			assert_int_equal(fake_children_signalled(web, SIGTERM), stops);
			assert_int_equal(fake_children_signalled(web, rows[i].number),
				stops && rows[i].number == SIGTERM);
			if (rows[i].text != NULL)
				assert_int_equal(said(rows[i].text), !from_us);
			fake_fleet_teardown(NULL);
			fake_fleet_setup(NULL);
		}
	}
}

static void wrap_signals(void *context)
{
	static const struct {
		int number;
		bool passed_on;
	} rows[] = {
		{SIGHUP, true},
		{SIGWINCH, true},
		{SIGTSTP, true},
		{SIGCONT, true},
		{SIGPIPE, true},
		{SIGTTIN, false},
		{SIGTTOU, false},
		/* They ask for a level. */
		{SIGUSR1, false},
		{SIGUSR2, false},
		{SIGQUIT, true},
		{SIGINT, true},
		{SIGTERM, true},
	};
	struct fake_child *web = fake_fleet_child("web");
	(void)context;
	web->ignores = true;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		fake_fleet_signal_from_us(rows[i].number);
		assert_int_equal(fake_children_signalled(web->pid, rows[i].number), 0);
		fake_fleet_signal(rows[i].number);
		assert_int_equal(
			fake_children_signalled(web->pid, rows[i].number), rows[i].passed_on);
	}
	/* It takes its time, and nobody kills it. */
	fake_fleet_pass(60000);
	fake_children_exit(web, 42);
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
}

static void test_a_wrapped_service_gets_its_signals(void **state)
{
	(void)state;
	assert_int_equal(fake_fleet_run(ONCE("web"), true, wrap_signals), 42);
}

static void end_as_a_wrapper(void *context)
{
	struct fake_child *web = fake_fleet_child("web");
	struct fake_child *orphan = fake_children_add(0);
	(void)context;
	orphan->ignores = true;
	fake_children_killed(web, SIGTERM);
	fake_fleet_reap();
	assert_int_equal(fake_children_signalled(0, SIGTERM), 1);
	fake_fleet_pass(1000);
	assert_int_equal(orphan->state, FAKE_CHILD_ALIVE);
	/* The service is gone, so the signal means the supervisor: kill what is left. */
	fake_fleet_signal(SIGINT);
	assert_int_equal(orphan->state, FAKE_CHILD_ZOMBIE);
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
}

static void test_a_wrapper_ends_as_its_service_did(void **state)
{
	(void)state;
	assert_int_equal(fake_fleet_run(ONCE("web"), true, end_as_a_wrapper), 128 + SIGTERM);
}

static struct wrap as;

static void stop_with_a_budget(void *context)
{
	struct fake_child *web = fake_fleet_child("web");
	struct fake_child *orphan = fake_children_add(0);
	(void)context;
	fake_fleet.fleet->as = as;
	web->ignores = true;
	orphan->ignores = true;
	fake_fleet_pass(60000);
	fake_fleet_signal(SIGTERM);
	fake_fleet_pass(2999);
	assert_int_equal(web->state, FAKE_CHILD_ALIVE);
	fake_fleet_pass(1);
	assert_int_equal(said("web: still there 3000 ms after it was told to stop, killed"), 1);
	/* Nothing is left of the budget for the orphan. */
	fake_fleet_reap();
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
	assert_int_equal(orphan->state, FAKE_CHILD_GONE);
}

static void test_a_stop_budget_that_is_set_is_for_all(void **state)
{
	(void)state;
	wrap_init(&as);
	as.has_stop_wait = true;
	as.stop_wait_ms = 3000;
	assert_int_equal(fake_fleet_run(ONCE("web"), true, stop_with_a_budget), 128 + SIGKILL);
}

static void rewrite_signals(void *context)
{
	struct fake_child *web = fake_fleet_child("web");
	(void)context;
	fake_fleet.fleet->as = as;
	web->ignores = true;
	fake_fleet_signal(SIGHUP);
	assert_int_equal(fake_children_signalled(-web->pid, SIGINT), 1);
	fake_fleet_signal(SIGWINCH);
	assert_int_equal(fake_children_signalled(-web->pid, SIGWINCH), 0);
	fake_fleet_signal(SIGTERM);
	assert_int_equal(fake_children_signalled(-web->pid, SIGTERM), 1);
	assert_int_equal(fake_children_signalled(web->pid, SIGTERM), 0);
	fake_fleet_signal(SIGTSTP);
	assert_int_equal(fake_children_signalled(-web->pid, SIGSTOP), 1);
	/* It stops along. */
	assert_int_equal(fake_children_signalled(getpid(), SIGSTOP), 1);
	fake_children_exit(web, 3);
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
}

static void test_signals_are_rewritten_and_go_to_the_group(void **state)
{
	(void)state;
	wrap_init(&as);
	as.sent[SIGHUP] = SIGINT;
	as.sent[SIGWINCH] = 0;
	as.stops_along = true;
	as.is_success[3] = true;
	wrap_set_session(&as);
	assert_int_equal(fake_fleet_run(ONCE("web"), true, rewrite_signals), 0);
}

static void leave_the_rest(void *context)
{
	struct fake_child *orphan = fake_children_add(0);
	(void)context;
	fake_fleet.fleet->as = as;
	fake_children_exit(fake_fleet_child("web"), 0);
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
	assert_int_equal(orphan->state, FAKE_CHILD_ALIVE);
}

static void test_a_single_child_is_all_there_is(void **state)
{
	(void)state;
	wrap_init(&as);
	as.leaves_rest = true;
	assert_int_equal(fake_fleet_run(ONCE("web"), true, leave_the_rest), 0);
}

static void refuse_to_start(void *context)
{
	(void)context;
	assert_true(fake_loop.stopped);
}

static void test_a_wrapper_that_cannot_start_ends(void **state)
{
	(void)state;
	fake_children.refuse_spawns = 1;
	fake_children.refuse_error = -EAGAIN;
	assert_int_equal(fake_fleet_run(ONCE("web"), true, refuse_to_start), 126);
}

static int exits[2];
static int stop_by;

static void exit_both(void *context)
{
	(void)context;
	fake_children_exit(fake_fleet_child("db"), exits[0]);
	if (stop_by != 0)
		fake_fleet_signal(stop_by);
	else
		fake_children_exit(fake_fleet_child("web"), exits[1]);
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
}

static void test_the_exit_status_tells_whether_all_ended_well(void **state)
{
	static const struct {
		int exits[2];
		int stop_by;
		int status;
	} rows[] = {
		{{0, 0}, 0, 0},
		{{0, 3}, 0, 1},
		{{5, 0}, 0, 1},
		/* A fleet that was told to stop and did has succeeded, whatever its services say.
		 */
		{{5, 0}, SIGTERM, 0},
	};
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		memcpy(exits, rows[i].exits, sizeof exits);
		stop_by = rows[i].stop_by;
		assert_int_equal(
			fake_fleet_run(ONCE("db") ONCE("web"), false, exit_both), rows[i].status);
		fake_fleet_teardown(NULL);
		fake_fleet_setup(NULL);
	}
}

static void test_the_last_sweep_tells_then_kills_then_leaves(void **state)
{
	(void)state;
	fake_fleet_start(ONCE("web"));
	struct fake_child *polite = fake_children_add(0);
	struct fake_child *stubborn = fake_children_add(0);
	struct fake_child *stuck = fake_children_add(0);
	stubborn->ignores = true;
	stuck->unkillable = true;
	fake_children_exit(fake_fleet_child("web"), 0);
	fake_fleet_reap();
	assert_int_equal(fake_children_signalled(0, SIGTERM), 1);
	assert_int_equal(polite->state, FAKE_CHILD_ZOMBIE);
	fake_fleet_pass(1999);
	assert_int_equal(stubborn->state, FAKE_CHILD_ALIVE);
	fake_fleet_pass(1);
	assert_int_equal(stubborn->state, FAKE_CHILD_GONE);
	/* Again and again: the list that it goes by is old when it is used. */
	fake_fleet_pass(900);
	assert_true(fake_children_signalled(0, SIGKILL) >= 18);
	assert_false(fake_loop.stopped);
	fake_fleet_pass(100);
	assert_true(fake_loop.stopped);
	assert_int_equal(said("leaving processes behind that cannot be killed"), 1);
	assert_int_equal(fake_children_signalled(0, SIGTERM), 1);
}

/* All services have ended, what they left has not; the new file has a service again. */
static void test_a_reload_during_the_last_sweep_brings_it_back(void **state)
{
	(void)state;
	fake_fleet_start(ONCE("web"));
	struct fake_child *orphan = fake_children_add(0);
	orphan->ignores = true;
	fake_children_exit(fake_fleet_child("web"), 0);
	fake_fleet_reap();
	fake_fleet_write(ONCE("web") SERVICE("db"));
	fake_fleet_signal(SIGHUP);
	struct fake_child *db = fake_fleet_child("db");
	/* Past every deadline of the sweep: no loop that spins, nobody killed. */
	fake_fleet_pass(60000);
	assert_false(fake_loop.stopped);
	assert_int_equal(db->state, FAKE_CHILD_ALIVE);
	assert_int_equal(orphan->state, FAKE_CHILD_ALIVE);
	/* The end comes later, and from its beginning; who was told to end is not told again. */
	fake_children_exit(db, 0);
	fake_fleet_reap();
	assert_int_equal(fake_children_signalled(0, SIGTERM), 1);
	fake_fleet_pass(1999);
	assert_int_equal(orphan->state, FAKE_CHILD_ALIVE);
	fake_fleet_pass(1);
	fake_fleet_pass(0);
	assert_true(fake_loop.stopped);
}

/* A process can connect to the listener in a loop. */
static void test_a_visitor_makes_no_turn_and_a_ring_does(void **state)
{
	(void)state;
	fake_fleet_start(SERVICE("db"));
	fake_fleet_pass(60000);
	uint64_t tick_ms = fake_fleet.fleet->tick_ms;
	fake_loop.now_ms++;
	const struct tick *tick = fake_fleet.fleet->host.tick;
	assert_true(fake_loop_fire(tick_watch_fd(tick, NULL, TICK_WATCH_LISTENER)));
	assert_int_equal(fake_fleet.fleet->tick_ms, tick_ms);
	assert_true(fake_loop_fire(
		tick_watch_fd(tick, &fake_fleet.fleet->service[0]->memory, TICK_WATCH_NOTIFIER)));
	assert_int_not_equal(fake_fleet.fleet->tick_ms, tick_ms);
}

/* Without its watch a service's calls at the gate would wait for the next turn, for good. */
static void test_a_descriptor_that_could_not_be_watched_is_tried_again(void **state)
{
	(void)state;
	fake_fleet_start(SERVICE("db") SERVICE("web"));
	fake_fleet_pass(UINT64_C(2) * LIMIT_WATCH_AFTER_MS);
	size_t watches = fake_loop_watches();
	fake_fleet_write(THREE);
	fake_loop.refuse_watches = 2;
	fake_fleet_signal(SIGHUP);
	assert_int_equal(fake_loop_watches(), watches + 1);
	assert_int_equal(said("cannot wait for descriptor"), 2);
	fake_fleet_pass(2000);
	assert_int_equal(fake_loop_watches(), watches + 3);
	said_clear();
	fake_fleet_pass(10000);
	assert_int_equal(said("cannot wait for descriptor"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_fleet_setup, fake_fleet_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_start_in_the_order_of_the_file),
		TEST(test_what_does_not_start_by_itself_waits_for_a_hand),
		TEST(test_with_programs_of_supervisords_it_stays),
		TEST(test_one_may_end_all_with_its_status),
		TEST(test_one_that_is_started_again_ends_nobody),
		TEST(test_a_chain_stops_one_after_another_from_the_last),
		TEST(test_what_a_service_left_behind_is_waited_for_before_the_next),
		TEST(test_told_twice_everything_is_killed_at_once),
		TEST(test_what_waits_for_its_restart_is_down_at_once),
		TEST(test_a_crash_is_repaired_by_the_loops_own_timer),
		TEST(test_one_wake_reaps_all_and_strangers_too),
		TEST(test_signals_in_run_mode),
		TEST(test_a_wrapped_service_gets_its_signals),
		TEST(test_a_wrapper_ends_as_its_service_did),
		TEST(test_a_stop_budget_that_is_set_is_for_all),
		TEST(test_signals_are_rewritten_and_go_to_the_group),
		TEST(test_a_single_child_is_all_there_is),
		TEST(test_a_wrapper_that_cannot_start_ends),
		TEST(test_the_exit_status_tells_whether_all_ended_well),
		TEST(test_the_last_sweep_tells_then_kills_then_leaves),
		TEST(test_a_reload_during_the_last_sweep_brings_it_back),
		TEST(test_a_visitor_makes_no_turn_and_a_ring_does),
		TEST(test_a_descriptor_that_could_not_be_watched_is_tried_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
