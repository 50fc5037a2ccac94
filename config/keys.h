#ifndef CONFIG_KEYS_H
#define CONFIG_KEYS_H

#include <stddef.h>

#include "config/config.h"

/*
 * The keys of each kind of section: where the value goes, how its text is read,
 * and what to tell somebody who wrote something else.
 */

enum section_kind { SECTION_SUPERVISOR, SECTION_SERVICE, SECTION_POLICY, SECTION_KINDS };

enum supervisor_key {
	KEY_PRESSURE_SIGNALS,
	KEY_CONTROL,
	KEY_METRICS,
	KEY_ADOPT,
	KEY_SUPERVISOR_DRY_RUN,
	SUPERVISOR_KEYS
};

enum service_key {
	KEY_COMMAND,
	KEY_DIRECTORY,
	KEY_USER,
	KEY_ENVIRONMENT,
	KEY_AUTOSTART,
	KEY_AUTORESTART,
	KEY_EXITCODES,
	KEY_STARTSECS,
	KEY_STARTRETRIES,
	KEY_TYPE,
	KEY_PRE_START,
	KEY_POST_STOP,
	KEY_ENVIRONMENT_FILE,
	KEY_PIDFILE,
	KEY_NOTIFY,
	KEY_START_TIMEOUT,
	KEY_WATCHDOG,
	KEY_HEALTH,
	KEY_HEALTH_INTERVAL,
	KEY_HEALTH_TIMEOUT,
	KEY_HEALTH_RETRIES,
	KEY_HEALTH_START,
	KEY_ON_EXIT,
	KEY_PRIORITY,
	KEY_AFTER,
	KEY_REQUIRES,
	KEY_STOPSIGNAL,
	KEY_STOPASGROUP,
	KEY_STOPWAITSECS,
	KEY_UMASK,
	KEY_NO_NEW_PRIVS,
	KEY_CAPABILITIES,
	KEY_REDIRECT_STDERR,
	KEY_STDOUT_LOGFILE,
	KEY_STDOUT_LOGFILE_MAXBYTES,
	KEY_STDOUT_LOGFILE_BACKUPS,
	KEY_STDERR_LOGFILE,
	KEY_STDERR_LOGFILE_MAXBYTES,
	KEY_STDERR_LOGFILE_BACKUPS,
	KEY_MEMORY_MAX,
	KEY_MEMORY_HIGH,
	KEY_TARGET_FILE,
	KEY_MEMORY_MIN,
	KEY_MEMORY_LOW,
	KEY_MEMORY_SWAP_MAX,
	KEY_MEMORY_ZSWAP_MAX,
	KEY_OOM_GROUP,
	KEY_OOM_SCORE_ADJ,
	KEY_PIDS_MAX,
	KEY_CPU_MAX,
	KEY_CPU_WEIGHT,
	KEY_IO_WEIGHT,
	KEY_IO_MAX,
	KEY_ON_PRESSURE,
	KEY_ON_PRESSURE_SIGNAL,
	KEY_ON_PRESSURE_LEVEL,
	KEY_MEMORY_PRIORITY,
	KEY_LAST_RESORT,
	KEY_FREEZE,
	KEY_DRY_RUN,
	KEY_POLICY,
	KEY_SHIM,
	KEY_ALLOCATOR,
	KEY_RUNTIME,
	KEY_RUNTIME_LIMITS,
	SERVICE_KEYS
};

/* The three of a kind stand in the order of the levels: check.c counts on it. */
enum policy_key {
	KEY_LAZY_HEADROOM,
	KEY_EAGER_HEADROOM,
	KEY_FULL_HEADROOM,
	KEY_LAZY_TIME_TO_WALL,
	KEY_EAGER_TIME_TO_WALL,
	KEY_FULL_TIME_TO_WALL,
	KEY_LAZY_PRESSURE,
	KEY_EAGER_PRESSURE,
	KEY_FULL_PRESSURE,
	KEY_HOLD,
	KEY_RESERVE,
	KEY_GATE_WAIT,
	KEY_BRAKE,
	KEY_BRAKE_HOLD,
	KEY_SCAVENGE,
	KEY_MADVISE,
	KEY_SCAVENGE_CPU,
	KEY_CORE_WORTH,
	POLICY_KEYS
};

#define KEYS_MAX ((int)SERVICE_KEYS > (int)POLICY_KEYS ? (int)SERVICE_KEYS : (int)POLICY_KEYS)

struct key {
	const char *name;
	const char *expected; /* "expected " and this makes a sentence */
	/* field is the section's struct + offset, whose old value it owns.  0, or -EINVAL,
	 * -ERANGE, -ENOMEM with *why set where more can be said.  NULL for the policy key, a
	 * name that can be looked up only when the whole file is read. */
	int (*parse)(const char *text, void *field, const char **why);
	size_t offset;
};

struct section_keys {
	const char *header; /* as in "expected [service:NAME]" */
	const char *kind;   /* what stands before the : */
	bool named;
	size_t count;
	const struct key *keys;
};

extern const struct section_keys section_keys[SECTION_KINDS];

/* Where each section and key stands.  0 = the file does not have it. */
struct section_lines {
	unsigned header;
	unsigned key[KEYS_MAX];
	bool broken; /* a value of it could not be read, so nothing can be said about the whole */
};

struct config_lines {
	struct section_lines supervisor;
	struct section_lines *service; /* as many as services */
	struct section_lines policy[CONFIG_POLICIES_MAX];
};

#endif
