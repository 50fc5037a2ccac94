/* The command line. */
#include "supervisor/options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/defaults.h"
#include "config/keys.h"
#include "config/names.h"
#include "config/units.h"
#include "supervisor/options_peer.h"

enum long_option {
	OPTION_SHIM = 256,
	OPTION_ALLOCATOR,
	OPTION_RUNTIME,
	OPTION_RUNTIME_LIMITS,
	OPTION_MEMORY_MAX,
	OPTION_MEMORY_HIGH,
	OPTION_NAME,
	OPTION_PRESSURE_SIGNALS,
	OPTION_SCAVENGE,
	OPTION_MADVISE,
	OPTION_SCAVENGE_CPU,
	OPTION_CORE_WORTH,
	OPTION_STOP_WAIT,
	OPTION_SESSION,
	OPTION_HELP_ALL
};

/* The small init programs' letters have their meaning: tini's s p w g e l, dumb-init's c r,
 * catatonit's L P. */
#define SHORT_OPTIONS "+:vqhVsp:wge:lcr:LP"

/* Of these, what is said about a wrapped command. */
#define SHORT_WRAP "spwgecr"

static const struct option long_options[] = {
	{"help", no_argument, NULL, 'h'},
	{"help-all", no_argument, NULL, OPTION_HELP_ALL},
	{"version", no_argument, NULL, 'V'},
	{"verbose", no_argument, NULL, 'v'},
	{"quiet", no_argument, NULL, 'q'},
	{"shim", required_argument, NULL, OPTION_SHIM},
	{"allocator", required_argument, NULL, OPTION_ALLOCATOR},
	{"runtime", required_argument, NULL, OPTION_RUNTIME},
	{"runtime-limits", required_argument, NULL, OPTION_RUNTIME_LIMITS},
	{"memory-max", required_argument, NULL, OPTION_MEMORY_MAX},
	{"memory-high", required_argument, NULL, OPTION_MEMORY_HIGH},
	{"name", required_argument, NULL, OPTION_NAME},
	{"pressure-signals", required_argument, NULL, OPTION_PRESSURE_SIGNALS},
	{"scavenge", required_argument, NULL, OPTION_SCAVENGE},
	{"madvise", required_argument, NULL, OPTION_MADVISE},
	{"scavenge-cpu", required_argument, NULL, OPTION_SCAVENGE_CPU},
	{"core-worth", required_argument, NULL, OPTION_CORE_WORTH},
	{"stop-wait", required_argument, NULL, OPTION_STOP_WAIT},
	{"session", no_argument, NULL, OPTION_SESSION},
	{"single-child", no_argument, NULL, 'c'},
	{"rewrite", required_argument, NULL, 'r'},
	{"license", no_argument, NULL, 'l'},
	{NULL, 0, NULL, 0},
};

/* A value that a key of the file has too is read as the key reads it. */
static int parse_key(
	enum section_kind kind, size_t key_index, const char *option, void *field, char *error)
{
	const struct key *key = &section_keys[kind].keys[key_index];
	const char *why = NULL;
	int status = key->parse(optarg, field, &why);
	if (status == 0)
		return 0;
	if (why != NULL)
		snprintf(error, OPTIONS_ERROR_BYTES, "--%s=%s: %s; expected %s", option, optarg,
			why, key->expected);
	else
		snprintf(error, OPTIONS_ERROR_BYTES, "--%s=%s: expected %s", option, optarg,
			key->expected);
	return -EINVAL;
}

static int parse_signals(struct options *options, char *error)
{
	struct config_supervisor parsed;
	int status = parse_key(
		SECTION_SUPERVISOR, KEY_PRESSURE_SIGNALS, "pressure-signals", &parsed, error);
	if (status != 0)
		return status;
	memcpy(options->pressure_signals, parsed.pressure_signals, sizeof parsed.pressure_signals);
	options->pressure_signal_count = parsed.pressure_signal_count;
	return 0;
}

