#ifndef SUPERVISOR_FLEET_FLEET_H
#define SUPERVISOR_FLEET_FLEET_H

#include <stdbool.h>

#include "config/config.h"
#include "supervisor/fleet/wrap.h"
#include "supervisor/process/descriptors.h"
#include "supervisor/process/signals.h"

/*
 * All services together: started and stopped along what they need (fleet_order.h), reaped,
 * reloaded; and what the signals mean.
 *
 *                    wrap                            run
 *   CHLD             reap                            reap
 *   pressure_signals ask for that level              ask for that level
 *   TERM INT QUIT    passed on; the end: kill        stop; again: kill
 *   HUP              passed on                       reload the file
 *   USR2             passed on                       open log files anew
 *   TTIN TTOU        ours, about our own writing     nothing
 *   others           passed on                       nothing
 *
 * wrap.h says what else may become of those that are passed on.
 *
 * The end comes when every service is down and stays so.  What is still below us then,
 * wherever it has gone, gets TERM, then KILL, and is reaped.  In wrap mode that begins with the end
 * of the command.
 */

struct fleet;

struct fleet_start {
	struct config *config; /* taken over: from malloc, with what it owns */
	const char *file;      /* run mode's, for reload; NULL = wrap mode */
	const struct signals *signals;
	const struct wrap *wrap;       /* wrap mode's; NULL = the defaults */
	struct descriptors *inherited; /* wrap mode closes them once the service runs */
	bool control;                  /* run mode: a control socket, as the config has it */
};

/* 0 or -errno; the config is taken in both cases. */
int fleet_new(const struct fleet_start *start, struct fleet **fleet);
void fleet_free(struct fleet *fleet);

/* Starts everything and returns when all has ended: our exit status. */
int fleet_run(struct fleet *fleet);

#endif
