/* Checks whether a service that is up is of use. */
#include "supervisor/fleet/service_health.h"

#include "supervisor/base/log.h"
#include "supervisor/fleet/service.h"

void health_init(struct health *health)
{
	*health = (struct health){.next_ms = HEALTH_NEVER};
}

bool service_is_slowed(const struct service *service)
{
	return service->memory.policy.state.brake.on || service->memory.policy.state.freeze.on ||
	       service->memory.perform.frozen;
}

static bool is_checked(const struct service *service)
{
	return service->config->health.kind != CONFIG_PROBE_NONE && service->ready &&
	       service->lives && service->restart.state == RESTART_RUNNING;
}

static bool count_failure(struct service *service, uint64_t now_ms)
{
	const struct config_service *config = service->config;
	struct health *health = &service->health;
	if (now_ms - service->ready_since_ms < config->health_start_ms) {
		log_debug("%s: health: %s; too early to count", config->name, service->probe.why);
		return true;
	}
	health->failures++;
	if (health->failures < config->health_retries) {
		log_info("%s: health: failure %d of %d: %s", config->name, health->failures,
			config->health_retries, service->probe.why);
		return true;
	}
	bool is_one = health->failures == 1;
	log_notice("%s: stopped: %d health check%s failed%s: %s", config->name, health->failures,
		is_one ? "" : "s", is_one ? "" : " one after another", service->probe.why);
	return false;
}

static void count_success(struct service *service)
{
	if (service->health.failures > 0)
		log_info("%s: health: well again after %d failure%s", service->config->name,
			service->health.failures, service->health.failures == 1 ? "" : "s");
	service->health.failures = 0;
}

bool health_step(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	const struct config_service *config = service->config;
	struct health *health = &service->health;
	if (!is_checked(service)) {
		health_init(health);
		return true;
	}
	if (service_is_slowed(service)) {
		health->is_spoiled = true;
		health->failures = 0;
	}
	if (health->next_ms == HEALTH_NEVER && probe_is_free(&service->probe))
		health->next_ms = now_ms + config->health_interval_ms;
	if (health->next_ms <= now_ms && probe_is_free(&service->probe)) {
		health->is_spoiled = service_is_slowed(service);
		health->next_ms = HEALTH_NEVER;
		probe_start(&service->probe, &config->health, service, host,
			config->health_timeout_ms, now_ms);
	}
	enum probe_result result = probe_step(&service->probe, &config->health, now_ms);
	if (result == PROBE_GOES_ON)
		return true;
	health->next_ms = now_ms + config->health_interval_ms;
	if (result == PROBE_PASSED)
		count_success(service);
	else if (!health->is_spoiled)
		return count_failure(service, now_ms);
	return true;
}

uint64_t health_deadline_ms(const struct service *service)
{
	return is_checked(service) ? service->health.next_ms : HEALTH_NEVER;
}
