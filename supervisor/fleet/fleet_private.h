#ifndef SUPERVISOR_FLEET_FLEET_PRIVATE_H
#define SUPERVISOR_FLEET_FLEET_PRIVATE_H

#include <limits.h>

#include "supervisor/fleet/fleet.h"
#include "supervisor/base/loop.h"
#include "supervisor/base/manager.h"
#include "supervisor/fleet/fleet_control.h"
#include "supervisor/fleet/left_state.h"
#include "supervisor/fleet/wrap.h"
#include "supervisor/process/descendants.h"
#include "supervisor/fleet/service.h"
#include "supervisor/tick/tick.h"

/* What the files of the fleet share.  For nobody else. */

enum fleet_ending {
	FLEET_SERVES,
	FLEET_SWEEPS, /* all below us was told to end; SIGKILL at ending_ms */
	FLEET_KILLS   /* that is sent; we leave at ending_ms, whoever is left */
};

/* A new config, read and accepted, that waits until what it removes or changes is down. */
struct fleet_reload {
	struct config *config;    /* owned */
	struct service **service; /* in its order: those in force that it keeps, and new ones, which
				     are the reload's own */
	size_t count;
};

struct left_file;

struct fleet {
	bool wrap;
	struct wrap as; /* how the wrapped command is treated */
	const char *file;
	char *file_path;  /* absolute; NULL where a command is wrapped */
	char *start_path; /* NULL = we stay where we are, or nobody knows where that is */
	char *agent_path; /* NULL = there is none */
	char *shim_path;  /* likewise */
	struct descriptors *inherited;
	struct config_supervisor config;
	struct service_host host;
	struct service **service; /* in the order of the configuration */
	size_t count;

	struct loop *loop;
	struct loop_watch *signal_watch;
	struct loop_timer *timer;
	uint64_t tick_ms;   /* when the next turn of tick is due */
	uint64_t next_ms;   /* when anything is, as the last turn had it */
	uint64_t rest_ms;   /* when what starts have needed is given back */
	uint64_t rested_ms; /* when that was done last */
	struct service_watch watch[TICK_WATCH_KINDS]; /* common to all */
	uint64_t watches_generation;
	bool watches_known;
	bool watches_missing; /* some of that generation could not be made */

	bool childless; /* as of the last reaping */
	bool unreaped;  /* more may have died than that reaping took */
	bool stopping;
	bool killing;          /* told more than once: no more grace */
	bool ended_by_service; /* on_exit = shutdown: its status is ours */
	int ended_status;
	enum fleet_ending ending;
	uint64_t ending_ms;
	uint64_t looked_ms; /* when the last such look was */
	uint64_t look_ms;   /* when those that were not told to end are looked for again */
	struct descendants_told told; /* those that were */
	uint64_t stop_told_ms;        /* when the wrapped command was told to end; 0 = it was not */
	struct fleet_reload *reload;  /* NULL = none under way */
	struct fleet_control *control; /* NULL = there is no control socket */
	struct control *metrics;       /* NULL = nobody else is told anything */
	struct manager manager;        /* that has started us; run mode's */

	/* adopt = yes: */
	struct left_file *left_file; /* NULL = it is off, or cannot be had */
	struct left_state left;      /* of an earlier supervisor, until fleet_adopt() */
	int left_error;              /* of the last note */
	bool ran;                    /* what was left has become ours */
};

/* The service in force of that name; NULL = there is none. */
struct service *fleet_find(const struct fleet *fleet, const char *name);

/* Everything that is due, and the timer for what comes next.  Ends every callback. */
void fleet_turn(struct fleet *fleet);

/* What tick tells is no older than TICK_STIRRED_MS after this. */
void fleet_look(struct fleet *fleet);

/* Takes those that have died, FLEET_REAP_MOST at most, so that a service which leaves orphans
 * behind all the time does not keep the loop from everything else.  The timer expires at once where
 * that many were taken, and the next turn takes more. */
#define FLEET_REAP_MOST 64U
void fleet_reap(struct fleet *fleet, uint64_t now_ms);

/* For struct service_host. */
bool fleet_has_only_mains(void *context, pid_t dead);

/* The loop's: signals have come.  Takes FLEET_SIGNALS_MOST of them at most. */
#define FLEET_SIGNALS_MOST 64U
void fleet_on_signal(void *context);

/* The terminal is handed on only by those who have it: a wrapper started in the
 * background must not take it from the shell. */
bool fleet_terminal_is_ours(void);

/* The command's session will have the terminal; ours leaves it. */
void fleet_terminal_give_up(void);

/* The terminal may have stopped the command. */
void fleet_terminal_note_stop(struct fleet *fleet);

/* The loop waits for what tick wants it to. */
void fleet_watches_renew(struct fleet *fleet);

/* Nothing is waited for on behalf of the service any more. */
void fleet_watches_drop(struct service_watch watch[TICK_WATCH_KINDS]);

/* Told to stop: everything stops, the second time at once. */
void fleet_stop(struct fleet *fleet, uint64_t now_ms);

/* Stops everything when a service has ended that has on_exit = shutdown. */
void fleet_on_exit_step(struct fleet *fleet, uint64_t now_ms);

/* A wrapped command was told to end: its stop budget begins, if it has not yet. */
void fleet_stop_told(struct fleet *fleet, uint64_t now_ms);

/* The wrapped command has ended and is not reaped yet: what is left is told to end. */
void fleet_ending_begin(struct fleet *fleet, uint64_t now_ms);

/* A child was reaped, so orphans may have come to us: they are looked for soon. */
void fleet_ending_look(struct fleet *fleet);

/* Ends what is left once every service is down, and then the loop. */
void fleet_ending_step(struct fleet *fleet, uint64_t now_ms);
uint64_t fleet_ending_deadline_ms(const struct fleet *fleet, uint64_t now_ms);

/* What became of each service's idle memory in its whole life, where anything did. */
void fleet_report(const struct fleet *fleet);

/* Says when the limit on descriptors may be too low for so many services. */
void fleet_check_budget(const struct fleet *fleet);

/* Reads the file; all its errors are logged and nothing changes (-errno), or the reload is under
 * way (0). */
int fleet_reload_start(struct fleet *fleet);

/* Puts the new config in force as soon as all that has to be down is. */
void fleet_reload_step(struct fleet *fleet, uint64_t now_ms);

void fleet_reload_drop(struct fleet *fleet);

/* Tells the service manager what is new: up, reloading, stopping, alive (fleet_manager.c). */
void fleet_manager_open(struct fleet *fleet);
void fleet_manager_step(struct fleet *fleet, uint64_t now_ms);

/*
 * adopt = yes (fleet_adopt.c).  Before tick: locks the file's services for us, and reads what an
 * earlier supervisor has noted.  0, or -EALREADY: one that lives has them, which was said.
 */
int fleet_adopt_open(struct fleet *fleet);

/* Between tick_claim() and tick_end_leftovers(): makes services out of what was left, and ends what
 * cannot be one. */
void fleet_adopt(struct fleet *fleet);

/* For struct service_host: notes what runs. */
void fleet_adopt_note(void *context);

/* Notes it anew after a note that the file system held up. */
void fleet_adopt_step(struct fleet *fleet);

/* After a reload: it may have been switched. */
void fleet_adopt_reload(struct fleet *fleet);
void fleet_adopt_close(struct fleet *fleet);

#endif
