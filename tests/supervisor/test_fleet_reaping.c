/* How much of what has died, and of signals, one turn of the loop takes.  Nothing runs. */

#include "supervisor/fleet/fleet_private.h"

#include <signal.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_fleet_setup, fake_fleet_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_many_that_died_are_taken_over_several_turns),
		TEST(test_many_signals_are_read_over_several_callbacks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
