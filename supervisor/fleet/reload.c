/*
 * A reload in two parts.  First the file is read and compared, and those
 * services stop that it removes or makes another process; the others go on
 * under the old config.  When the first are down, the new config comes into
 * force in one step, with its limits and policies for those that went on, and what is new
 * starts.  A second reload meanwhile starts the comparison anew.
 */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/fleet/fleet_order.h"
#include "supervisor/fleet/fleet_private.h"
#include "supervisor/base/clock.h"
#include "supervisor/base/log.h"
#include "supervisor/base/output.h"
#include "supervisor/fleet/service_output.h"

/* What is kept, stops and starts.  What an earlier reload has stopped and this one keeps is down
 * all the same. */
static void compare(const struct fleet *fleet, const struct fleet_reload *reload, bool is_second)
{
	for (size_t i = 0; i < fleet->count; i++)
		fleet->service[i]->is_kept = false;
	for (size_t i = 0; i < reload->count; i++) {
		struct service *service = reload->service[i];
		bool was_stopped = is_second && service->stops;
		service->is_kept = true;
		service->starts = was_stopped || !service_same_process(service->config,
							 &reload->config->services[i]);
		service->stops = service->starts;
	}
	for (size_t i = 0; i < fleet->count; i++)
		if (!fleet->service[i]->is_kept)
			fleet->service[i]->stops = true;
}

static void say_errors(const struct fleet *fleet, const struct config_errors *errors)
{
	char text[CONFIG_ERROR_BYTES + CONFIG_FILE_BYTES + 32];
	size_t kept = errors->count < CONFIG_ERRORS_MAX ? errors->count : CONFIG_ERRORS_MAX;
	for (size_t i = 0; i < kept; i++) {
		config_error_format(fleet->file, &errors->error[i], text, sizeof text);
		log_error("%s", text);
	}
	log_error("%s: not reloaded, %zu error%s; everything stays as it was", fleet->file,
		errors->count, errors->count == 1 ? "" : "s");
}

static struct config *read_config(const struct fleet *fleet)
{
	struct config_errors *errors = calloc(1, sizeof *errors);
	struct config *config = calloc(1, sizeof *config);
	if (config == NULL || errors == NULL) {
		free(config);
		free(errors);
		log_error("%s: not reloaded: %s; everything stays as it was", fleet->file,
			strerror(ENOMEM));
		return NULL;
	}
	int error = config_load(fleet->file_path, config, errors);
	if (error != 0)
		say_errors(fleet, errors);
	free(errors);
	if (error == 0) {
		if (config->service_count > 0)
			return config;
		/* More likely a file that is being written than what is meant. */
		log_error("%s: not reloaded, it has no service any more; everything stays as it "
			  "was",
			fleet->file);
		config_free(config);
	}
	free(config);
	return NULL;
}

static void drop(const struct fleet *fleet, struct fleet_reload *reload)
{
	for (size_t i = 0; reload->service != NULL && i < reload->count; i++)
		if (fleet_find(fleet, reload->config->services[i].name) == NULL)
			service_free(reload->service[i]);
	free(reload->service);
	config_free(reload->config);
	free(reload->config);
	free(reload);
}

void fleet_reload_drop(struct fleet *fleet)
{
	if (fleet->reload != NULL)
		drop(fleet, fleet->reload);
	fleet->reload = NULL;
}

/* All the memory that the new config needs, so that nothing fails once it comes into force. */
static int make_services(struct fleet *fleet, struct fleet_reload *reload)
{
	const struct config *config = reload->config;
	reload->service = calloc(config->service_count, sizeof(struct service *));
	if (reload->service == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < config->service_count; i++) {
		reload->service[i] = fleet_find(fleet, config->services[i].name);
		bool is_new = reload->service[i] == NULL;
		if (is_new)
			reload->service[i] = service_new();
		if (reload->service[i] == NULL)
			return -ENOMEM;
		if (is_new)
			reload->service[i]->held = !config->services[i].autostart;
		reload->count++;
	}
	return tick_reserve(fleet->host.tick, config->service_count);
}

