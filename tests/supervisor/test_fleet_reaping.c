/* How much of what has died, and of signals, one turn of the loop takes.  Nothing runs. */

#include "supervisor/fleet/fleet_private.h"

#include <errno.h>
#include <signal.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/fake_cgroup.h"
#include "tests/support/fake_children.h"
#include "tests/support/fake_fleet.h"
#include "tests/support/fake_loop.h"

#define SERVICE(name) "[service:" name "]\ncommand = " name "\nshim = off\n"

static size_t orphans_gone(const struct fake_child *service, size_t count)
{
	size_t gone = 0;
	for (size_t i = 0; i < count; i++)
		gone += service[1 + i].state == FAKE_CHILD_GONE ? 1 : 0;
	return gone;
}

/* Each of them has its own SIGCHLD here, as when they end while others are taken. */
static void test_many_that_died_are_taken_over_several_turns(void **state)
{
	(void)state;
	const size_t orphans = 3 * (size_t)FLEET_REAP_MOST;
	fake_fleet_start(SERVICE("db"));
	struct fake_child *db = fake_fleet_child("db");
	for (size_t i = 0; i < orphans; i++)
		fake_children_exit(fake_children_add(db->pid), 0);
	fake_fleet.event_read = 0;
	fake_fleet.event_count = sizeof fake_fleet.event / sizeof fake_fleet.event[0];
	for (size_t i = 0; i < fake_fleet.event_count; i++)
		fake_fleet.event[i] = (struct signals_event){.number = SIGCHLD};
	assert_true(fake_loop_fire(fake_fleet.signals.fd));
	assert_int_equal(orphans_gone(db, orphans), FLEET_REAP_MOST);
	/* No further signal comes for the rest. */
	assert_true(fake_loop_pass(0));
	assert_int_equal(orphans_gone(db, orphans), orphans);
	assert_int_equal(db->state, FAKE_CHILD_ALIVE);
	fake_fleet_signal(SIGTERM);
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
}

static void test_many_signals_are_read_over_several_callbacks(void **state)
{
	(void)state;
	fake_fleet_start(SERVICE("db"));
	fake_fleet.event_read = 0;
	fake_fleet.event_count = sizeof fake_fleet.event / sizeof fake_fleet.event[0];
	assert_true(fake_fleet.event_count > FLEET_SIGNALS_MOST);
	for (size_t i = 0; i < fake_fleet.event_count; i++)
		fake_fleet.event[i] = (struct signals_event){.number = SIGWINCH, .sender = 1};
	assert_true(fake_loop_fire(fake_fleet.signals.fd));
	assert_int_equal(fake_fleet.event_read, FLEET_SIGNALS_MOST);
}

/* Of each service something has left the group, and none has a leaf. */
static void start_three_without_leaves(void)
{
	fake_cgroup.refuse_mkdir_errno = EACCES;
	fake_fleet_start(SERVICE("db") SERVICE("web") SERVICE("log"));
	fake_fleet.fleet->host.has_only_mains = NULL;
	assert_null(fake_fleet.fleet->service[0]->memory.leaf);
	fake_children.has_strays = true;
}

static void test_one_reading_of_proc_is_for_all_services_of_a_turn(void **state)
{
	(void)state;
	start_three_without_leaves();
	for (size_t i = 0; i < fake_children.count; i++)
		fake_children.child[i].ignores = true;
	fake_fleet_signal(SIGTERM);
	assert_int_equal(fake_children.readings, 0);
	assert_true(fake_loop_pass(10000));
	assert_int_equal(fake_children.marks_signalled[SIGKILL], 3);
	assert_int_equal(fake_children.readings, 1);
	/* Each has died: is anybody left, and if so, SIGTERM. */
	fake_children.has_strays = true;
	fake_fleet_reap();
	assert_int_equal(fake_children.marks_signalled[0], 3);
	assert_int_equal(fake_children.marks_signalled[SIGTERM], 3);
	assert_int_equal(fake_children.readings, 3);
	assert_false(fake_loop.stopped);
	fake_children.has_strays = false;
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
	assert_int_equal(fake_children.readings, 4);
}

/* What starts next, post_stop or the service itself, bears the same mark. */
static void test_where_nobody_is_left_no_mark_is_signalled(void **state)
{
	(void)state;
	start_three_without_leaves();
	fake_children.has_strays = false;
	fake_fleet_signal(SIGTERM);
	fake_fleet_reap();
	assert_true(fake_loop.stopped);
	assert_int_equal(fake_children.marks_signalled[SIGTERM], 0);
	assert_int_equal(fake_children.marks_signalled[SIGKILL], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_fleet_setup, fake_fleet_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_many_that_died_are_taken_over_several_turns),
		TEST(test_many_signals_are_read_over_several_callbacks),
		TEST(test_one_reading_of_proc_is_for_all_services_of_a_turn),
		TEST(test_where_nobody_is_left_no_mark_is_signalled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
