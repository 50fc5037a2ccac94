/* Starts and stops services along what they need. */
#include "supervisor/fleet/fleet_order.h"

#include "supervisor/base/log.h"
#include "supervisor/fleet/fleet_private.h"

/* By itself it will not be up again. */
static bool has_failed(const struct service *service)
{
	return !service->wanted && !service->ends && service_is_down(service) &&
	       !service_has_succeeded(service);
}

/* What requires it cannot run. */
static bool is_lost(const struct service *service)
{
	return service->ends || service->lacks || has_failed(service);
}

/* Whether it allows that to start which is after it. */
static bool is_settled(const struct service *service, bool is_required)
{
	if (service->ends)
		return false;
	if (service->wanted)
		return service->lacks && !is_required;
	if (service_is_down(service))
		return !is_required || service_has_succeeded(service);
	if (service->restart.state == RESTART_BACKOFF)
		return !is_required;
	return service->ready;
}

bool fleet_order_is_settled(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (!is_settled(fleet->service[i], false))
			return false;
	return true;
}

static const struct service *need_of(const struct fleet *fleet, const struct config_need *need)
{
	return fleet->service[need->service];
}

const struct service *fleet_order_awaited(const struct fleet *fleet, const struct service *service)
{
	const struct config_service *config = service->config;
	for (size_t i = 0; i < config->need_count; i++)
		if (!is_settled(need_of(fleet, &config->need[i]), config->need[i].is_required))
			return need_of(fleet, &config->need[i]);
	return NULL;
}

/* The first that it requires and that is not there. */
static const struct service *lost_need(const struct fleet *fleet, const struct service *service)
{
	const struct config_service *config = service->config;
	for (size_t i = 0; i < config->need_count; i++)
		if (config->need[i].is_required && is_lost(need_of(fleet, &config->need[i])))
			return need_of(fleet, &config->need[i]);
	return NULL;
}

/* Ends what has lost something that it requires.  Needs come first in the list, so one walk is
 * enough. */
static void follow_needs(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->count; i++) {
		struct service *service = fleet->service[i];
		const struct service *lost = lost_need(fleet, service);
		bool lacked = service->lacks;
		service->lacks = false;
		if (lost == NULL)
			continue;
		if (!service_is_down(service) && !service->ends && !fleet->stopping) {
			log_notice("%s: stops, as %s, which it requires, %s", service->config->name,
				lost->config->name, has_failed(lost) ? "is down" : "stops");
			service->ends = true;
			service->wanted = true;
		}
		service->lacks = service->wanted && !lost->ends;
		if (service->lacks && !lacked && service_is_down(service))
			log_notice("%s: not started, as %s, which it requires, is down",
				service->config->name, lost->config->name);
	}
}

static void stop(struct fleet *fleet, struct service *service, uint64_t now_ms)
{
	if (fleet->stopping && service->restart.state != RESTART_STOPPING)
		log_info("%s: stopping", service->config->name);
	service_stop(service, &fleet->host, now_ms);
}

/* From the last to the first: what needs a service is known to be down or not when it is reached.
 * One that waits for a restart holds nothing. */
static void stop_along(struct fleet *fleet, uint64_t now_ms)
{
	int busy_turn = -1;
	for (size_t i = 0; i < fleet->count; i++)
		fleet->service[i]->is_needed = false;
	for (size_t i = fleet->count; i-- > 0;) {
		struct service *service = fleet->service[i];
		const struct config_service *config = service->config;
		bool waits = service->is_needed || (fleet->stopping && busy_turn > config->turn);
		if (service->ends && !service_is_down(service) &&
			(!waits || service->restart.state == RESTART_BACKOFF))
			stop(fleet, service, now_ms);
		if (service_is_down(service))
			service->ends = false;
		if (service->ends && busy_turn < config->turn)
			busy_turn = config->turn;
		for (size_t j = 0; j < config->need_count; j++)
			if (service->ends || service->is_needed)
				fleet->service[config->need[j].service]->is_needed = true;
	}
}

static void start_along(struct fleet *fleet, uint64_t now_ms)
{
	for (size_t i = 0; i < fleet->count; i++) {
		struct service *service = fleet->service[i];
		if (!service->wanted || service->ends ||
			fleet_order_awaited(fleet, service) != NULL)
			continue;
		service->wanted = false;
		service_start(service, &fleet->host, now_ms);
	}
}

void fleet_order_step(struct fleet *fleet, uint64_t now_ms)
{
	follow_needs(fleet);
	stop_along(fleet, now_ms);
	start_along(fleet, now_ms);
}

void fleet_order_start(struct fleet *fleet, struct service *service, uint64_t now_ms)
{
	const struct config_service *config = service->config;
	for (size_t i = 0; i < config->need_count; i++) {
		struct service *need = fleet->service[config->need[i].service];
		bool comes = need->wanted && !need->lacks;
		if (config->need[i].is_required && !comes &&
			(service_is_down(need) || need->ends) && !service_has_succeeded(need))
			fleet_order_start(fleet, need, now_ms);
	}
	service->held = false;
	service->lacks = false;
	if (service_is_down(service) || service->ends)
		service->wanted = true;
	else
		service_start(service, &fleet->host, now_ms);
}

void fleet_order_restart(struct fleet *fleet, struct service *service, uint64_t now_ms)
{
	if (service->restart.state == RESTART_RUNNING)
		service->ends = true;
	fleet_order_start(fleet, service, now_ms);
}

void fleet_order_stop(struct service *service)
{
	service->wanted = false;
	service->ends = !service_is_down(service);
}