/* NULL: no memory, and nothing has changed.  Takes the config. */
static struct fleet_reload *make(struct fleet *fleet, struct config *config)
{
	struct fleet_reload *reload = calloc(1, sizeof *reload);
	if (reload == NULL) {
		config_free(config);
		free(config);
		return NULL;
	}
	reload->config = config;
	if (make_services(fleet, reload) == 0)
		return reload;
	drop(fleet, reload);
	return NULL;
}

int fleet_reload_start(struct fleet *fleet)
{
	if (fleet->stopping) {
		log_warn("stopping: nothing is reloaded");
		return -EBUSY;
	}
	manager_reloads(&fleet->manager, clock_now_ns() / 1000);
	struct config *config = read_config(fleet);
	if (config == NULL)
		return -EINVAL;
	struct fleet_reload *reload = make(fleet, config);
	if (reload == NULL) {
		log_error("%s: not reloaded: %s; everything stays as it was", fleet->file,
			strerror(ENOMEM));
		return -ENOMEM;
	}
	compare(fleet, reload, fleet->reload != NULL);
	fleet_reload_drop(fleet);
	fleet->reload = reload;
	for (size_t i = 0; i < fleet->count; i++) {
		struct service *service = fleet->service[i];
		if (!service->stops)
			continue;
		log_info("%s: stopping, %s", service->config->name,
			service->is_kept ? "its settings have changed" : "it was removed");
		fleet_order_stop(service);
	}
	return 0;
}

static bool is_ready(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (fleet->service[i]->stops && !service_is_down(fleet->service[i]))
			return false;
	return true;
}

/* Without a wait, which would hold up the turns of all services: what is down has an empty
 * cgroup, unless a process of it cannot be killed. */
static void remove_services(struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->count; i++) {
		struct service *service = fleet->service[i];
		if (service->is_kept)
			continue;
		fleet_watches_drop(service->watch);
		tick_service_remove(fleet->host.tick, &service->memory, 0);
		service_free(service);
	}
	free(fleet->service);
}

/* Where we listen was opened once, and whoever asks there is not to lose us. */
static void say_kept_addresses(const struct fleet *fleet, const struct config_supervisor *wanted)
{
	if (strcmp(fleet->config.control, wanted->control) != 0)
		log_warn("control: stays as it was until the next start");
	if (strcmp(fleet->config.metrics, wanted->metrics) != 0)
		log_warn("metrics: stays as it was until the next start");
}

/* The new settings, in the new order.  The reload's config is left with the old ones. */
static void take_over(struct fleet *fleet, struct fleet_reload *reload)
{
	struct config *config = reload->config;
	fleet->service = reload->service;
	fleet->count = reload->count;
	say_kept_addresses(fleet, &config->supervisor);
	fleet->config = config->supervisor;
	for (size_t i = 0; i < fleet->count; i++) {
		struct service *service = fleet->service[i];
		service_exchange(service, &config->services[i],
			&config->policies[config->services[i].policy]);
		service_output_renew(service);
		tick_add(fleet->host.tick, &service->memory);
		tick_service_changed(fleet->host.tick, &service->memory);
	}
	reload->service = NULL;
}

void fleet_reload_step(struct fleet *fleet, uint64_t now_ms)
{
	struct fleet_reload *reload = fleet->reload;
	if (reload == NULL || !is_ready(fleet))
		return;
	tick_clear(fleet->host.tick);
	remove_services(fleet);
	take_over(fleet, reload);
	log_info("%s: reloaded, %zu service%s", fleet->file, fleet->count,
		fleet->count == 1 ? "" : "s");
	fleet_check_budget(fleet);
	output_reopen_all();
	fleet_adopt_reload(fleet);
	fleet_reload_drop(fleet);
	for (size_t i = 0; i < fleet->count; i++)
		if (fleet->service[i]->starts && !fleet->service[i]->held)
			fleet->service[i]->wanted = true;
	fleet_order_step(fleet, now_ms);
	fleet->tick_ms = 0;
}
