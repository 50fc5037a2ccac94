/* What the loop waits for: triggers, memory.events, notifications and the listener. */
#include "supervisor/tick/tick_private.h"

#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/base/root.h"

/* Of a trigger that needs no privilege. */
#define MACHINE_WINDOW_MS 2000U

/* The least lazy pressure that brings any service to lazy; permille 0 = none does. */
static struct config_psi least_pressure(const struct tick *tick)
{
	struct config_psi least = {0};
	for (size_t i = 0; i < tick->count; i++) {
		const struct config_psi *pressure =
			&tick->service[i]->policy_config.at[LEVEL_LAZY].pressure;
		if (pressure->permille != 0 &&
			(least.permille == 0 || pressure->permille < least.permille))
			least = *pressure;
	}
	return least;
}

static bool needs_care(const struct tick *tick, const struct tick_watched *trigger)
{
	return trigger->now.file_fd >= 0 && tick->mode.window_ms > 500;
}

/* The directory of all services; -1 where it may have no watches. */
static int open_base(const struct tick *tick)
{
	const char *directory =
		tick->mode.v2 ? tick_directory(tick) : tick->mode.pressure_directory;
	return directory[0] != '\0' ? root_open_directory(tick->root_fd, directory) : -1;
}

/* Where the stall that policy heeds is that of the whole machine, so is its trigger: with the
 * longest of the usual windows, since others' limits wake us too.  Not during a start, which needs
 * none. */
static void open_machine_trigger(struct tick *tick)
{
	bool is_machines = tick->mode.pressure_directory[0] == '\0' && !tick->mode.v2 &&
			   tick->sample.shared_stall.known;
	if (!is_machines || tick->limits_due_ms != UINT64_MAX || tick->psi.now.file_fd >= 0 ||
		tick->psi_wanted.permille == 0)
		return;
	if (psi_open_trigger(&tick->psi.now, tick->root_fd, "proc/pressure/memory",
		    &tick->psi_wanted, MACHINE_WINDOW_MS) != 0)
		return;
	sampler_note_trigger(tick->sampler, true);
	tick->generation++;
}

/* Never allowed at the root of a cgroup namespace. */
static void open_base_trigger(struct tick *tick, const struct config_psi *wanted)
{
	int fd = open_base(tick);
	tick->psi_wanted = *wanted;
	if (fd >= 0 && tick->mode.window_ms != 0 && wanted->permille != 0)
		psi_open_trigger(
			&tick->psi.now, fd, "memory.pressure", wanted, tick->mode.window_ms);
	sampler_note_trigger(tick->sampler, needs_care(tick, &tick->psi));
	if (fd >= 0)
		close(fd);
	open_machine_trigger(tick);
}

void tick_watches_open(struct tick *tick)
{
	int fd = open_base(tick);
	if (fd >= 0 && tick->mode.v2)
		psi_open_events(&tick->events.now, fd, "memory.events");
	if (fd >= 0)
		close(fd);
}

/* Any of them may be another one. */
static void forget_limits(struct tick *tick)
{
	for (size_t i = 0; i < tick->count; i++)
		tick->service[i]->sampler.limit_known = false;
}

/* What is written between this and the reading of the limits, later in this turn, is read there and
 * told once more. */
static void watch_limits(struct tick *tick)
{
	tick->limits_due_ms = UINT64_MAX;
	open_machine_trigger(tick);
	pressure_directory_sweep(tick->pressure);
	if (limit_watch_open(&tick->limits) != 0)
		return;
	sampler_watch_limits(tick->sampler, &tick->limits);
	for (size_t i = 0; i < tick->count; i++)
		tick_service_watch_limit(tick->service[i], &tick->limits);
	tick->generation++;
}

bool tick_watched_is_settled(const struct tick_watched *watched)
{
	return watched->retired.epoll_fd < 0;
}

/* A dead file stays ready for ever.  false: one before it still waits for the loop. */
static bool retire(struct tick *tick, struct tick_watched *watched)
{
	if (!tick_watched_is_settled(watched))
		return false;
	watched->retired = watched->now;
	watched->now = PSI_WATCH_NONE;
	tick->generation++;
	return true;
}

void tick_watches_note_trigger(struct tick *tick, struct tick_service *service)
{
	service->sampler.stall.slow = needs_care(tick, &service->psi);
}

bool tick_watches_poll_stall(const struct tick *tick)
{
	if (tick->psi.now.file_fd < 0 && tick->sample.shared_stall.known &&
		least_pressure(tick).permille != 0)
		return true;
	for (size_t i = 0; i < tick->count; i++) {
		const struct tick_service *service = tick->service[i];
		if (service->psi.now.file_fd < 0 && service->policy.sample.stall.known &&
			service->policy_config.at[LEVEL_LAZY].pressure.permille != 0)
			return true;
	}
	return false;
}

