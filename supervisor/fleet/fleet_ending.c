/* Stops all services, and ends what is left below us. */
#include "supervisor/fleet/fleet_private.h"

#include <signal.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/fleet/fleet_order.h"
#include "supervisor/process/descendants.h"

/* What is left at the very end has so long between TERM and KILL, and then to go. */
#define LAST_SWEEP_MS 2000U
#define LAST_KILL_MS 1000U
#define KILL_AGAIN_MS 50U
/* How often the list is read at a time, and how soon again. */
#define TELL_ROUNDS 20
#define TELL_AGAIN_MS 10U

/* What was stopped by hand may be wanted again, and any program of supervisord's, unless we are
 * stopped. */
static bool all_down(const struct fleet *fleet)
{
	if (fleet->config.stays && !fleet->stopping)
		return false;
	for (size_t i = 0; i < fleet->count; i++)
		if (!service_is_down(fleet->service[i]) ||
			(fleet->service[i]->held && !fleet->stopping))
			return false;
	return true;
}

static void kill_all(struct fleet *fleet, uint64_t now_ms)
{
	for (size_t i = 0; i < fleet->count; i++) {
		service_stop(fleet->service[i], &fleet->host, now_ms);
		service_kill(fleet->service[i]);
	}
}

void fleet_stop(struct fleet *fleet, uint64_t now_ms)
{
	if (fleet->stopping) {
		log_warn("told to stop again: killing what is left");
		fleet->killing = true;
		kill_all(fleet, now_ms);
	}
	fleet->stopping = true;
	for (size_t i = 0; i < fleet->count; i++)
		fleet_order_stop(fleet->service[i]);
	fleet_reload_drop(fleet);
}

/* One that did not come up has failed, whatever its last status was. */
void fleet_on_exit_step(struct fleet *fleet, uint64_t now_ms)
{
	for (size_t i = 0; i < fleet->count && !fleet->stopping; i++) {
		const struct service *service = fleet->service[i];
		enum restart_state state = service->restart.state;
		if (service->config->on_exit != CONFIG_ON_EXIT_SHUTDOWN ||
			(state != RESTART_EXITED && state != RESTART_FATAL))
			continue;
		log_notice("%s: it has ended with %d, and everything ends with it",
			service->config->name, service->exit_status);
		fleet->ended_by_service = true;
		fleet->ended_status = service->exit_status;
		if (state == RESTART_FATAL && fleet->ended_status == 0)
			fleet->ended_status = 1;
		fleet_stop(fleet, now_ms);
	}
}

/* Until nobody new is found: what forks faster than we read is met again soon. */
static void tell(struct fleet *fleet, pid_t group, uint64_t now_ms)
{
	int found = 1;
	for (int round = 0; found > 0 && round < TELL_ROUNDS; round++) {
		found = descendants_terminate(getpid(), group, &fleet->told);
		group = 0;
	}
	fleet->looked_ms = now_ms;
	fleet->look_ms = found > 0 ? now_ms + TELL_AGAIN_MS : UINT64_MAX;
}

void fleet_ending_look(struct fleet *fleet)
{
	fleet->look_ms = fleet->looked_ms + TELL_AGAIN_MS;
}

static void begin_sweep(struct fleet *fleet, pid_t group, uint64_t now_ms)
{
	if (fleet->host.take_terminal)
		tcsetpgrp(STDIN_FILENO, getpgrp());
	if (fleet->inherited != NULL)
		descriptors_give_up(fleet->inherited);
	if (!fleet->killing)
		tell(fleet, group, now_ms);
	fleet->ending = FLEET_SWEEPS;
	fleet->ending_ms = fleet->wrap ? wrap_deadline_ms(&fleet->as, fleet->stop_told_ms, now_ms)
				       : now_ms + LAST_SWEEP_MS;
}

void fleet_stop_told(struct fleet *fleet, uint64_t now_ms)
{
	if (fleet->stop_told_ms == 0)
		fleet->stop_told_ms = now_ms;
}

void fleet_ending_begin(struct fleet *fleet, uint64_t now_ms)
{
	tick_end_guard(fleet->host.tick);
	if (!fleet->as.leaves_rest)
		begin_sweep(fleet, fleet->service[0]->pid, now_ms);
}

/* Where no list of processes can be had, all of the namespace are ours, or the services' groups and
 * leaves are what we know. */
static void kill_rest(struct fleet *fleet)
{
	if (descendants_signal(getpid(), SIGKILL) >= 0)
		return;
	if (getpid() == 1)
		kill(-1, SIGKILL);
	for (size_t i = 0; i < fleet->count; i++)
		service_kill(fleet->service[i]);
}

/* The stop budget is the command's, too. */
static void end_command(struct fleet *fleet, uint64_t now_ms)
{
	struct service *service = fleet->service[0];
	uint64_t due_ms = wrap_command_deadline_ms(&fleet->as, fleet->stop_told_ms);
	if (!service->lives || fleet->killing || now_ms < due_ms)
		return;
	log_warn("%s: still there %llu ms after it was told to stop, killed", service->config->name,
		(unsigned long long)(now_ms - fleet->stop_told_ms));
	fleet->killing = true;
	service_kill(service);
}

void fleet_ending_step(struct fleet *fleet, uint64_t now_ms)
{
	if (fleet->wrap)
		end_command(fleet, now_ms);
	bool main_is_gone = fleet->wrap && fleet->service[0]->pid != 0 && !fleet->service[0]->lives;
	if (!main_is_gone && (!all_down(fleet) || fleet->reload != NULL)) {
		/* A reload during the sweep has brought services back. */
		fleet->ending = FLEET_SERVES;
		return;
	}
	tick_end_guard(fleet->host.tick);
	if (fleet->childless || fleet->as.leaves_rest) {
		loop_stop(fleet->loop);
		return;
	}
	if (fleet->ending == FLEET_SERVES)
		begin_sweep(fleet, 0, now_ms);
	if (fleet->ending == FLEET_SWEEPS && (fleet->killing || now_ms >= fleet->ending_ms)) {
		fleet->ending = FLEET_KILLS;
		fleet->ending_ms = now_ms + LAST_KILL_MS;
	}
	if (fleet->ending == FLEET_SWEEPS && now_ms >= fleet->look_ms)
		tell(fleet, 0, now_ms);
	if (fleet->ending != FLEET_KILLS)
		return;
	/* Again every time: what was forked while the last list was read is not on it. */
	kill_rest(fleet);
	if (now_ms >= fleet->ending_ms) {
		log_warn("leaving processes behind that cannot be killed");
		loop_stop(fleet->loop);
	}
}

uint64_t fleet_ending_deadline_ms(const struct fleet *fleet, uint64_t now_ms)
{
	switch (fleet->ending) {
	case FLEET_SERVES:
		if (!fleet->wrap || fleet->killing)
			return UINT64_MAX;
		return wrap_command_deadline_ms(&fleet->as, fleet->stop_told_ms);
	case FLEET_SWEEPS:
		return fleet->look_ms < fleet->ending_ms ? fleet->look_ms : fleet->ending_ms;
	case FLEET_KILLS:
		break;
	}
	return now_ms + KILL_AGAIN_MS < fleet->ending_ms ? now_ms + KILL_AGAIN_MS
							 : fleet->ending_ms;
}
