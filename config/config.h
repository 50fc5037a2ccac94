#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Every setting of spillway as plain data, units in the names.
 *
 * config_load() gives all of it or nothing: with any error the struct is left
 * as it was and the errors, all of them, stand in config_errors.  A config from
 * config_defaults() is what wrap mode starts from.  A file may have no service.
 *
 * Reload compares two configs, so nothing in here is state.
 */

#define CONFIG_POLICIES_MAX 64
#define CONFIG_NAME_BYTES 64
#define CONFIG_ERRORS_MAX 32
#define CONFIG_ERROR_BYTES 1536
#define CONFIG_FILE_BYTES 192
#define CONFIG_SIGNALS_MAX 8
#define CONFIG_BYTES_NONE UINT64_MAX
#define CONFIG_CORE_WORTH_LEAST_BYTES (UINT64_C(16) << 20)
#define CONFIG_CORE_WORTH_MOST_BYTES (UINT64_C(1) << 40)

/* How hard a heap must give back.  The numbers are those of the link. */
enum level { LEVEL_CALM, LEVEL_LAZY, LEVEL_EAGER, LEVEL_FULL, LEVELS };

/* "64M" or "12.5%": permille of the wall where it is not 0, else bytes. */
struct config_amount {
	uint64_t bytes;
	uint32_t permille;
};

enum config_psi_kind { CONFIG_PSI_SOME, CONFIG_PSI_FULL };

/* "some 5% 2s": stalled for that share of the window.  permille 0 = off. */
struct config_psi {
	enum config_psi_kind kind;
	uint32_t permille;
	uint32_t window_ms;
};

/* What brings a service to a level: any one of the three.  0 = that one is off. */
struct config_threshold {
	struct config_amount headroom; /* less than this is left below the wall */
	uint32_t time_to_wall_ms;      /* at the present growth it is reached sooner */
	struct config_psi pressure;
};

/* What decides at calm which idle memory goes.  The numbers are those of the link. */
enum config_scavenge {
	CONFIG_SCAVENGE_ADAPTIVE, /* measured costs against the price of keeping */
	CONFIG_SCAVENGE_OFF,
	CONFIG_SCAVENGE_GO1_11, /* what idled for five minutes, every two and a half */
	CONFIG_SCAVENGE_GO1_12, /* that, and heap growth gives back as much; keeps the recent peak
				 */
	CONFIG_SCAVENGE_GO1_13, /* paced down to a tenth above what is in use, by MADV_FREE */
	CONFIG_SCAVENGE_DECAY,  /* jemalloc's: what became idle goes over ten seconds */
	CONFIG_SCAVENGES
};

/* How it goes: as the above has it, or always by MADV_DONTNEED.  Numbers of the link. */
enum config_madvise { CONFIG_MADVISE_AUTO, CONFIG_MADVISE_DONTNEED, CONFIG_MADVISES };

struct config_policy {
	char name[CONFIG_NAME_BYTES];
	struct config_threshold at[LEVELS]; /* [LEVEL_CALM] is not used */
	uint32_t hold_ms;                   /* a level falls only after so long below it */
	struct config_amount reserve;       /* headroom that the growth gate never hands out */
	uint32_t gate_wait_ms;              /* the longest a growing heap waits; 0 = no gate */
	struct config_amount brake;         /* memory.high = wall - this; 0 = no brake */
	uint32_t brake_hold_ms;             /* the longest a brake stays on */
	enum config_scavenge scavenge;
	enum config_madvise madvise;
	uint32_t scavenge_cpu_permille; /* of one CPU over ten seconds, at calm; never 0 */
	uint64_t core_worth_bytes;      /* so much idle memory costs what one busy CPU does */
};

enum config_autorestart {
	CONFIG_RESTART_NEVER,
	CONFIG_RESTART_UNEXPECTED, /* unless it exited with one of its exitcodes */
	CONFIG_RESTART_ALWAYS
};

/* How long it is waited before a new start: supervisor/policy/restart.h. */
enum config_backoff { CONFIG_BACKOFF_DOUBLING, CONFIG_BACKOFF_LINEAR };

