#include "supervisor/tick/tick_service.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/cgroup/cgroup_settings.h"
#include "supervisor/policy/price.h"

/* A limit that nobody holds is worse than none when it is not said. */
static void say_limits_have_no_effect(
	const struct tick_service *service, const struct config_service *config)
{
	bool max = service->limit.written_bytes != UINT64_MAX;
	bool high = service->high_bytes != UINT64_MAX;
	char others[CGROUP_SETTINGS_TEXT];
	cgroup_settings_asked(config, others);
	if (max || high || others[0] != '\0')
		log_warn("%s: %s%s%s%s%s: no effect here, where services have no cgroups of "
			 "their own",
			config->name, max ? "memory_max" : "", max && high ? ", " : "",
			high ? "memory_high" : "", (max || high) && others[0] != '\0' ? ", " : "",
			others);
}

/* Those whose writing cannot fail the start. */
static void write_settings(const struct tick_service *service, struct cgroup_tree *tree,
	const struct config_service *config, uint64_t wall_bytes)
{
	int error = cgroup_settings_need_pids(config) ? cgroup_tree_switch_pids_on(tree) : 0;
	if (error != 0)
		log_warn("%s: pids_max has no effect: the pids controller is not handed out to us: "
			 "%s",
			config->name, strerror(-error));
	cgroup_settings_write(cgroup_leaf_fd(service->leaf), config, wall_bytes);
}

static int make_leaf(struct tick_service *service, const struct config_service *config,
	const struct tick_place *place)
{
	service->high_bytes = cgroup_settings_bytes(config->memory_high, place->wall_bytes);
	service->limit = (struct limit){
		.written_bytes = cgroup_settings_bytes(config->memory_max, place->wall_bytes)};
	if (place->tree == NULL) {
		say_limits_have_no_effect(service, config);
		return 0;
	}
	int error = cgroup_leaf_create(place->tree, config->name, service->limit.written_bytes,
		service->high_bytes, &service->leaf);
	if (error == 0)
		write_settings(service, place->tree, config, place->wall_bytes);
	return error;
}

void tick_service_trigger(struct tick_service *service, const char *name,
	const struct config_psi *wanted, uint32_t window_ms)
{
	int fd = service->leaf != NULL ? cgroup_leaf_fd(service->leaf) : -1;
	service->psi_wanted = *wanted;
	if (fd < 0 || window_ms == 0 || wanted->permille == 0)
		return;
	int error = psi_open_trigger(&service->psi, fd, "memory.pressure", wanted, window_ms);
	if (error != 0)
		log_warn("%s: memory.pressure: no trigger: %s", name, strerror(-error));
}

/* Signals that are nice to have: the loop looks by itself as well. */
static void open_watches(struct tick_service *service, const struct config_service *config,
	const struct config_policy *policy, const struct tick_place *place)
{
	int fd = service->leaf != NULL ? cgroup_leaf_fd(service->leaf) : -1;
	if (fd < 0)
		return;
	int error = psi_open_events(&service->events, fd, "memory.events");
	if (error != 0)
		log_warn("%s: memory.events: %s", config->name, strerror(-error));
	tick_service_trigger(
		service, config->name, &policy->at[LEVEL_LAZY].pressure, place->window_ms);
}

int tick_service_make(struct tick_service *service, const struct config_service *config,
	const struct config_policy *policy, const struct tick_place *place)
{
	service->psi = PSI_WATCH_NONE;
	service->events = PSI_WATCH_NONE;
	service->oom_seen = 0;
	int error = make_leaf(service, config, place);
	if (error != 0)
		return error;
	error = link_open(config->name, place->door, &service->link);
	if (error == 0)
		error = doorbell_open(link_doorbell(service->link), &service->doorbell);
	if (error != 0) {
		tick_service_unmake(service, 0);
		return error;
	}
	link_set_wall_directory(
		service->link, service->leaf != NULL && place->wall_directory[0] == '\0'
				       ? cgroup_leaf_directory(service->leaf)
				       : place->wall_directory);
	link_set_scavenge(service->link, policy);
	link_set_price(service->link, price_base_ns(policy->core_worth_bytes));
	open_watches(service, config, policy, place);
	service->prepared = true;
	return 0;
}

void tick_service_reload(struct tick_service *service, const struct config_service *config,
	const struct config_policy *policy, uint64_t wall_bytes)
{
	link_set_scavenge(service->link, policy);
	service->high_bytes = cgroup_settings_bytes(config->memory_high, wall_bytes);
	if (service->leaf == NULL)
		return;
	/* A lower limit is for limit_step. */
	limit_aim(&service->limit, cgroup_settings_bytes(config->memory_max, wall_bytes));
	int error =
		cgroup_leaf_limit(service->leaf, service->limit.written_bytes, service->high_bytes);
	if (error != 0)
		log_warn("%s: new limits: %s", config->name, strerror(-error));
	write_settings(service, cgroup_leaf_tree(service->leaf), config, wall_bytes);
}

void tick_service_unmake(struct tick_service *service, uint32_t wait_ms)
{
	psi_close(&service->psi);
	psi_close(&service->events);
	if (service->leaf != NULL) {
		const char *directory = cgroup_leaf_directory(service->leaf);
		/* What is not removed now is tried again when the tree is closed. */
		if (cgroup_leaf_remove(service->leaf, wait_ms) != 0)
			log_warn("cgroup %s: still busy, left for later", directory);
	}
	doorbell_close(service->doorbell);
	link_close(service->link);
	*service = (struct tick_service){.psi = PSI_WATCH_NONE, .events = PSI_WATCH_NONE};
}
