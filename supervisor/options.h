#ifndef SUPERVISOR_OPTIONS_H
#define SUPERVISOR_OPTIONS_H

#include "config/config.h"
#include "supervisor/base/log.h"
#include "supervisor/fleet/wrap.h"

/*
 * The command line.  A usage error exits with 2: one line on stderr, with what
 * was wrong.  In wrap mode that is a status the wrapped command may use too, as
 * it is with every wrapper.
 *
 * Called by the name of one of the small init programs, as through a link, we are that program: its
 * defaults, its status for wrong usage, all signals passed on, and nothing but a command wanted.
 * Their options and variables are known under every name.
 */

#define OPTIONS_ERROR_BYTES 256

enum options_command {
	OPTIONS_WRAP,
	OPTIONS_RUN,
	OPTIONS_CHECK,
	OPTIONS_COPY,  /* to the folder that file is */
	OPTIONS_PAUSE, /* what stands after the options is not looked at */
	OPTIONS_HELP,
	OPTIONS_HELP_ALL,
	OPTIONS_VERSION,
	OPTIONS_LICENCE
};

/* Whose name we were called by. */
enum options_peer {
	OPTIONS_PEER_NONE,
	OPTIONS_PEER_TINI, /* docker-init is another name of it */
	OPTIONS_PEER_DUMB_INIT,
	OPTIONS_PEER_CATATONIT
};

struct options {
	enum options_command command;
	enum options_peer peer;
	const char *file; /* run, check and copy; points into argv */
	char **argv;      /* wrap; points into main's */
	enum log_level log_level;
	/* Wrap; NULL = not given; point into argv. */
	const char *name;
	enum config_shim shim;
	enum config_allocator allocator;
	enum config_runtime runtime;
	bool runtime_limits;
	struct config_amount memory_max;
	struct config_amount memory_high;
	struct config_signal pressure_signals[CONFIG_SIGNALS_MAX];
	size_t pressure_signal_count;
	struct config_policy policy; /* the default one with what was given */
	struct wrap wrap;
};

/* 0, or -EINVAL with what is wrong in error. */
int options_parse(
	int argc, char **argv, struct options *options, char error[static OPTIONS_ERROR_BYTES]);

/* Wrap mode's config: the defaults and one service.  0 or -ENOMEM. */
int options_config(const struct options *options, struct config *config);

/* The texts of --help, --help-all, --version and -l, with a newline at the end. */
const char *options_help(void);
const char *options_help_all(void);
const char *options_licence(void);
const char *options_version(enum options_peer peer);

/* The exit status for wrong usage. */
int options_usage_status(const char *program);

#endif
