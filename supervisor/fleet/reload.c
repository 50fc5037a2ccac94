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

#include "supervisor/fleet/fleet_private.h"
#include "supervisor/base/log.h"

static size_t index_of(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->service_count; i++)
		if (strcmp(config->services[i].name, name) == 0)
			return i;
	return SIZE_MAX;
}

static void compare(const struct fleet *fleet, struct fleet_reload *reload)
{
	const struct config *old = fleet->config;
	const struct config *new = reload->config;
	for (size_t i = 0; i < old->service_count; i++)
		reload->stops[i] = true;
	for (size_t i = 0; i < new->service_count; i++) {
		size_t before = index_of(old, new->services[i].name);
		reload->previous[i] = before;
		reload->starts[i] = true;
		if (before == SIZE_MAX)
			continue;
		reload->is_kept[before] = true;
		if (service_same_process(&old->services[before], &new->services[i])) {
			reload->starts[i] = false;
			reload->stops[before] = false;
		}
	}
}

static struct config *read_config(const struct fleet *fleet)
{
	struct config_errors errors = {0};
	struct config *config = calloc(1, sizeof *config);
	if (config == NULL) {
		log_error("%s: %s", fleet->file, strerror(ENOMEM));
		return NULL;
	}
	if (config_load(fleet->file_path, config, &errors) == 0) {
		if (config->service_count > 0)
			return config;
		/* More likely a file that is being written than a wish. */
		log_error("%s: not reloaded, it has no service any more; everything stays as it "
			  "was",
			fleet->file);
		config_free(config);
		free(config);
		return NULL;
	}
	size_t kept = errors.count < CONFIG_ERRORS_MAX ? errors.count : CONFIG_ERRORS_MAX;
	for (size_t i = 0; i < kept; i++)
		log_error("%s:%u: %s", fleet->file, errors.error[i].line, errors.error[i].text);
	log_error("%s: not reloaded, %zu errors; everything stays as it was", fleet->file,
		errors.count);
	free(config);
	return NULL;
}

void fleet_reload_drop(struct fleet *fleet)
{
	if (fleet->reload == NULL)
		return;
	if (fleet->reload->config != NULL)
		config_free(fleet->reload->config);
	free(fleet->reload->config);
	free(fleet->reload);
	fleet->reload = NULL;
}

void fleet_reload_start(struct fleet *fleet, uint64_t now_ms)
{
	if (fleet->stopping) {
		log_warn("SIGHUP: stopping, nothing is reloaded");
		return;
	}
	struct config *config = read_config(fleet);
	if (config == NULL)
		return;
	struct fleet_reload *reload = calloc(1, sizeof *reload);
	if (reload == NULL) {
		log_error("%s: not reloaded: %s", fleet->file, strerror(ENOMEM));
		config_free(config);
		free(config);
		return;
	}
	/* What an earlier reload has stopped and this one keeps is down all the same. */
	bool stopped[CONFIG_SERVICES_MAX] = {false};
	if (fleet->reload != NULL)
		memcpy(stopped, fleet->reload->stops, sizeof stopped);
	fleet_reload_drop(fleet);
	fleet->reload = reload;
	reload->config = config;
	compare(fleet, reload);
	for (size_t i = 0; i < config->service_count; i++) {
		size_t before = reload->previous[i];
		if (before != SIZE_MAX && stopped[before]) {
			reload->starts[i] = true;
			reload->stops[before] = true;
		}
	}
	for (size_t i = 0; i < fleet->count; i++) {
		if (!reload->stops[i])
			continue;
		log_info("%s: stopping, %s", fleet->service[i].config->name,
			reload->is_kept[i] ? "its settings have changed" : "it was removed");
		service_stop(&fleet->service[i], &fleet->host, now_ms);
	}
}

static bool is_ready(const struct fleet *fleet)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (fleet->reload->stops[i] && !service_is_down(&fleet->service[i]))
			return false;
	return true;
}

/* The services in their new order.  Those that stay move with all they are. */
static void rearrange(struct fleet *fleet)
{
	const struct fleet_reload *reload = fleet->reload;
	static struct service moved[CONFIG_SERVICES_MAX];
	size_t count = reload->config->service_count;
	for (size_t i = 0; i < count; i++) {
		const struct config_service *config = &reload->config->services[i];
		if (reload->previous[i] == SIZE_MAX) {
			service_init(&moved[i], i, config);
			continue;
		}
		moved[i] = fleet->service[reload->previous[i]];
		moved[i].index = i;
		moved[i].config = config;
	}
	memcpy(fleet->service, moved, count * sizeof moved[0]);
	fleet->count = count;
}

void fleet_reload_step(struct fleet *fleet, uint64_t now_ms)
{
	struct fleet_reload *reload = fleet->reload;
	if (reload == NULL || !is_ready(fleet))
		return;
	/* Without a wait, which would hold up the turns of all services: what is down has an empty
	 * cgroup, unless a process of it cannot be killed. */
	for (size_t i = 0; i < fleet->count; i++)
		if (!reload->is_kept[i])
			tick_service_remove(fleet->host.tick, i, 0);
	tick_reload(fleet->host.tick, reload->config, reload->previous);
	rearrange(fleet);
	struct config *old = fleet->config;
	fleet->config = reload->config;
	reload->config = old;
	log_info("%s: reloaded, %zu service%s", fleet->file, fleet->count,
		fleet->count == 1 ? "" : "s");
	fleet_check_budget(fleet);
	for (size_t i = 0; i < fleet->count; i++)
		if (reload->starts[i])
			service_start(&fleet->service[i], &fleet->host, now_ms);
	fleet_reload_drop(fleet);
	fleet->tick_ms = 0;
}
