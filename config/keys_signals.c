/* Reads which signals ask for a release. */
#include "config/keys_signals.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/keys_choice.h"
#include "config/units.h"

/* Those that already mean something to the supervisor, cannot be caught, or are
 * raised by a fault of its own. */
static bool signal_taken(int number)
{
	static const int taken[] = {SIGKILL, SIGSTOP, SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGSEGV,
		SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT};

	for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
		if (taken[i] == number)
			return true;
	return false;
}

/* "USR1:eager" */
static int pressure_signal_parse(char *text, struct config_signal *parsed, const char **why)
{
	char *level = strchr(text, ':');

	if (level == NULL) {
		*why = "a signal without :LEVEL";
		return -EINVAL;
	}
	*level++ = '\0';
	if (units_parse_signal(text, &parsed->number) != 0) {
		*why = "an unknown signal";
		return -EINVAL;
	}
	if (signal_taken(parsed->number)) {
		*why = "a signal that the supervisor needs for itself or cannot have";
		return -EINVAL;
	}
	if (keys_parse_level(level, &parsed->level, why) == 0)
		return 0;
	*why = "an unknown level (lazy, eager or full)";
	return -EINVAL;
}

static int pressure_signal_add(
	struct config_supervisor *to, struct config_signal signal, const char **why)
{
	for (size_t i = 0; i < to->pressure_signal_count; i++) {
		if (to->pressure_signals[i].number == signal.number) {
			*why = "the same signal twice";
			return -EINVAL;
		}
	}
	if (to->pressure_signal_count == CONFIG_SIGNALS_MAX) {
		*why = "more than 8 signals";
		return -ERANGE;
	}
	to->pressure_signals[to->pressure_signal_count++] = signal;
	return 0;
}

int keys_parse_pressure_signals(const char *text, void *field, const char **why)
{
	struct config_supervisor *to = field;
	struct config_supervisor parsed = {0};
	char *copy = strdup(text);
	char *rest = copy;
	char *item;
	int error = 0;

	if (copy == NULL) {
		*why = "out of memory";
		return -ENOMEM;
	}
	while (error == 0 && strcmp(text, "off") != 0 && (item = strsep(&rest, " \t,")) != NULL) {
		struct config_signal signal = {0};
		if (*item == '\0')
			continue;
		error = pressure_signal_parse(item, &signal, why);
		if (error == 0)
			error = pressure_signal_add(&parsed, signal, why);
	}
	if (error == 0 && parsed.pressure_signal_count == 0 && strcmp(text, "off") != 0)
		error = -EINVAL;
	if (error == 0) {
		memcpy(to->pressure_signals, parsed.pressure_signals, sizeof to->pressure_signals);
		to->pressure_signal_count = parsed.pressure_signal_count;
	}
	free(copy);
	return error;
}
