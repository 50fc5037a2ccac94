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

enum long_option {
	OPTION_SHIM = 256,
	OPTION_MEMORY_MAX,
	OPTION_MEMORY_HIGH,
	OPTION_NAME,
	OPTION_PRESSURE_SIGNALS,
	OPTION_SCAVENGE,
	OPTION_MADVISE,
	OPTION_SCAVENGE_CPU,
	OPTION_CORE_WORTH
};

static const struct option long_options[] = {
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"verbose", no_argument, NULL, 'v'},
	{"quiet", no_argument, NULL, 'q'},
	{"shim", required_argument, NULL, OPTION_SHIM},
	{"memory-max", required_argument, NULL, OPTION_MEMORY_MAX},
	{"memory-high", required_argument, NULL, OPTION_MEMORY_HIGH},
	{"name", required_argument, NULL, OPTION_NAME},
	{"pressure-signals", required_argument, NULL, OPTION_PRESSURE_SIGNALS},
	{"scavenge", required_argument, NULL, OPTION_SCAVENGE},
	{"madvise", required_argument, NULL, OPTION_MADVISE},
	{"scavenge-cpu", required_argument, NULL, OPTION_SCAVENGE_CPU},
	{"core-worth", required_argument, NULL, OPTION_CORE_WORTH},
	{NULL, 0, NULL, 0},
};

/* What stays of a wrapped command is told to end at once when its main process has
 * ended: whoever waits for us has 10 s as a rule, and all of it is on us. */
#define WRAP_STOPWAIT_MS 2000U

const char *options_help(void)
{
	return "usage: spillway [OPTIONS] [--] COMMAND [ARGUMENTS...]   run one service\n"
	       "       spillway [OPTIONS] run FILE.ini                  run several\n"
	       "       spillway check FILE.ini                          check a file, run nothing\n"
	       "\n"
	       "Runs services, watches how near they are to their memory limit, and has their\n"
	       "heaps give idle memory back before the kernel kills for it.\n"
	       "\n"
	       "  -v, --verbose             say more, twice everything; -q, --quiet says less, twice\n"
	       "                            errors only\n"
	       "  -h, --help, help; -V, --version\n"
	       "                            say that and exit\n"
	       "\n"
	       "For one service (a file has keys for these):\n"
	       "      --memory-max=SIZE     its limit, as 512M or 80%\n"
	       "      --memory-high=SIZE    from where on the kernel slows it down\n"
	       "      --shim=auto|off       whether to preload libspillway.so; auto by default\n"
	       "      --name=NAME           its name in the log; the command's by default\n"
	       "      --pressure-signals=SIGNAL:LEVEL,...|off\n"
	       "                            signals that ask it to give back memory, by default\n"
	       "                            RTMIN+1:lazy,RTMIN+2:eager,RTMIN+3:full; all others\n"
	       "                            are passed on to it\n"
	       "      --scavenge=adaptive|off|go1.11|go1.12|go1.13|decay\n"
	       "                            what decides at calm which idle memory goes;\n"
	       "                            adaptive by default\n"
	       "      --madvise=auto|dontneed\n"
	       "                            how it goes: as that says, or always MADV_DONTNEED\n"
	       "      --scavenge-cpu=SHARE  of one CPU, the most that may take; 1% by default\n"
	       "      --core-worth=SIZE     so much idle memory costs as much as one busy CPU;\n"
	       "                            1G by default\n"
	       "\n"
	       "A wrapped command's exit status is passed on, 128+N where signal N ended it; 127 "
	       "it\n"
	       "was not found, 126 it could not be run, 2 wrong usage.  run exits with 0 when it "
	       "was\n"
	       "told to stop or all services ended well, with 1 when they did not.\n";
}

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

/* Where getopt stopped: text that it refused, with the value it may carry. */
static int refuse(int argc, char **argv, int option, char *error)
{
	const char *problem =
		option == ':' ? "needs a value" : "no such option, or no value wanted";
	const char *text = optind <= argc && optind > 0 ? argv[optind - 1] : "";
	/* The short ones that there are come here only as --verbose=3 and the like. */
	if (option == '?' && optopt > 0 && optopt < 256 && strchr("vqhV", optopt) == NULL)
		snprintf(error, OPTIONS_ERROR_BYTES, "-%c: no such option; see spillway --help",
			optopt);
	else
		snprintf(error, OPTIONS_ERROR_BYTES, "%s: %s; see spillway --help", text, problem);
	return -EINVAL;
}

