/* The keys of every section, and how their values are read. */
#include "config/keys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/command.h"
#include "config/keys_cgroup.h"
#include "config/keys_choice.h"
#include "config/keys_privileges.h"
#include "config/keys_probe.h"
#include "config/keys_process.h"
#include "config/keys_signals.h"
#include "config/units.h"

#define EXPECTED_AMOUNT "a size such as 64M, a share such as 12.5%, or off"
#define EXPECTED_DURATION "a duration such as 250ms, 2s or 1m (a bare number is seconds)"
#define EXPECTED_DURATION_OFF "a duration such as 250ms, 2s or 1m, or off"
#define EXPECTED_COMMAND "a program and its arguments, quoted as for a shell"
#define EXPECTED_WEIGHT "a number from 1 to 10000, or off"
#define EXPECTED_NAMES "names of services of this file such as db,cache"
/* The kernel's bounds (PID_MAX_LIMIT, OOM_SCORE_ADJ_MAX). */
#define PIDS_MOST (4 << 20)
#define OOM_SCORE_MOST 1000
#define PRIORITY_MOST 10000
#define EXPECTED_PSI "a threshold such as \"some 5% 2s\" or \"full 200ms 2s\", or off"

static int parse_text(const char *text, void *field, const char **why)
{
	char *copy = strdup(text);

	if (copy == NULL) {
		*why = "out of memory";
		return -ENOMEM;
	}
	free(*(char **)field);
	*(char **)field = copy;
	return 0;
}

static int parse_directory(const char *text, void *field, const char **why)
{
	if (text[0] != '/')
		return -EINVAL;
	return parse_text(text, field, why);
}

static int parse_user(const char *text, void *field, const char **why)
{
	const char *digits = "0123456789";
	size_t uid = strspn(text, digits);
	bool has_group = uid > 0 && text[uid] == ':';

	if (text[0] == '\0' || strpbrk(text, " \t,") != NULL)
		return -EINVAL;
	if (!has_group && strchr(text, ':') != NULL)
		return -EINVAL;
	if (has_group && (text[uid + 1] == '\0' || text[uid + 1 + strspn(text + uid + 1, digits)]))
		return -EINVAL;
	return parse_text(text, field, why);
}

static int parse_command(const char *text, void *field, const char **why)
{
	char **words;
	int error = command_split(text, &words, why);

	if (error != 0)
		return error;
	command_free(*(char ***)field);
	*(char ***)field = words;
	return 0;
}

static int parse_environment(const char *text, void *field, const char **why)
{
	char **pairs;
	int error = command_environment(text, &pairs, why);

	if (error != 0)
		return error;
	command_free(*(char ***)field);
	*(char ***)field = pairs;
	return 0;
}

static int parse_autorestart(const char *text, void *field, const char **why)
{
	enum config_autorestart *autorestart = field;
	bool always;

	(void)why;
	if (strcmp(text, "unexpected") == 0) {
		*autorestart = CONFIG_RESTART_UNEXPECTED;
		return 0;
	}
	if (units_parse_boolean(text, &always) != 0)
		return -EINVAL;
	*autorestart = always ? CONFIG_RESTART_ALWAYS : CONFIG_RESTART_NEVER;
	return 0;
}

static int parse_shim(const char *text, void *field, const char **why)
{
	(void)why;
	if (strcmp(text, "auto") == 0)
		*(enum config_shim *)field = CONFIG_SHIM_AUTO;
	else if (strcmp(text, "off") == 0)
		*(enum config_shim *)field = CONFIG_SHIM_OFF;
	else
		return -EINVAL;
	return 0;
}

static int parse_signal(const char *text, void *field, const char **why)
{
	(void)why;
	return units_parse_signal(text, field);
}

static int parse_signal_or_off(const char *text, void *field, const char **why)
{
	if (strcmp(text, "off") != 0)
		return parse_signal(text, field, why);
	*(int *)field = 0;
	return 0;
}