#define CONFIG_RETRIES_ENDLESS UINT32_MAX
#define CONFIG_PRIORITY_USUAL 999

enum config_shim { CONFIG_SHIM_AUTO, CONFIG_SHIM_OFF };

/* Which language runtime a service is, as far as its memory is concerned. */
enum config_runtime {
	CONFIG_RUNTIME_AUTO, /* whichever its program shows; of a program: none is known */
	CONFIG_RUNTIME_OFF,
	CONFIG_RUNTIME_NODE,
	CONFIG_RUNTIME_JAVA,
	CONFIG_RUNTIME_GO,
	CONFIG_RUNTIME_DOTNET,
	CONFIG_RUNTIME_PYTHON,
	CONFIG_RUNTIME_PHP,
	CONFIG_RUNTIME_RUBY,
	CONFIG_RUNTIMES
};

/* Whose malloc a service has: that of libspillway.so, or its own, which libspillway-agent.so
 * steers; auto: its own where the program names one that the agent knows besides libc's. */
enum config_allocator {
	CONFIG_ALLOCATOR_SPILLWAY,
	CONFIG_ALLOCATOR_KEEP,
	CONFIG_ALLOCATOR_AUTO,
	CONFIG_ALLOCATORS
};

/* What may be done to a service before the kernel kills one. */
enum config_last_resort { CONFIG_LAST_NONE, CONFIG_LAST_STOP, CONFIG_LAST_RESTART };

/* What becomes of all others when it has ended and is not started again. */
enum config_on_exit { CONFIG_ON_EXIT_NONE, CONFIG_ON_EXIT_SHUTDOWN };

#define CONFIG_MEMORY_PRIORITY_USUAL 100

/* An amount of which 0 is one, too. */
struct config_optional {
	bool set;
	struct config_amount amount;
};

/* Where what a service writes goes. */
enum config_log_kind {
	CONFIG_LOG_INHERITED, /* to our own of that number */
	CONFIG_LOG_STDOUT,    /* to our stdout, whichever it is of the service */
	CONFIG_LOG_STDERR,
	CONFIG_LOG_NONE,
	CONFIG_LOG_AUTO, /* as the next, but the loader made up its name: it begins anew */
	CONFIG_LOG_FILE
};

struct config_log {
	enum config_log_kind kind;
	char *path;         /* owned; of the last two */
	uint64_t max_bytes; /* 0 = it is never rotated */
	int backups;
};

enum config_stream { CONFIG_STDOUT, CONFIG_STDERR, CONFIG_STREAMS };

/* How it is found out whether a service is up (notify), or of use (health). */
enum config_probe_kind {
	CONFIG_PROBE_NONE,
	CONFIG_PROBE_SYSTEMD, /* it tells, by systemd's protocol */
	CONFIG_PROBE_FD,      /* it writes a line to that descriptor */
	CONFIG_PROBE_PORT,    /* a TCP connection can be made */
	CONFIG_PROBE_HTTP,    /* GET is answered with a status from 200 to 399 */
	CONFIG_PROBE_EXEC     /* a command exits with 0 */
};

struct config_probe {
	enum config_probe_kind kind;
	int number; /* of the descriptor or port */
	bool is_v6; /* what address is */
	uint8_t address[16];
	char *text;  /* owned; as it was written; NULL = NONE that was not written */
	char *path;  /* owned; HTTP's */
	char **argv; /* owned; EXEC's, as a service's */
};

/* Another service of the same config that is started before this one and stopped after it. */
struct config_need {
	size_t service;   /* index into services[], lower than that of the one that has the need */
	bool is_required; /* by "requires", else by "after" */
};

/* What a process and all that it starts may do at most. */
struct config_privileges {
	bool no_new_privs; /* no program gives more than its starter has: set-user-ID has no effect
			    */
	bool has_capabilities; /* else it has what we would give it */
	uint64_t capabilities; /* a bit for each, by the kernel's numbers */
};

/* Of the file io.max, in its order. */
enum config_io {
	CONFIG_IO_RBPS,
	CONFIG_IO_WBPS,
	CONFIG_IO_RIOPS,
	CONFIG_IO_WIOPS,
	CONFIG_IO_KINDS
};

