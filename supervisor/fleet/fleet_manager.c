/* What the service manager that has started us is told of the fleet. */
#include <stdio.h>
#include <string.h>

#include "supervisor/base/log.h"
#include "supervisor/fleet/fleet_order.h"
#include "supervisor/fleet/fleet_private.h"

void fleet_manager_open(struct fleet *fleet)
{
	int error = manager_open(&fleet->manager);
	if (error != 0)
		log_warn(
			"NOTIFY_SOCKET: %s: the service manager is told nothing", strerror(-error));
}

static void describe(const struct fleet *fleet, char text[static MANAGER_STATUS_BYTES])
{
	size_t wanted = 0;
	size_t up = 0;
	size_t running = 0;
	for (size_t i = 0; i < fleet->count; i++) {
		const struct service *service = fleet->service[i];
		wanted += !service->held;
		up += (service->lives && service->ready) || service_has_succeeded(service);
		running += service->lives;
	}
	if (fleet->stopping)
		snprintf(text, MANAGER_STATUS_BYTES, "stopping, %zu of %zu services still there",
			running, fleet->count);
	else
		snprintf(text, MANAGER_STATUS_BYTES, "%zu of %zu services up", up, wanted);
}

static enum manager_state state_of(const struct fleet *fleet)
{
	if (fleet->stopping)
		return MANAGER_STOPPING;
	return fleet->reload == NULL && fleet_order_is_settled(fleet) ? MANAGER_READY
								      : MANAGER_BUSY;
}

void fleet_manager_step(struct fleet *fleet, uint64_t now_ms)
{
	char text[MANAGER_STATUS_BYTES];
	describe(fleet, text);
	int error = manager_step(&fleet->manager, state_of(fleet), text, now_ms);
	if (error != 0)
		log_warn("the service manager cannot be told: %s", strerror(-error));
}