static int parse_duration(const char *text, void *field, const char **why)
{
	(void)why;
	return units_parse_duration(text, field);
}

static int parse_duration_or_off(const char *text, void *field, const char **why)
{
	if (strcmp(text, "off") == 0) {
		*(uint32_t *)field = 0;
		return 0;
	}
	return parse_duration(text, field, why);
}

static int parse_amount(const char *text, void *field, const char **why)
{
	(void)why;
	return units_parse_amount(text, field);
}

/* A limit of 0 would be "none" in struct config and "nothing at all" in a cgroup. */
static int parse_limit(const char *text, void *field, const char **why)
{
	struct config_amount limit;
	int error = units_parse_amount(text, &limit);

	if (error != 0)
		return error;
	if (limit.bytes == 0 && limit.permille == 0 && strcmp(text, "off") != 0) {
		*why = "a limit of nothing";
		return -EINVAL;
	}
	*(struct config_amount *)field = limit;
	return 0;
}

static int parse_optional(const char *text, void *field, const char **why)
{
	struct config_optional parsed = {.set = strcmp(text, "off") != 0};
	int error = units_parse_amount(text, &parsed.amount);

	(void)why;
	if (error == 0)
		*(struct config_optional *)field = parsed;
	return error;
}

static int parse_boolean(const char *text, void *field, const char **why)
{
	(void)why;
	return units_parse_boolean(text, field);
}

static int parse_pids(const char *text, void *field, const char **why)
{
	(void)why;
	if (strcmp(text, "off") != 0)
		return units_parse_integer(text, 1, PIDS_MOST, field);
	*(int *)field = 0;
	return 0;
}

static int parse_priority(const char *text, void *field, const char **why)
{
	(void)why;
	return units_parse_integer(text, 1, PRIORITY_MOST, field);
}

/* Into the service, since 0 is a score as well. */
static int parse_oom_score(const char *text, void *field, const char **why)
{
	struct config_service *service = field;
	int error =
		units_parse_integer(text, -OOM_SCORE_MOST, OOM_SCORE_MOST, &service->oom_score_adj);

	(void)why;
	if (error == 0)
		service->has_oom_score_adj = true;
	return error;
}

static int parse_psi(const char *text, void *field, const char **why)
{
	(void)why;
	return units_parse_psi(text, field);
}

/* On the link 0 means the shim's default, which nobody means who writes it. */
static int parse_cpu_share(const char *text, void *field, const char **why)
{
	uint32_t permille;
	int error = units_parse_share(text, &permille);

	(void)why;
	if (error == 0 && permille == 0)
		error = -ERANGE;
	if (error == 0)
		*(uint32_t *)field = permille;
	return error;
}

static int parse_core_worth(const char *text, void *field, const char **why)
{
	uint64_t bytes;
	int error = units_parse_size(text, &bytes);

	(void)why;
	if (error == 0 &&
		(bytes < CONFIG_CORE_WORTH_LEAST_BYTES || bytes > CONFIG_CORE_WORTH_MOST_BYTES))
		error = -ERANGE;
	if (error == 0)
		*(uint64_t *)field = bytes;
	return error;
}

static int parse_control(const char *text, void *field, const char **why)
{
	(void)why;
	size_t length = strlen(text);
	if (length >= CONFIG_SOCKET_BYTES || (text[0] != '/' && strcmp(text, "off") != 0))
		return -EINVAL;
	memcpy(field, text, length + 1);
	return 0;
}