static int parse_name(struct options *options, char *error)
{
	if (!names_valid(optarg)) {
		snprintf(error, OPTIONS_ERROR_BYTES,
			"--name=%s: expected up to %d letters, digits, _ . or -", optarg,
			NAMES_CHARS_MAX);
		return -EINVAL;
	}
	options->name = optarg;
	return 0;
}

static int refuse_value(const char *option, const char *expected, char *error)
{
	snprintf(error, OPTIONS_ERROR_BYTES, "%s %s: expected %s", option, optarg, expected);
	return -EINVAL;
}

static int parse_stop_wait(struct wrap *wrap, char *error)
{
	wrap->has_stop_wait = true;
	wrap->stop_wait_ms = WRAP_STOP_UNLIMITED;
	if (strcmp(optarg, "unlimited") == 0 || strcmp(optarg, "off") == 0 ||
		units_parse_duration(optarg, &wrap->stop_wait_ms) == 0)
		return 0;
	return refuse_value("--stop-wait", "a duration such as 30s, or unlimited", error);
}

/* tini's: by name or by number. */
static int parse_parent_death(struct wrap *wrap, char *error)
{
	if (units_parse_signal(optarg, &wrap->parent_death_signal) == 0)
		return 0;
	return refuse_value("-p", "a signal such as SIGTERM", error);
}

static int parse_success(struct wrap *wrap, char *error)
{
	int status;
	if (units_parse_integer(optarg, 0, WRAP_STATUSES - 1, &status) != 0)
		return refuse_value("-e", "an exit status from 0 to 255", error);
	wrap->is_success[status] = true;
	return 0;
}

/* dumb-init's: FROM:TO, where TO 0 is none at all. */
static int parse_rewrite(struct wrap *wrap, bool *rewrites, char *error)
{
	char from_text[32];
	const char *colon = strchr(optarg, ':');
	int from;
	int to = 0;
	bool valid = colon != NULL && (size_t)(colon - optarg) < sizeof from_text;
	if (valid) {
		memcpy(from_text, optarg, (size_t)(colon - optarg));
		from_text[colon - optarg] = '\0';
		valid = units_parse_signal(from_text, &from) == 0 &&
			(strcmp(colon + 1, "0") == 0 || units_parse_signal(colon + 1, &to) == 0);
	}
	if (!valid)
		return refuse_value("--rewrite", "two signals, as 15:3 or TERM:QUIT", error);
	wrap->sent[from] = (uint8_t)to;
	*rewrites = true;
	return 0;
}

/* Where getopt stopped: at a long option, which is the last word read, or at a letter. */
static int refuse(int argc, char **argv, int option, char *error)
{
	const char *text = optind <= argc && optind > 0 ? argv[optind - 1] : "";
	bool is_known =
		optopt >= OPTION_SHIM || (optopt > 0 && strchr(SHORT_OPTIONS, optopt) != NULL);
	const char *problem = option == ':' ? "needs a value"
			      : is_known    ? "takes no value"
					    : "no such option";
	if (option == '?' && optopt > 0 && !is_known)
		snprintf(error, OPTIONS_ERROR_BYTES, "-%c: %s; see spillway --help", optopt,
			problem);
	else
		snprintf(error, OPTIONS_ERROR_BYTES, "%s: %s; see spillway --help", text, problem);
	return -EINVAL;
}

/* What is read besides the options themselves. */
struct reading {
	struct options options;
	int verbosity; /* steps from the usual level */
	int verbosity_step;
	bool rewrites;
	bool single_child;
	char wrap_option[32]; /* one that only a wrapped command has; "" = none was given */
};