static int parse_option(int option, struct options *options, int *verbosity, char *error)
{
	switch (option) {
	case 'v':
		++*verbosity;
		return 0;
	case 'q':
		--*verbosity;
		return 0;
	case 'h':
		options->command = OPTIONS_HELP;
		return 0;
	case 'V':
		options->command = OPTIONS_VERSION;
		return 0;
	case OPTION_SHIM:
		return parse_key(SECTION_SERVICE, KEY_SHIM, "shim", &options->shim, error);
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
	default:
		return parse_signals(options, error);
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

/* run and check: the file, and nothing that a file has keys for. */
static int parse_file(char **rest, const char *wrap_option, struct options *options, char *error)
{
	if (is_help(rest[1])) {
		options->command = OPTIONS_HELP;
		return 0;
	}
	options->file = rest[1];
	if (rest[1] == NULL || rest[2] != NULL) {
		snprintf(error, OPTIONS_ERROR_BYTES, "%s: expected one file", rest[0]);
		return -EINVAL;
	}
	if (wrap_option == NULL)
		return 0;
	snprintf(error, OPTIONS_ERROR_BYTES,
		"--%s is for one wrapped command: expected it as a key of the file", wrap_option);
	return -EINVAL;
}

/* What stands after the options.  Only directly behind them are run, check and help
 * words of ours: "spillway -- run" runs a program of that name. */
static int parse_rest(
	int argc, char **argv, const char *wrap_option, struct options *options, char *error)
{
	char **rest = argv + optind;
	bool literal = strcmp(argv[optind - 1], "--") == 0;
	if (optind >= argc) {
		snprintf(error, OPTIONS_ERROR_BYTES,
			"expected a command, or run FILE, or check FILE; see spillway --help");
		return -EINVAL;
	}
	bool run = !literal && strcmp(rest[0], "run") == 0;
	bool check = !literal && strcmp(rest[0], "check") == 0;
	bool help = !literal && strcmp(rest[0], "help") == 0;
	options->command = run     ? OPTIONS_RUN
			   : check ? OPTIONS_CHECK
			   : help  ? OPTIONS_HELP
				   : OPTIONS_WRAP;
	options->argv = rest;
	if (run || check)
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

int options_parse(
	int argc, char **argv, struct options *options, char error[static OPTIONS_ERROR_BYTES])
{
	struct options parsed = {
		.command = OPTIONS_WRAP,
		.shim = CONFIG_SHIM_AUTO,
		.pressure_signals = {{SIGRTMIN + 1, LEVEL_LAZY}, {SIGRTMIN + 2, LEVEL_EAGER},
			{SIGRTMIN + 3, LEVEL_FULL}},
		.pressure_signal_count = 3,
		.policy = default_policy,
	};
	int verbosity = 0; /* steps from the usual level */
	int option;
	int index;
	const char *wrap_option = NULL; /* one that only a wrapped command has */
	optind = 0;                     /* glibc: start anew, whatever was parsed before */
	while ((option = getopt_long(argc, argv, "+:vqhV", long_options, &index)) != -1) {
		if (option == '?' || option == ':')
			return refuse(argc, argv, option, error);
		if (option >= OPTION_SHIM)
			wrap_option = long_options[index].name;
		int status = parse_option(option, &parsed, &verbosity, error);
		if (status != 0)
			return status;
	}
	if (parsed.command == OPTIONS_WRAP) {
		int status = parse_rest(argc, argv, wrap_option, &parsed, error);
		if (status != 0)
			return status;
	}
	parsed.log_level = log_level(parsed.command, verbosity);
	*options = parsed;
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
	*service = (struct config_service){
		.argv = copy_list(options->argv),
		.autorestart = CONFIG_RESTART_NEVER,
		.stopsignal = SIGTERM,
		.stopwait_ms = WRAP_STOPWAIT_MS,
		.memory_max = options->memory_max,
		.memory_high = options->memory_high,
		.shim = options->shim,
	};
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
