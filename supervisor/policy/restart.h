#ifndef SUPERVISOR_POLICY_RESTART_H
#define SUPERVISOR_POLICY_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

/*
 * The life of one service: state x event -> next state and the one thing to do.
 *
 *   STOPPED   no process, none wanted
 *   STARTING  the supervisor was told to start it and has not said yet how that went
 *   RUNNING   its process lives
 *   BACKOFF   it ended and is started again at deadline_ms
 *   STOPPING  its stop signal was sent; SIGKILL follows at deadline_ms
 *   EXITED    it ended by itself and its autorestart says to leave it so
 *   FATAL     it did not come up: more often than startretries it could not be started, ended
 *             within startsecs or was not ready in time; or it could not be started and its
 *             autorestart is never
 *
 * States and their numbers are supervisord's.  An end within startsecs counts as a start that has
 * failed, whatever autorestart and the exit status say.  The delay before a new start is
 *   - CONFIG_BACKOFF_DOUBLING: RESTART_DELAY_MIN_MS, twice as long each time up to
 *     RESTART_DELAY_MAX_MS, and back to the first after the service stayed up for
 *     RESTART_STEADY_MS; each is then a fifth longer or shorter at random, so that services that
 *     failed together do not come back together, and never above RESTART_DELAY_MAX_MS;
 *   - CONFIG_BACKOFF_LINEAR, which is supervisord's: a second longer after each failed start, and
 *     none after an end of a service that was up; but there is one start in RESTART_PACE_MS at
 *     most.
 * A start that was asked for does not wait.
 *
 * A service that lives and fails (it is not ready in time, or its health checks fail) is stopped as
 * if it was asked to, and is then treated as one that has ended unexpectedly.
 *
 * Events carry the time at which they happened: an exit is the time of its
 * SIGCHLD, not of the tick that noticed it.
 */

#define RESTART_DELAY_MIN_MS 100U
#define RESTART_DELAY_MAX_MS 30000U
#define RESTART_STEADY_MS 10000U
#define RESTART_PACE_MS 1000U
#define RESTART_NEVER_MS UINT64_MAX

/* What the settings of the service say about it. */
struct restart_rules {
	enum config_autorestart autorestart;
	enum config_backoff backoff;
	uint32_t startsecs_ms;
	uint32_t startretries; /* CONFIG_RETRIES_ENDLESS: it is never given up */
	uint32_t stopwait_ms;
};

enum restart_state {
	RESTART_STOPPED = 0,
	RESTART_STARTING = 10,
	RESTART_RUNNING = 20,
	RESTART_BACKOFF = 30,
	RESTART_STOPPING = 40,
	RESTART_EXITED = 100,
	RESTART_FATAL = 200
};

enum restart_event_kind {
	RESTART_ON_START,   /* asked: be up; also the supervisor's own start */
	RESTART_ON_STOP,    /* asked: be down */
	RESTART_ON_RESTART, /* asked: be down, then up */
	RESTART_ON_STARTED, /* there is a process */
	RESTART_ON_REFUSED, /* there could be no process: fork, user or directory failed */
	RESTART_ON_EXITED,  /* the process is gone; expected tells how */
	RESTART_ON_FAILED,  /* the process lives, and is of no use */
	RESTART_ON_TIME,    /* nothing but the clock; may come early, late or often */
	RESTART_EVENTS
};

struct restart_event {
	enum restart_event_kind kind;
	/* RESTART_ON_EXITED: it ended by itself with one of its exitcodes.  A signal, an OOM
	 * kill and any other status are unexpected. */
	bool expected;
	bool never_ran;   /* RESTART_ON_EXITED: the process has not become the program */
	bool never_ready; /* RESTART_ON_EXITED: it was to say that it is ready, and had not */
	bool is_done; /* RESTART_ON_EXITED: it was to end, and has done so with one of its exitcodes
		       */
};

enum restart_action {
	RESTART_DO_NOTHING,
	RESTART_DO_START,  /* then say RESTART_ON_STARTED or RESTART_ON_REFUSED */
	RESTART_DO_SIGNAL, /* send the service's stop signal */
	RESTART_DO_KILL    /* SIGKILL to all of it */
};

/* All zero is a stopped service. */
struct restart {
	enum restart_state state;
	bool again;    /* STOPPING: start it when it is down */
	bool failing;  /* STOPPING: it is stopped because it has failed */
	uint32_t seed; /* of the random part of delays; 0 = there is none */
	uint64_t started_ms;
	uint64_t deadline_ms; /* call with RESTART_ON_TIME then; only where restart_deadline_ms says
				 so */
	uint32_t delay_ms;    /* before the last new start, without its random part; 0 = none yet */
	uint32_t failed;      /* starts one after another that have failed */
	uint64_t starts;      /* how often it came up, for status */
};

enum restart_action restart_step(struct restart *restart, const struct restart_rules *rules,
	struct restart_event event, uint64_t now_ms);

/* When RESTART_ON_TIME is due; RESTART_NEVER_MS where no time is waited for. */
uint64_t restart_deadline_ms(const struct restart *restart);

/* The state as it is shown: RESTART_STARTING until it has stayed up for startsecs. */
enum restart_state restart_shown(
	const struct restart *restart, const struct restart_rules *rules, uint64_t now_ms);

/* supervisord's name of it, upper case. */
const char *restart_state_name(enum restart_state state);

#endif