/* Those that tini, dumb-init and catatonit have. */
static int parse_init_option(int option, struct reading *reading, char *error)
{
	struct wrap *wrap = &reading->options.wrap;
	switch (option) {
	case 's':
		/* Orphans come to us in any case. */
		return 0;
	case 'p':
		return parse_parent_death(wrap, error);
	case 'w':
		wrap->tells_reaped = true;
		return 0;
	case 'g':
		wrap->target = WRAP_TO_GROUP;
		return 0;
	case 'e':
		return parse_success(wrap, error);
	case 'c':
		reading->single_child = true;
		return 0;
	case 'r':
		return parse_rewrite(wrap, &reading->rewrites, error);
	case OPTION_STOP_WAIT:
		return parse_stop_wait(wrap, error);
	default:
		wrap->target = WRAP_TO_SESSION;
		return 0;
	}
}

static int parse_option(int option, struct reading *reading, char *error)
{
	struct options *options = &reading->options;
	switch (option) {
	case 'v':
		reading->verbosity += reading->verbosity_step;
		return 0;
	case 'q':
		--reading->verbosity;
		return 0;
	case 'h':
		options->command = OPTIONS_HELP;
		return 0;
	case OPTION_HELP_ALL:
		options->command = OPTIONS_HELP_ALL;
		return 0;
	case 'V':
		options->command = OPTIONS_VERSION;
		return 0;
	case 'P':
		options->command = OPTIONS_PAUSE;
		return 0;
	case 'l':
	case 'L':
		options->command = OPTIONS_LICENCE;
		return 0;
	case OPTION_SHIM:
		return parse_key(SECTION_SERVICE, KEY_SHIM, "shim", &options->shim, error);
	case OPTION_ALLOCATOR:
		return parse_key(
			SECTION_SERVICE, KEY_ALLOCATOR, "allocator", &options->allocator, error);
	case OPTION_RUNTIME:
		return parse_key(SECTION_SERVICE, KEY_RUNTIME, "runtime", &options->runtime, error);
	case OPTION_RUNTIME_LIMITS:
		return parse_key(SECTION_SERVICE, KEY_RUNTIME_LIMITS, "runtime-limits",
			&options->runtime_limits, error);
	case OPTION_MEMORY_MAX:
		return parse_key(
			SECTION_SERVICE, KEY_MEMORY_MAX, "memory-max", &options->memory_max, error);
	case OPTION_MEMORY_HIGH:
		return parse_key(SECTION_SERVICE, KEY_MEMORY_HIGH, "memory-high",
			&options->memory_high, error);
	case OPTION_NAME:
		return parse_name(options, error);
	case OPTION_SCAVENGE:
		return parse_key(
			SECTION_POLICY, KEY_SCAVENGE, "scavenge", &options->policy.scavenge, error);
	case OPTION_MADVISE:
		return parse_key(
			SECTION_POLICY, KEY_MADVISE, "madvise", &options->policy.madvise, error);
	case OPTION_SCAVENGE_CPU:
		return parse_key(SECTION_POLICY, KEY_SCAVENGE_CPU, "scavenge-cpu",
			&options->policy.scavenge_cpu_permille, error);
	case OPTION_CORE_WORTH:
		return parse_key(SECTION_POLICY, KEY_CORE_WORTH, "core-worth",
			&options->policy.core_worth_bytes, error);
	case OPTION_PRESSURE_SIGNALS:
		return parse_signals(options, error);
	default:
		return parse_init_option(option, reading, error);
	}
}

static bool is_help(const char *word)
{
	return word != NULL && (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0);
}

/* Whoever forgets the run in front of a file would read of a permission only. */
static bool is_file_of_ours(const char *word)
{
	size_t length = strlen(word);
	return length > 4 && strcmp(word + length - 4, ".ini") == 0 && access(word, F_OK) == 0 &&
	       access(word, X_OK) != 0;
}

