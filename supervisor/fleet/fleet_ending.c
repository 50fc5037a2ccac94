/* Stops the services one after another, and ends what is left below us. */
#include "supervisor/fleet/fleet_private.h"

#include <signal.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/process/descendants.h"

/* What is left at the very end has so long between TERM and KILL, and then to go. */
#define LAST_SWEEP_MS 2000U
#define LAST_KILL_MS 1000U
#define KILL_AGAIN_MS 50U

/* What was stopped by hand may be wanted again, unless we are stopped. */
static bool all_down(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (!service_is_down(fleet->service[i]) ||
			(fleet->service[i]->held && !fleet->stopping))
			return false;
	return true;
}

/* One after another from the last to the first: a service may count on those before it
 * until it is down itself.  What waits for a restart has nothing to wait for. */
void fleet_stop_step(struct fleet *fleet, uint64_t now_ms)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (fleet->service[i]->restart.state == RESTART_BACKOFF)
			service_stop(fleet->service[i], &fleet->host, now_ms);
	for (size_t i = fleet->count; i-- > 0;) {
		struct service *service = fleet->service[i];
		if (service_is_down(service))
			continue;
		if (service->restart.state != RESTART_STOPPING) {
			log_info("%s: stopping", service->config->name);
			service_stop(service, &fleet->host, now_ms);
		}
		return;
	}
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
	fleet_reload_drop(fleet);
}

static void begin_sweep(struct fleet *fleet, uint64_t now_ms)
{
	if (fleet->host.take_terminal)
		tcsetpgrp(STDIN_FILENO, getpgrp());
	if (!fleet->killing)
		descendants_signal(getpid(), SIGTERM);
	fleet->ending = FLEET_SWEEPS;
	fleet->ending_ms = now_ms + LAST_SWEEP_MS;
}

/* The last sweep.  In wrap mode it starts with the death of the main process, and what
 * the service would sweep by itself is part of it. */
void fleet_ending_step(struct fleet *fleet, uint64_t now_ms)
{
	bool main_is_gone = fleet->wrap && fleet->service[0]->pid != 0 && !fleet->service[0]->lives;
	if (!main_is_gone && (!all_down(fleet) || fleet->reload != NULL)) {
		/* A reload during the sweep has brought services back. */
		fleet->ending = FLEET_SERVES;
		return;
	}
	tick_end_guard(fleet->host.tick);
	if (fleet->childless) {
		loop_stop(fleet->loop);
		return;
	}
	if (fleet->ending == FLEET_SERVES)
		begin_sweep(fleet, now_ms);
	if (fleet->ending == FLEET_SWEEPS && (fleet->killing || now_ms >= fleet->ending_ms)) {
		fleet->ending = FLEET_KILLS;
		fleet->ending_ms = now_ms + LAST_KILL_MS;
	}
	if (fleet->ending != FLEET_KILLS)
		return;
	/* Again every time: what was forked while the last list was read is not on it. */
	descendants_signal(getpid(), SIGKILL);
	if (now_ms >= fleet->ending_ms) {
		log_warn("leaving processes behind that cannot be killed");
		loop_stop(fleet->loop);
	}
}

uint64_t fleet_ending_deadline_ms(const struct fleet *fleet, uint64_t now_ms)
{
	if (fleet->ending == FLEET_SERVES)
		return UINT64_MAX;
	if (fleet->ending == FLEET_KILLS && now_ms + KILL_AGAIN_MS < fleet->ending_ms)
		return now_ms + KILL_AGAIN_MS;
	return fleet->ending_ms;
}