/* The most that a service may read from and write to one disk in a second. */
struct config_io_max {
	char *path; /* owned; the disk, or a file on it; NULL = the two numbers name the disk */
	unsigned major;
	unsigned minor;
	uint64_t most[CONFIG_IO_KINDS]; /* bytes, or requests; 0 = no limit */
};

struct config_service {
	/* It comes from supervisord's [program:x]: the user's HOME, USER, LOGNAME and SHELL are not
	 * set, and what it leaves behind when it ends well runs on. */
	bool is_program;
	char name[CONFIG_NAME_BYTES];
	/* What spillctl calls it and its like by, as GROUP:*; "" = it has no other name than its
	 * own.  No setting of the process: nobody is restarted for it. */
	char group[CONFIG_NAME_BYTES];
	char **argv;        /* owned, NULL-terminated, argv[0] not empty */
	char *directory;    /* owned; NULL = the supervisor's */
	char *user;         /* owned; NULL = the supervisor's */
	char **environment; /* owned, NULL-terminated "KEY=value"s; NULL = nothing added */
	bool autostart;     /* else it waits until it is started by hand */
	enum config_autorestart autorestart;
	enum config_backoff backoff;
	uint8_t exitcodes[32]; /* a bit for each status that is expected */
	uint32_t startsecs_ms; /* it is up when it has run for so long */
	bool is_oneshot;  /* it is to end: it is up once it has done so with one of its exitcodes */
	char **pre_start; /* owned, as argv; before each start; NULL = none */
	char **post_stop; /* likewise; after each end */
	char *environment_file; /* owned; read at each start; "-" before it: it may be missing */
	char *pidfile;          /* owned; names the process that is followed when the first ends */
	struct config_probe notify;
	uint32_t start_timeout_ms; /* with notify: it is ready by then, or has failed; 0 = no limit
				    */
	uint32_t watchdog_ms; /* it has to tell so often, by systemd's protocol; 0 = it has not */
	struct config_probe health;
	uint32_t health_interval_ms; /* between the end of one check and the next; not 0 */
	uint32_t health_timeout_ms;  /* of one check; not 0 */
	int health_retries;          /* failures one after another that are too many */
	uint32_t health_start_ms;    /* after it was ready for so long failures count */
	enum config_on_exit on_exit;
	uint32_t startretries;    /* starts that may fail one after another, beside the first */
	int priority;             /* a lower one starts earlier and stops later */
	char **after;             /* owned, NULL-terminated, names as written; NULL = none */
	char **requires;          /* likewise */
	struct config_need *need; /* owned: what both come to; each service once */
	size_t need_count;
	int turn; /* services of one turn stop at the same time, those of a higher one before; never
		     lower than that of a service that is needed */
	int stopsignal;
	bool stopasgroup; /* that goes to the process group, and not to the main process alone */
	uint32_t stopwait_ms;
	struct config_log log[CONFIG_STREAMS];
	bool redirect_stderr; /* its stderr is its stdout */
	struct config_privileges privileges;
	bool has_umask; /* else the supervisor's */
	int umask;
	struct config_amount memory_max; /* share = of the wall above; both 0 = none */
	struct config_amount memory_high;
	char *target_file; /* owned; names a wall below these; NULL = none */
	/* Further files of its own cgroup. */
	struct config_amount memory_min; /* 0 = none, which is the kernel's default */
	struct config_amount memory_low;
	struct config_optional memory_swap_max; /* 0 is a limit here: no swap at all */
	struct config_optional memory_zswap_max;
	bool oom_group;
	int pids_max;                 /* 0 = none */
	uint32_t cpu_max_permille;    /* of one processor, and may be more than that; 0 = none */
	int cpu_weight;               /* 0 = the kernel's default */
	int io_weight;                /* likewise */
	struct config_io_max *io_max; /* owned; NULL = none */
	size_t io_max_count;
	bool has_oom_score_adj;
	int oom_score_adj;
	char **on_pressure;     /* owned, as argv; NULL = none */
	int on_pressure_signal; /* 0 = none */
	enum level on_pressure_level;
	int memory_priority; /* how dear its pages count; 0 = CONFIG_MEMORY_PRIORITY_USUAL */
	enum config_last_resort last_resort;
	uint32_t freeze_ms; /* for so long at a time it may be frozen; 0 = it may not */
	bool dry_run;       /* what would be done about its memory is said, and not done */
	enum config_shim shim;
	enum config_allocator allocator;
	enum config_runtime runtime;
	bool runtime_limits; /* a runtime without a limit of its own is given one at the start */
	size_t policy;       /* index into policies[] */
};