/* run and check: the file, and nothing that a file has keys for.  copy-to: the folder. */
static int parse_file(char **rest, const char *wrap_option, struct options *options, char *error)
{
	if (is_help(rest[1])) {
		options->command = OPTIONS_HELP;
		return 0;
	}
	options->file = rest[1];
	if (rest[1] == NULL || rest[2] != NULL) {
		snprintf(error, OPTIONS_ERROR_BYTES, "%s: expected one %s", rest[0],
			options->command == OPTIONS_COPY ? "folder" : "file");
		return -EINVAL;
	}
	if (wrap_option[0] == '\0')
		return 0;
	snprintf(error, OPTIONS_ERROR_BYTES,
		"%s is for one wrapped command: expected it as a key of the file", wrap_option);
	return -EINVAL;
}

/* What stands after the options.  Only directly behind them are run, check, copy-to and
 * help words of ours: "spillway -- run" runs a program of that name. */
static int parse_rest(
	int argc, char **argv, const char *wrap_option, struct options *options, char *error)
{
	char **rest = argv + optind;
	bool literal = options->peer != OPTIONS_PEER_NONE || strcmp(argv[optind - 1], "--") == 0;
	if (optind >= argc) {
		snprintf(error, OPTIONS_ERROR_BYTES, "expected a command%s; see %s --help",
			options->peer == OPTIONS_PEER_NONE ? ", or run FILE, or check FILE" : "",
			options->peer == OPTIONS_PEER_NONE ? "spillway" : argv[0]);
		return -EINVAL;
	}
	bool run = !literal && strcmp(rest[0], "run") == 0;
	bool check = !literal && strcmp(rest[0], "check") == 0;
	bool copy = !literal && strcmp(rest[0], "copy-to") == 0;
	bool help = !literal && strcmp(rest[0], "help") == 0;
	options->command = run     ? OPTIONS_RUN
			   : check ? OPTIONS_CHECK
			   : copy  ? OPTIONS_COPY
			   : help  ? OPTIONS_HELP
				   : OPTIONS_WRAP;
	options->argv = rest;
	if (run || check || copy)
		return parse_file(rest, wrap_option, options, error);
	if (literal || help || !is_file_of_ours(rest[0]))
		return 0;
	snprintf(error, OPTIONS_ERROR_BYTES, "%s: not a program: expected spillway run %s", rest[0],
		rest[0]);
	return -EINVAL;
}

/* Who wraps a command wants to read about that, and of us only what happens to it.  A wrapped
 * command's usual level is notice; run has no use for that and goes from info to warn. */
static enum log_level log_level(enum options_command command, int verbosity)
{
	int usual = command == OPTIONS_WRAP ? LOG_LEVEL_NOTICE : LOG_LEVEL_INFO;
	int level = usual + verbosity;
	if (command != OPTIONS_WRAP && verbosity < 0)
		level--;
	if (level < LOG_LEVEL_ERROR)
		level = LOG_LEVEL_ERROR;
	return level > LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : (enum log_level)level;
}

static void note_wrap_option(struct reading *reading, int option, int index)
{
	if (option < OPTION_SHIM && strchr(SHORT_WRAP, option) == NULL)
		return;
	if (option >= OPTION_SHIM)
		snprintf(reading->wrap_option, sizeof reading->wrap_option, "--%s",
			long_options[index].name);
	else
		snprintf(reading->wrap_option, sizeof reading->wrap_option, "-%c", option);
}

/* dumb-init's defaults hold where it is called so, and where an option of it says that it is meant.
 */
static void settle_target(struct reading *reading)
{
	struct options *options = &reading->options;
	bool as_dumb_init = options->peer == OPTIONS_PEER_DUMB_INIT || reading->rewrites ||
			    reading->single_child;
	if (reading->single_child) {
		options->wrap.target = WRAP_TO_COMMAND;
		options->wrap.leaves_rest = true;
	} else if (options->wrap.target != WRAP_TO_GROUP && as_dumb_init) {
		options->wrap.target = WRAP_TO_SESSION;
	}
	options->wrap.stops_along = as_dumb_init || options->wrap.target == WRAP_TO_SESSION;
	if (options->wrap.target == WRAP_TO_SESSION)
		wrap_set_session(&options->wrap);
}

