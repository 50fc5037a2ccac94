#ifndef SUPERVISOR_OPTIONS_H
#define SUPERVISOR_OPTIONS_H

#include "config/config.h"
#include "supervisor/base/log.h"

/*
 * The command line.  A usage error exits with 2: one line on stderr, with what
 * was wrong.  In wrap mode that is a status the wrapped command may use too, as
 * it is with every wrapper.
 */

#define OPTIONS_ERROR_BYTES 256
#define OPTIONS_STATUS_USAGE 2

enum options_command { OPTIONS_WRAP, OPTIONS_RUN, OPTIONS_CHECK, OPTIONS_HELP, OPTIONS_VERSION };

struct options {
	enum options_command command;
	const char *file; /* run and check; points into argv */
	char **argv;      /* wrap; points into main's */
	enum log_level log_level;
	/* Wrap; NULL = not given; point into argv. */
	const char *name;
	enum config_shim shim;
	struct config_amount memory_max;
	struct config_amount memory_high;
	struct config_signal pressure_signals[CONFIG_SIGNALS_MAX];
	size_t pressure_signal_count;
	struct config_policy policy; /* the default one with what was given */
};

/* 0, or -EINVAL with what is wrong in error. */
int options_parse(
	int argc, char **argv, struct options *options, char error[static OPTIONS_ERROR_BYTES]);

/* Wrap mode's config: the defaults and one service.  0 or -ENOMEM. */
int options_config(const struct options *options, struct config *config);

const char *options_help(void);

#endif
