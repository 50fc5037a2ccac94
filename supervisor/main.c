/* Only wires: options, configuration, signals, log and fleet. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "supervisor/process/descriptors.h"
#include "supervisor/fleet/fleet.h"
#include "supervisor/base/log.h"
#include "supervisor/cgroup/mode.h"
#include "supervisor/check.h"
#include "supervisor/copy.h"
#include "supervisor/options.h"
#include "supervisor/pause.h"
#include "supervisor/process/signals.h"

static int fatal(const char *what, int error)
{
	fprintf(stderr, "spillway: %s: %s\n", what, strerror(-error));
	return EXIT_FAILURE;
}

static int load(const char *file, struct config *config)
{
	struct config_errors *errors = calloc(1, sizeof *errors);
	if (errors == NULL)
		return fatal("config", -ENOMEM), -ENOMEM;
	int error = config_load(file, config, errors);
	config_notes_print(file, errors, stderr);
	if (error != 0)
		config_errors_print(file, errors, stderr);
	free(errors);
	return error;
}

/* -EINVAL, and said, when there is nothing to run in it. */
static int expect_services(const char *file, const struct config *config)
{
	if (config->service_count > 0)
		return 0;
	fprintf(stderr,
		"%s: nothing to run: expected at least one [service:NAME] or [program:NAME]\n",
		file);
	return -EINVAL;
}

static int check(const char *file, struct config *config)
{
	if (load(file, config) != 0)
		return EXIT_FAILURE;
	int error = expect_services(file, config);
	if (error == 0 && check_services(file, config, stderr) > 0)
		error = -ENOENT;
	if (error == 0)
		printf("%s: ok, %zu service%s, %zu polic%s\n", file, config->service_count,
			config->service_count == 1 ? "" : "s", config->policy_count,
			config->policy_count == 1 ? "y" : "ies");
	if (error == 0)
		check_limits(file, config, stdout);
	if (error == 0)
		check_say_allocators(file, config, stdout);
	config_free(config);
	return error == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* Takes the config.  Signals come before all that could start a thread. */
static int supervise(
	const struct options *options, struct config *config, struct descriptors *inherited)
{
	struct signals signals;
	struct fleet *fleet;
	int error = signals_open(&signals);
	if (error != 0)
		return fatal("signals", error);
	error = log_start();
	if (error != 0)
		log_warn("log: no thread to write it (%s): a reader that stops stops us as well",
			strerror(-error));
	struct fleet_start start = {.config = config,
		.file = options->file,
		.wrap = &options->wrap,
		.signals = &signals,
		.inherited = inherited,
		.control = options->command == OPTIONS_RUN};
	int status = EXIT_FAILURE;
	descriptors_raise(inherited);
	if (options->command == OPTIONS_RUN)
		descriptors_close_unasked(inherited);
	error = fleet_new(&start, &fleet);
	if (error == 0) {
		status = fleet_run(fleet);
		fleet_free(fleet);
	} else {
		log_error("cannot start: %s", strerror(-error));
	}
	log_stop();
	signals_close(&signals);
	return status;
}

static int run(const struct options *options, struct descriptors *inherited)
{
	struct config *config = calloc(1, sizeof *config);
	if (config == NULL)
		return fatal("config", -ENOMEM);
	if (options->command == OPTIONS_CHECK) {
		int status = check(options->file, config);
		free(config);
		return status;
	}
	int error = options->command == OPTIONS_RUN ? load(options->file, config)
						    : options_config(options, config);
	if (error == 0 && expect_services(options->file, config) != 0) {
		config_free(config);
		error = -EINVAL;
	}
	if (error != 0) {
		free(config);
		return EXIT_FAILURE;
	}
	return supervise(options, config, inherited);
}

static int obey(int argc, char **argv, struct descriptors *inherited)
{
	struct options options;
	char problem[OPTIONS_ERROR_BYTES];
	if (options_parse(argc, argv, &options, problem) != 0) {
		fprintf(stderr, "spillway: %s\n", problem);
		return options_usage_status(argv[0]);
	}
	log_set_level(options.log_level);
	switch (options.command) {
	case OPTIONS_HELP:
		fputs(options_help(), stdout);
		return EXIT_SUCCESS;
	case OPTIONS_HELP_ALL:
		fputs(options_help_all(), stdout);
		return EXIT_SUCCESS;
	case OPTIONS_VERSION:
		fputs(options_version(options.peer), stdout);
		return EXIT_SUCCESS;
	case OPTIONS_LICENCE:
		fputs(options_licence(), stdout);
		return EXIT_SUCCESS;
	case OPTIONS_COPY:
		return copy_to(options.file);
	case OPTIONS_PAUSE:
		return pause_run();
	default:
		return run(&options, inherited);
	}
}

int main(int argc, char **argv)
{
	struct descriptors inherited;
	int error = descriptors_note(&inherited);
	if (error != 0)
		return fatal("descriptors", error);
	int status = obey(argc, argv, &inherited);
	descriptors_free(&inherited);
	return status;
}