int options_parse(
	int argc, char **argv, struct options *options, char error[static OPTIONS_ERROR_BYTES])
{
	struct reading reading = {
		.options = {.command = OPTIONS_WRAP,
			.peer = options_peer(argv[0]),
			.shim = CONFIG_SHIM_AUTO,
			.pressure_signals = {{SIGRTMIN + 1, LEVEL_LAZY},
				{SIGRTMIN + 2, LEVEL_EAGER}, {SIGRTMIN + 3, LEVEL_FULL}},
			.pressure_signal_count = 3,
			.policy = default_policy},
	};
	struct options *parsed = &reading.options;
	int option;
	int index;
	wrap_init(&parsed->wrap);
	options_peer_environment(&parsed->wrap, &reading.verbosity, &reading.single_child);
	/* The peers pass on all signals. */
	if (parsed->peer != OPTIONS_PEER_NONE)
		parsed->pressure_signal_count = 0;
	reading.verbosity_step = parsed->peer == OPTIONS_PEER_DUMB_INIT ? 2 : 1;
	optind = 0; /* glibc: start anew, whatever was parsed before */
	while ((option = getopt_long(argc, argv, SHORT_OPTIONS, long_options, &index)) != -1) {
		if (option == '?' || option == ':')
			return refuse(argc, argv, option, error);
		note_wrap_option(&reading, option, index);
		int status = parse_option(option, &reading, error);
		if (status != 0)
			return status;
	}
	settle_target(&reading);
	if (parsed->command == OPTIONS_WRAP) {
		int status = parse_rest(argc, argv, reading.wrap_option, parsed, error);
		if (status != 0)
			return status;
	}
	parsed->log_level = log_level(parsed->command, reading.verbosity);
	*options = *parsed;
	return 0;
}

/* The command's last component, as far as a name may have its characters. */
static void name_after(const char *program, char name[static CONFIG_NAME_BYTES])
{
	const char *slash = strrchr(program, '/');
	snprintf(name, CONFIG_NAME_BYTES, "%s",
		slash != NULL && slash[1] != '\0' ? slash + 1 : program);
	for (char *at = name; *at != '\0'; at++)
		if (!isalnum((unsigned char)*at) && strchr("_.-", *at) == NULL)
			*at = '_';
	if (!names_valid(name))
		snprintf(name, CONFIG_NAME_BYTES, "service");
}

static char **copy_list(char **list)
{
	size_t count = 0;
	while (list[count] != NULL)
		count++;
	char **copy = calloc(count + 1, sizeof *copy);
	for (size_t i = 0; copy != NULL && i < count; i++) {
		copy[i] = strdup(list[i]);
		if (copy[i] != NULL)
			continue;
		while (i > 0)
			free(copy[--i]);
		free(copy);
		return NULL;
	}
	return copy;
}

int options_config(const struct options *options, struct config *config)
{
	config_defaults(config);
	struct config_service *service = config_service_add(config);
	if (service == NULL)
		return -ENOMEM;
	service->argv = copy_list(options->argv);
	service->autorestart = CONFIG_RESTART_NEVER;
	service->stopwait_ms = UINT32_MAX; /* the fleet sees to it: wrap.h */
	service->memory_max = options->memory_max;
	service->memory_high = options->memory_high;
	service->shim = options->shim;
	service->allocator = options->allocator;
	service->runtime = options->runtime;
	service->runtime_limits = options->runtime_limits;
	if (service->argv == NULL) {
		config_free(config);
		return -ENOMEM;
	}
	config->policies[0] = options->policy;
	if (options->name != NULL)
		snprintf(service->name, sizeof service->name, "%s", options->name);
	else
		name_after(options->argv[0], service->name);
	memcpy(config->supervisor.pressure_signals, options->pressure_signals,
		sizeof options->pressure_signals);
	config->supervisor.pressure_signal_count = options->pressure_signal_count;
	return 0;
}