static void renew_trigger(struct tick *tick, struct tick_service *service)
{
	const struct config_psi *wanted = &service->policy_config.at[LEVEL_LAZY].pressure;
	if (!service->prepared || psi_same(&service->psi_wanted, wanted))
		return;
	if (!retire(tick, &service->psi)) {
		tick->triggers_stale = true;
		return;
	}
	tick_service_trigger(service, tick->mode.window_ms);
	tick_watches_note_trigger(tick, service);
}

static void renew_triggers(struct tick *tick)
{
	const struct config_psi least = least_pressure(tick);
	tick->triggers_stale = false;
	for (size_t i = 0; i < tick->count; i++)
		renew_trigger(tick, tick->service[i]);
	if (psi_same(&tick->psi_wanted, &least))
		return;
	if (retire(tick, &tick->psi))
		open_base_trigger(tick, &least);
	else
		tick->triggers_stale = true;
}

void tick_watches_renew(struct tick *tick, uint64_t now_ms)
{
	if (tick->triggers_stale)
		renew_triggers(tick);
	if (tick->limits_due_ms == 0)
		tick->limits_due_ms = now_ms + LIMIT_WATCH_AFTER_MS;
	if (now_ms >= tick->limits_due_ms)
		watch_limits(tick);
	if (limit_watch_step(&tick->limits, now_ms)) {
		forget_limits(tick);
		tick->generation++;
	}
}

uint64_t tick_watches_generation(const struct tick *tick)
{
	return tick->generation;
}

int tick_watch_fd(
	const struct tick *tick, const struct tick_service *service, enum tick_watch_kind kind)
{
	const struct tick_watched *psi = service != NULL ? &service->psi : &tick->psi;
	const struct tick_watched *events = service != NULL ? &service->events : &tick->events;
	switch (kind) {
	case TICK_WATCH_PSI:
		return psi->now.epoll_fd;
	case TICK_WATCH_EVENTS:
		return events->now.epoll_fd;
	case TICK_WATCH_NOTIFIER:
		return service != NULL && service->prepared ? notifier_fd(service->notifier) : -1;
	case TICK_WATCH_LISTENER:
		return service == NULL && tick->listener != NULL ? link_listener_fd(tick->listener)
								 : -1;
	case TICK_WATCH_LIMITS:
		return service == NULL ? limit_watch_fd(&tick->limits) : -1;
	default:
		return -1;
	}
}

void tick_watches_settled(struct tick *tick)
{
	psi_close(&tick->psi.retired);
	psi_close(&tick->events.retired);
	for (size_t i = 0; i < tick->count; i++) {
		psi_close(&tick->service[i]->psi.retired);
		psi_close(&tick->service[i]->events.retired);
	}
}

static void woken_by_trigger(struct tick *tick, struct tick_service *service)
{
	struct tick_watched *psi = service != NULL ? &service->psi : &tick->psi;
	log_debug("%s: memory.pressure trigger",
		service != NULL ? service->config.name : "all services");
	tick->was_stalled = true;
	if (service != NULL)
		service->psi_wakes++;
	if (!psi_trigger_alive(&psi->now)) {
		retire(tick, psi);
		tick->leaves_looked_ms = 0;
	}
}

static void woken_by_events(struct tick *tick, struct tick_service *service)
{
	struct tick_watched *events = service != NULL ? &service->events : &tick->events;
	if (service != NULL) {
		service->events_wakes++;
		service->sampler.events_known = false;
	}
	if (!psi_events_rearm(&events->now)) {
		retire(tick, events);
		tick->leaves_looked_ms = 0;
	}
}

void tick_woken(
	struct tick *tick, struct tick_service *service, enum tick_watch_kind kind, uint64_t now_ms)
{
	if (tick_watch_fd(tick, service, kind) < 0)
		return;
	switch (kind) {
	case TICK_WATCH_PSI:
		woken_by_trigger(tick, service);
		break;
	case TICK_WATCH_EVENTS:
		woken_by_events(tick, service);
		break;
	case TICK_WATCH_NOTIFIER:
		service->notifier_wakes++;
		tick->notified = true;
		notifier_drain(service->notifier);
		break;
	case TICK_WATCH_LISTENER:
		link_listener_serve(tick->listener, now_ms);
		break;
	case TICK_WATCH_LIMITS:
		log_debug("a limit was written");
		forget_limits(tick);
		limit_watch_woken(&tick->limits, now_ms);
		tick->generation++;
		break;
	case TICK_WATCH_KINDS:
		break;
	}
}
