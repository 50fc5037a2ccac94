/* What the signals mean. */
#include "supervisor/fleet/fleet_private.h"

#include <signal.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/base/output.h"

static bool asks_for_release(struct fleet *fleet, int number)
{
	const struct config_supervisor *config = &fleet->config;
	for (size_t i = 0; i < config->pressure_signal_count; i++) {
		if (config->pressure_signals[i].number != number)
			continue;
		tick_ask(fleet->host.tick, NULL, config->pressure_signals[i].level, 0);
		fleet->tick_ms = 0;
		return true;
	}
	return false;
}

static void pass_on(struct fleet *fleet, int number, uint64_t now_ms)
{
	const struct wrap *as = &fleet->as;
	bool ends = number == SIGTERM || number == SIGINT || number == SIGQUIT;
	bool stops = number == SIGTSTP || number == SIGTTIN || number == SIGTTOU;
	if (!as->stops_along && (number == SIGTTIN || number == SIGTTOU))
		return;
	/* Nobody is there to take it: whoever sends it wants us to end. */
	if (fleet->ending != FLEET_SERVES && ends) {
		fleet->killing = true;
		return;
	}
	if (ends)
		fleet_stop_told(fleet, now_ms);
	if (as->sent[number] != 0 && as->target == WRAP_TO_COMMAND)
		service_signal(fleet->service[0], as->sent[number]);
	else if (as->sent[number] != 0)
		service_signal_group(fleet->service[0], as->sent[number]);
	/* Nothing runs here until somebody sends CONT, which is then passed on as well. */
	if (stops && as->stops_along)
		kill(getpid(), SIGSTOP);
}

static void obey(struct fleet *fleet, int number, uint64_t now_ms)
{
	char name[SIGNALS_NAME_BYTES];
	switch (number) {
	case SIGTERM:
	case SIGINT:
	case SIGQUIT:
		log_info("SIG%s: stopping", signals_name(number, name));
		fleet_stop(fleet, now_ms);
		break;
	case SIGHUP:
		fleet_reload_start(fleet);
		break;
	case SIGUSR2:
		log_info("SIGUSR2: log files are opened anew");
		output_reopen_all();
		break;
	default:
		break;
	}
}

void fleet_on_signal(void *context)
{
	struct fleet *fleet = context;
	struct signals_event event;
	bool reaped = false;
	for (unsigned taken = 0;
		taken < FLEET_SIGNALS_MOST && signals_read(fleet->host.signals, &event) == 1;
		taken++) {
		uint64_t now_ms = loop_now_ms();
		if (event.number == SIGCHLD) {
			fleet_terminal_note_stop(fleet);
			if (!reaped)
				fleet_reap(fleet, now_ms);
			else
				fleet->unreaped = true;
			reaped = true;
		} else if (event.from_us || asks_for_release(fleet, event.number)) {
			continue;
		} else if (fleet->wrap) {
			pass_on(fleet, event.number, now_ms);
		} else {
			obey(fleet, event.number, now_ms);
		}
	}
	fleet_turn(fleet);
}
