#ifndef TESTS_SUPPORT_FAKE_FLEET_H
#define TESTS_SUPPORT_FAKE_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/fleet/fleet.h"
#include "supervisor/fleet/fleet_private.h"

/*
 * A whole fleet on fakes (WRAP_fleet in the Makefile): cgroups of files, children
 * of a table, a loop that is turned by hand, and signals that a test sends.
 *
 * A test starts one, then sends signals, ends children and passes time.
 * fleet_run() has returned by then, as the fake loop does; fake_fleet_run()
 * is for tests of what it returns.
 */

struct fake_fleet {
	struct fleet *fleet;
	struct signals signals;
	/* The file of run mode, absolute. */
	char file[128];
	/* The next events of signals_read. */
	struct signals_event event[100];
	size_t event_count;
	size_t event_read;
};

extern struct fake_fleet fake_fleet;

int fake_fleet_setup(void **state);
int fake_fleet_teardown(void **state);

/* Run mode with that file; everything has started. */
void fake_fleet_start(const char *config_text);

/* The same with script() in place of the loop; fleet_run's result.  NULL file: wrap mode. */
int fake_fleet_run(const char *config_text, bool wrap, void (*script)(void *context));

/* Replaces the file. */
void fake_fleet_write(const char *config_text);

/* Frees the fleet now, not in teardown. */
void fake_fleet_free(void);

/* The signal comes from outside, or from ourselves. */
void fake_fleet_signal(int number);
void fake_fleet_signal_from_us(int number);

/* SIGCHLD: all that have ended are reaped. */
void fake_fleet_reap(void);

/* Passes so much time, reaping at the end.  Fails the test where the loop spins. */
void fake_fleet_pass(uint64_t ms);

/* The main process of a service, by its program; it must run. */
struct fake_child *fake_fleet_child(const char *program);

#endif