struct config_signal {
	int number;
	enum level level; /* what that signal asks of every service, once */
};

#define CONFIG_SOCKET_BYTES 108 /* of struct sockaddr_un */
#define CONFIG_ADDRESS_BYTES 56 /* [an IPv6 address]:port */

struct config_supervisor {
	char control[CONFIG_SOCKET_BYTES];  /* an absolute path, or "off"; "" = where it is usual */
	char metrics[CONFIG_ADDRESS_BYTES]; /* address:port, both numbers; "" = nowhere */
	struct config_signal pressure_signals[CONFIG_SIGNALS_MAX];
	size_t pressure_signal_count;
	/* It goes on when no service runs any more, as supervisord does: one may be started by
	 * hand. */
	bool stays;
	bool adopt;   /* what an earlier supervisor of the file has left running is taken over */
	bool dry_run; /* of the services that do not say */
};

struct config {
	struct config_supervisor supervisor;
	size_t policy_count; /* policies[0] is always "default" */
	struct config_policy policies[CONFIG_POLICIES_MAX];
	size_t service_count;            /* in the order of starting: order.h */
	struct config_service *services; /* owned; as many as memory has room for */
};

/* line 0 = it concerns the file as a whole. */
struct config_error {
	char file[CONFIG_FILE_BYTES]; /* that was included; "" = the one that was asked for */
	unsigned line;
	char text[CONFIG_ERROR_BYTES];
};

struct config_errors {
	size_t count; /* may exceed CONFIG_ERRORS_MAX: only so many are kept */
	struct config_error error[CONFIG_ERRORS_MAX];
	/* What has no effect here, and does no harm.  There may be some where there is no error. */
	size_t note_count; /* may exceed CONFIG_ERRORS_MAX */
	struct config_error note[CONFIG_ERRORS_MAX];
};

/* No service, the default policy, run mode's signals (USR1 eager, USR2 full). */
void config_defaults(struct config *config);

/* Reads the file.  0, or -EINVAL with at least one error noted, or another -errno
 * (also noted) where the file cannot be read; -ENOTSUP for what is no regular file, which is not
 * waited for.  *config is untouched on failure. */
int config_load(const char *path, struct config *config, struct config_errors *errors);

/* The same for a text in memory, which may hold anything. */
int config_load_text(
	const char *text, size_t length, struct config *config, struct config_errors *errors);

/* One "PATH:LINE: text" per error, in the order of the lines. */
void config_errors_print(const char *path, const struct config_errors *errors, FILE *stream);
void config_notes_print(const char *path, const struct config_errors *errors, FILE *stream);

/* The same line into text. */
void config_error_format(
	const char *path, const struct config_error *error, char *text, size_t text_bytes);

/* For reload.  Every setting but the group, and the policy index, which means something only
 * within one config: what the two indices stand for is compared by the other. */
bool config_service_equal(const struct config_service *a, const struct config_service *b);

bool config_privileges_equal(const struct config_privileges *a, const struct config_privileges *b);

/* Whether that exit status is among its exitcodes. */
bool config_service_expects(const struct config_service *service, int status);

/* Every setting but the name. */
bool config_policy_equal(const struct config_policy *a, const struct config_policy *b);

/* One more, empty but for its defaults; NULL = no memory, and nothing has changed.  Those before
 * may have moved. */
struct config_service *config_service_add(struct config *config);

/* Frees what a service owns and empties it. */
void config_service_free(struct config_service *service);

/* Frees what a loaded or default config owns and empties it. */
void config_free(struct config *config);

#endif