/* Both are numbers: a name would have to be looked up. */
static int parse_metrics(const char *text, void *field, const char **why)
{
	(void)why;
	char *address = field;
	char host[CONFIG_ADDRESS_BYTES];
	struct in6_addr bytes;
	int port;
	const char *colon = strrchr(text, ':');
	if (strcmp(text, "off") == 0) {
		address[0] = '\0';
		return 0;
	}
	if (colon == NULL || strlen(text) >= CONFIG_ADDRESS_BYTES)
		return -EINVAL;
	size_t length = (size_t)(colon - text);
	bool is_v6 = length > 2 && text[0] == '[' && text[length - 1] == ']';
	snprintf(host, sizeof host, "%.*s", (int)(is_v6 ? length - 2 : length), text + is_v6);
	if (inet_pton(is_v6 ? AF_INET6 : AF_INET, host, &bytes) != 1 ||
		units_parse_integer(colon + 1, 1, 65535, &port) != 0)
		return -EINVAL;
	memcpy(address, text, strlen(text) + 1);
	return 0;
}

#define SUPERVISOR(member) offsetof(struct config_supervisor, member)

static const struct key supervisor_keys[] = {
	[KEY_PRESSURE_SIGNALS] = {"pressure_signals",
		"a list of SIGNAL:LEVEL such as USR1:eager USR2:full, or off",
		keys_parse_pressure_signals, 0},
	[KEY_CONTROL] = {"control", "an absolute path of at most 107 bytes, or off", parse_control,
		SUPERVISOR(control)},
	[KEY_METRICS] = {"metrics", "an address and a port such as 127.0.0.1:9464, or off",
		parse_metrics, SUPERVISOR(metrics)},
	[KEY_ADOPT] = {"adopt", "yes or no", parse_boolean, SUPERVISOR(adopt)},
	[KEY_SUPERVISOR_DRY_RUN] = {"dry_run", "yes or no", parse_boolean, SUPERVISOR(dry_run)},
};

#define SERVICE(member) offsetof(struct config_service, member)

