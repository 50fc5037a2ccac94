#ifndef SUPERVISOR_FLEET_SERVICE_H
#define SUPERVISOR_FLEET_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "supervisor/policy/restart.h"
#include "supervisor/process/signals.h"
#include "supervisor/process/spawn.h"
#include "supervisor/base/loop.h"
#include "supervisor/fleet/hook.h"
#include "supervisor/fleet/service_follow.h"
#include "supervisor/fleet/service_health.h"
#include "supervisor/fleet/service_ready.h"
#include "supervisor/fleet/service_runtime.h"
#include "supervisor/fleet/service_stage.h"
#include "supervisor/tick/tick.h"

/*
 * One service: all that there is of it, in one object at one address, from the moment it is
 * configured until a reload removes it.  And its main process, and what is left of that
 * afterwards.
 *
 * policy/restart.h decides when it starts, stops, and starts again; this does
 * it.  In between stands the sweep: when the main process has died, the others
 * in its process group and its leaf are told to stop (TERM, and KILL after
 * stopwait_ms, or soon after a crash), and only when none is left does the exit count as one.  So
 * the next start never meets the last one's children on its port.  Where there is no leaf, a
 * process that has left the group (setsid) is known by the link's text in its environment.  Its
 * slot in the link would know it too, but any process of the service writes there and could name
 * another's.  Without the shim, or with an environment that we may not read, it is not known.
 *
 * Nothing here waits.  What is due at a time is done by service_step, which is
 * called at service_deadline_ms or earlier, and whenever a child was reaped.
 */

#define SERVICE_NEVER UINT64_MAX

/* What a crashed service leaves has so long between TERM and KILL, or stopwait_ms if that is less.
 */
#define SERVICE_CRASH_SWEEP_MS 2000U

/* How long a process may take to show up in the link before it is said not to. */
#define SERVICE_SHIM_MS 2000

/* What all services of a supervisor share.  Borrowed. */
struct service_host {
	struct tick *tick;
	const struct signals *signals;
	struct descriptors *descriptors; /* NULL = nothing was raised */
	const char *shim_path;           /* NULL = there is none to preload */
	const char *agent_path;          /* likewise, for services that keep their allocator */
	const char *start;               /* where services start from; NULL = where we are */
	bool take_terminal;
	bool null_stdin;       /* services read /dev/null */
	bool new_session;      /* services lead sessions, not only groups, of their own */
	bool sweep_only_kills; /* somebody else sends what is left its TERM */
	uint64_t mark;         /* of what services without leaves start; 0 = they are not marked */
	uint32_t seed; /* of the delays of services that are new; 0 = delays have no random part */
	bool announce; /* starts and plain ends are worth a line at the usual level */
	/* Other processes run than before; called before a new one runs its program.  NULL = nobody
	 * wants to know. */
	void (*changed)(void *context);
	/* A service has told something: what is due is to be done. */
	void (*wake)(void *context);
	/* Whether all our children are main processes of services, but for one that is dead.  NULL
	 * = it is not known. */
	bool (*has_only_mains)(void *context, pid_t dead);
	void *context;
	struct loop *loop; /* NULL in tests that need none */
};

struct fleet;
struct service;
struct service_left;

/* What the loop waits for on behalf of one service; service NULL: of all. */
struct service_watch {
	struct fleet *fleet;
	struct service *service;
	enum tick_watch_kind kind;
	int fd; /* -1 = nothing is waited for */
	struct loop_watch *handle;
};

/* Processes that have left the group of a main process that is dead. */
enum service_strays { SERVICE_STRAYS_UNKNOWN, SERVICE_STRAYS_NONE, SERVICE_STRAYS_SOME };

struct service {
	struct tick_service memory;    /* the settings are in there */
	struct config_service *config; /* these */
	struct service_watch watch[TICK_WATCH_KINDS];
	struct restart restart;
	uint64_t started_ms;
	uint64_t died_ms;
	uint64_t sweep_ms; /* when SIGKILL to what is left, and then giving up, is due */
	uint64_t shim_check_ms;
	uint64_t oom_kills; /* of main processes, since the first start */