/* Of one of the two streams. */
#define LOG_KEYS(STREAM, name) \
	[KEY_##STREAM##_LOGFILE] = {name "_logfile", \
		"an absolute path, /dev/stdout, /dev/stderr, NONE or AUTO", keys_parse_logfile, \
		SERVICE(log[CONFIG_##STREAM])}, \
	[KEY_##STREAM##_LOGFILE_MAXBYTES] = {name "_logfile_maxbytes", \
		"a size such as 50MB, or 0 for no rotation", keys_parse_log_bytes, \
		SERVICE(log[CONFIG_##STREAM].max_bytes)}, \
	[KEY_##STREAM##_LOGFILE_BACKUPS] = {name "_logfile_backups", "a number from 0 to 1000", \
		keys_parse_log_backups, SERVICE(log[CONFIG_##STREAM].backups)},

static const struct key service_keys[] = {
	[KEY_COMMAND] = {"command", EXPECTED_COMMAND, parse_command, SERVICE(argv)},
	[KEY_DIRECTORY] = {"directory", "an absolute path", parse_directory, SERVICE(directory)},
	[KEY_USER] = {"user", "the name of one user, its number, or UID:GID", parse_user,
		SERVICE(user)},
	[KEY_ENVIRONMENT] = {"environment", "a list such as KEY=\"value\",OTHER=value",
		parse_environment, SERVICE(environment)},
	[KEY_AUTOSTART] = {"autostart", "true or false", parse_boolean, SERVICE(autostart)},
	[KEY_AUTORESTART] = {"autorestart", "true, false or unexpected", parse_autorestart,
		SERVICE(autorestart)},
	[KEY_EXITCODES] = {"exitcodes", "a list of numbers from 0 to 255 such as 0,2",
		keys_parse_exitcodes, SERVICE(exitcodes)},
	[KEY_STARTSECS] = {"startsecs", EXPECTED_DURATION, parse_duration, SERVICE(startsecs_ms)},
	[KEY_STARTRETRIES] = {"startretries", "a number from 0 to 1000000, or off",
		keys_parse_retries, SERVICE(startretries)},
	[KEY_TYPE] = {"type", "simple or oneshot", keys_parse_type, SERVICE(is_oneshot)},
	[KEY_PRE_START] = {"pre_start", EXPECTED_COMMAND, parse_command, SERVICE(pre_start)},
	[KEY_POST_STOP] = {"post_stop", EXPECTED_COMMAND, parse_command, SERVICE(post_stop)},
	[KEY_ENVIRONMENT_FILE] = {"environment_file", "an absolute path, or - and one",
		keys_parse_optional_path, SERVICE(environment_file)},
	[KEY_PIDFILE] = {"pidfile", "an absolute path", parse_directory, SERVICE(pidfile)},
	[KEY_NOTIFY] = {"notify",
		"none, systemd, fd:N, port:[ADDRESS:]PORT, http://ADDRESS:PORT/PATH or "
		"exec:COMMAND",
		keys_parse_notify, SERVICE(notify)},
	[KEY_START_TIMEOUT] = {"start_timeout", EXPECTED_DURATION_OFF, parse_duration_or_off,
		SERVICE(start_timeout_ms)},
	[KEY_WATCHDOG] = {"watchdog", EXPECTED_DURATION_OFF, parse_duration_or_off,
		SERVICE(watchdog_ms)},
	[KEY_HEALTH] = {"health",
		"none, port:[ADDRESS:]PORT, http://ADDRESS:PORT/PATH or exec:COMMAND",
		keys_parse_health, SERVICE(health)},
	[KEY_HEALTH_INTERVAL] = {"health_interval", EXPECTED_DURATION, keys_parse_period,
		SERVICE(health_interval_ms)},
	[KEY_HEALTH_TIMEOUT] = {"health_timeout", EXPECTED_DURATION, keys_parse_period,
		SERVICE(health_timeout_ms)},
	[KEY_HEALTH_RETRIES] = {"health_retries", "a number from 1 to 1000", keys_parse_failures,
		SERVICE(health_retries)},
	[KEY_HEALTH_START] = {"health_start", EXPECTED_DURATION, parse_duration,
		SERVICE(health_start_ms)},
	[KEY_ON_EXIT] = {"on_exit", "none or shutdown", keys_parse_on_exit, SERVICE(on_exit)},
	[KEY_PRIORITY] = {"priority", "a number such as 999; the lowest is started first",
		keys_parse_order, SERVICE(priority)},
	[KEY_AFTER] = {"after", EXPECTED_NAMES, keys_parse_names, SERVICE(after)},
	[KEY_REQUIRES] = {"requires", EXPECTED_NAMES, keys_parse_names, SERVICE(requires)},
	[KEY_STOPSIGNAL] = {"stopsignal", "a signal such as TERM, SIGINT, 15 or RTMIN+3",
		parse_signal, SERVICE(stopsignal)},
	[KEY_STOPASGROUP] = {"stopasgroup", "true or false", parse_boolean, SERVICE(stopasgroup)},
	[KEY_STOPWAITSECS] = {"stopwaitsecs", EXPECTED_DURATION, parse_duration,
		SERVICE(stopwait_ms)},
	[KEY_UMASK] = {"umask", "an octal number from 000 to 777", keys_parse_umask, 0},
	[KEY_NO_NEW_PRIVS] = {"no_new_privs", "yes or no", parse_boolean,
		SERVICE(privileges.no_new_privs)},
	[KEY_CAPABILITIES] = {"capabilities",
		"names such as NET_BIND_SERVICE,CHOWN of capabilities(7), or none",
		keys_parse_capabilities, SERVICE(privileges)},
	[KEY_REDIRECT_STDERR] = {"redirect_stderr", "true or false", parse_boolean,
		SERVICE(redirect_stderr)},
	LOG_KEYS(STDOUT, "stdout") LOG_KEYS(STDERR, "stderr")[KEY_MEMORY_MAX] = {"memory_max",
		EXPECTED_AMOUNT, parse_limit, SERVICE(memory_max)},
	[KEY_MEMORY_HIGH] = {"memory_high", EXPECTED_AMOUNT, parse_limit, SERVICE(memory_high)},
	[KEY_TARGET_FILE] = {"target_file", "an absolute path", parse_directory,
		SERVICE(target_file)},
	[KEY_MEMORY_MIN] = {"memory_min", EXPECTED_AMOUNT, parse_amount, SERVICE(memory_min)},
	[KEY_MEMORY_LOW] = {"memory_low", EXPECTED_AMOUNT, parse_amount, SERVICE(memory_low)},
	[KEY_MEMORY_SWAP_MAX] = {"memory_swap_max", EXPECTED_AMOUNT, parse_optional,
		SERVICE(memory_swap_max)},
	[KEY_MEMORY_ZSWAP_MAX] = {"memory_zswap_max", EXPECTED_AMOUNT, parse_optional,
		SERVICE(memory_zswap_max)},
	[KEY_OOM_GROUP] = {"oom_group", "yes or no", parse_boolean, SERVICE(oom_group)},
	[KEY_OOM_SCORE_ADJ] = {"oom_score_adj", "a number from -1000 to 1000", parse_oom_score, 0},
	[KEY_PIDS_MAX] = {"pids_max", "a number from 1 to 4194304, or off", parse_pids,
		SERVICE(pids_max)},
	[KEY_CPU_MAX] = {"cpu_max",
		"processors such as 1.5, a share of one such as 50% or 150%, or off",
		keys_parse_cpu_max, SERVICE(cpu_max_permille)},
	[KEY_CPU_WEIGHT] = {"cpu_weight", EXPECTED_WEIGHT, keys_parse_weight, SERVICE(cpu_weight)},
	[KEY_IO_WEIGHT] = {"io_weight", EXPECTED_WEIGHT, keys_parse_weight, SERVICE(io_weight)},
	[KEY_IO_MAX] = {"io_max",
		"disks and their limits such as \"/dev/sda wbps=10M, 8:16 riops=100\", or off",
		keys_parse_io_max, 0},
	[KEY_ON_PRESSURE] = {"on_pressure", EXPECTED_COMMAND, parse_command, SERVICE(on_pressure)},
	[KEY_ON_PRESSURE_SIGNAL] = {"on_pressure_signal",
		"a signal such as USR1, SIGHUP or RTMIN+3, or off", parse_signal_or_off,
		SERVICE(on_pressure_signal)},
	[KEY_ON_PRESSURE_LEVEL] = {"on_pressure_level", "lazy, eager or full", keys_parse_level,
		SERVICE(on_pressure_level)},
	[KEY_MEMORY_PRIORITY] = {"memory_priority", "a number from 1 to 10000", parse_priority,
		SERVICE(memory_priority)},
	[KEY_LAST_RESORT] = {"last_resort", "none, stop or restart", keys_parse_last_resort,
		SERVICE(last_resort)},
	[KEY_FREEZE] = {"freeze", "yes, no, or a duration of at most 1m such as 500ms",
		keys_parse_freeze, SERVICE(freeze_ms)},
	[KEY_DRY_RUN] = {"dry_run", "yes or no", parse_boolean, SERVICE(dry_run)},
	[KEY_POLICY] = {"policy", "the NAME of a [policy:NAME] of this file, or default", NULL, 0},
	[KEY_SHIM] = {"shim", "auto or off", parse_shim, SERVICE(shim)},
	[KEY_ALLOCATOR] = {"allocator", "spillway, keep or auto", keys_parse_allocator,
		SERVICE(allocator)},
	[KEY_RUNTIME] = {"runtime", "auto, off, node, java, go, dotnet, python, php or ruby",
		keys_parse_runtime, SERVICE(runtime)},
	[KEY_RUNTIME_LIMITS] = {"runtime_limits", "yes or no", parse_boolean,
		SERVICE(runtime_limits)},
};

#define POLICY(member) offsetof(struct config_policy, member)

static const struct key policy_keys[] = {
	[KEY_LAZY_HEADROOM] = {"lazy_headroom", EXPECTED_AMOUNT, parse_amount,
		POLICY(at[LEVEL_LAZY].headroom)},
	[KEY_EAGER_HEADROOM] = {"eager_headroom", EXPECTED_AMOUNT, parse_amount,
		POLICY(at[LEVEL_EAGER].headroom)},
	[KEY_FULL_HEADROOM] = {"full_headroom", EXPECTED_AMOUNT, parse_amount,
		POLICY(at[LEVEL_FULL].headroom)},
	[KEY_LAZY_TIME_TO_WALL] = {"lazy_time_to_wall", EXPECTED_DURATION_OFF,
		parse_duration_or_off, POLICY(at[LEVEL_LAZY].time_to_wall_ms)},
	[KEY_EAGER_TIME_TO_WALL] = {"eager_time_to_wall", EXPECTED_DURATION_OFF,
		parse_duration_or_off, POLICY(at[LEVEL_EAGER].time_to_wall_ms)},
	[KEY_FULL_TIME_TO_WALL] = {"full_time_to_wall", EXPECTED_DURATION_OFF,
		parse_duration_or_off, POLICY(at[LEVEL_FULL].time_to_wall_ms)},
	[KEY_LAZY_PRESSURE] = {"lazy_pressure", EXPECTED_PSI, parse_psi,
		POLICY(at[LEVEL_LAZY].pressure)},
	[KEY_EAGER_PRESSURE] = {"eager_pressure", EXPECTED_PSI, parse_psi,
		POLICY(at[LEVEL_EAGER].pressure)},
	[KEY_FULL_PRESSURE] = {"full_pressure", EXPECTED_PSI, parse_psi,
		POLICY(at[LEVEL_FULL].pressure)},
	[KEY_HOLD] = {"hold", EXPECTED_DURATION_OFF, parse_duration_or_off, POLICY(hold_ms)},
	[KEY_RESERVE] = {"reserve", EXPECTED_AMOUNT, parse_amount, POLICY(reserve)},
	[KEY_GATE_WAIT] = {"gate_wait", EXPECTED_DURATION_OFF, parse_duration_or_off,
		POLICY(gate_wait_ms)},
	[KEY_BRAKE] = {"brake", EXPECTED_AMOUNT, parse_amount, POLICY(brake)},
	[KEY_BRAKE_HOLD] = {"brake_hold", EXPECTED_DURATION, parse_duration, POLICY(brake_hold_ms)},
	[KEY_SCAVENGE] = {"scavenge", "adaptive, off, go1.11, go1.12, go1.13 or decay",
		keys_parse_scavenge, POLICY(scavenge)},
	[KEY_MADVISE] = {"madvise", "auto or dontneed", keys_parse_madvise, POLICY(madvise)},
	[KEY_SCAVENGE_CPU] = {"scavenge_cpu", "a share of one CPU from 0.1% to 100%",
		parse_cpu_share, POLICY(scavenge_cpu_permille)},
	[KEY_CORE_WORTH] = {"core_worth", "a size from 16M to 1T", parse_core_worth,
		POLICY(core_worth_bytes)},
};

const struct section_keys section_keys[SECTION_KINDS] = {
	[SECTION_SUPERVISOR] =
		{
			.header = "[supervisor]",
			.kind = "supervisor",
			.count = SUPERVISOR_KEYS,
			.keys = supervisor_keys,
		},
	[SECTION_SERVICE] =
		{
			.header = "[service:NAME]",
			.kind = "service",
			.named = true,
			.count = SERVICE_KEYS,
			.keys = service_keys,
		},
	[SECTION_POLICY] =
		{
			.header = "[policy:NAME]",
			.kind = "policy",
			.named = true,
			.count = POLICY_KEYS,
			.keys = policy_keys,
		},
};