	struct hook hook;
	struct service_runtime runtime;
	struct stage stage;
	struct follow follow;
	uint64_t mark; /* of its processes, where it has no leaf (service_own.h); 0 = none */
	bool has_post_stopped;                 /* since the main process has ended */
	struct output *output[CONFIG_STREAMS]; /* its pipes: service_output.h; NULL = none */

	pid_t pid; /* of the main process and its group, until the sweep is over; 0 = none */
	struct service_left
		*left;        /* it is, or will be, one that was taken over; NULL = our child */
	uint64_t start_ticks; /* of it, where host->changed is */
	struct spawned spawned;
	uint64_t told_ms; /* when to look whether it runs, to say so; SERVICE_NEVER = it was said */
	int exit_status;  /* how that ended last, as a shell says it: 0..255, 128 + signal */
	bool lives;       /* the main process has not been reaped */
	bool expected;    /* how it ended, as policy/restart.h has it */
	bool never_ran;   /* the last process did not become the program */
	bool sweep_killed;
	bool leaves_rest; /* what the last process has left runs on */
	bool shim_wanted; /* it was preloaded and has not shown up yet */
	bool shim_missed; /* and that was said */
	bool held;  /* stopped by hand, or autostart = false: down until it is asked for by hand */
	bool ready; /* it is up, for what comes after it: service_ready.h */
	bool never_ready;        /* the last one was to tell that it is, and had not */
	uint64_t ready_ms;       /* when startsecs are over; SERVICE_NEVER = they are */
	uint64_t ready_since_ms; /* where it is ready */
	struct ready ready_state;
	struct health health;
	struct probe probe; /* of either */

	/* service_processes.h: */
	int stray_signal;           /* due at the end of the turn; 0 = none */
	enum service_strays strays; /* as of the beginning of this turn */

	/* fleet_order.h: */
	bool wanted;
	bool ends;
	bool lacks;     /* it is wanted, and something that it requires is down for good */
	bool is_needed; /* something that needs it and ends is not down; of fleet_order_step() */

	/* The reload under way: */
	bool is_kept; /* the new config has its name */
	bool stops; /* it is to be down before that comes into force: removed, or another process */
	bool starts; /* then: it is new or another process */
};

/* For what is in place already.  Takes the settings over, which leaves *config empty. */
void service_init(
	struct service *service, struct config_service *config, const struct config_policy *policy);
void service_fini(struct service *service);

/* One from malloc, without settings; NULL = no memory. */
struct service *service_new(void);
void service_free(struct service *service);

/* Gives it these settings, and *config those that it had. */
void service_exchange(
	struct service *service, struct config_service *config, const struct config_policy *policy);

/* What is asked of it.  stop is graceful; kill is not, and sends SIGKILL to all of it. */
void service_start(struct service *service, const struct service_host *host, uint64_t now_ms);
void service_stop(struct service *service, const struct service_host *host, uint64_t now_ms);
/* Down, then up. */
void service_restart(struct service *service, const struct service_host *host, uint64_t now_ms);
void service_kill(struct service *service);

/* Stops or restarts it where tick wants that as the last resort. */
void service_last_resort(struct service *service, const struct service_host *host, uint64_t now_ms);

/* SIGNAL to the main process, or to its whole group; nothing where there is none. */
void service_signal(const struct service *service, int signal);
void service_signal_group(const struct service *service, int signal);

/* The main process is a zombie, about to be reaped by the caller: until then its number cannot be
 * another's. code and status are those of siginfo; code 0: one that was taken over has ended, and
 * how is not known. */
void service_died(struct service *service, const struct service_host *host, int code, int status,
	uint64_t now_ms);

/* Does what is due. */
void service_step(struct service *service, const struct service_host *host, uint64_t now_ms);
uint64_t service_deadline_ms(const struct service *service);

/* No process, and none will come unless it is asked for. */
bool service_is_down(const struct service *service);

/* It is down, having ended by itself as is expected. */
bool service_has_succeeded(const struct service *service);

/* What its settings say about its life. */
struct restart_rules service_rules(const struct service *service);

/* Whether it tells us that it is up, by a socket or descriptor that its process was started with.
 */
bool service_tells(const struct config_service *config);

/* Whether running a's process under b's settings would be the same process. */
bool service_same_process(const struct config_service *a, const struct config_service *b);

#endif
