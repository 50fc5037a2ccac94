/* Makes and gives up what tick keeps for one service. */
#include "supervisor/tick/tick_service.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/base/size.h"
#include "supervisor/cgroup/brake_worker.h"
#include "supervisor/cgroup/cgroup_directory.h"
#include "supervisor/cgroup/cgroup_files.h"
#include "supervisor/cgroup/cgroup_settings.h"
#include "supervisor/policy/cgroup_text.h"
#include "supervisor/policy/price.h"

void tick_service_init(struct tick_service *service)
{
	*service = (struct tick_service){
		.psi = TICK_WATCHED_NONE,
		.events = TICK_WATCHED_NONE,
		.limit_mark = LIMIT_MARK_NONE,
		.sampler = SAMPLER_SERVICE_NONE,
	};
}

void tick_service_fini(struct tick_service *service)
{
	config_service_free(&service->config);
}

/* Whether memory_max is kept by us alone. */
static bool is_soft(const struct tick_service *service)
{
	return service->leaf == NULL && service->limit.written_bytes != UINT64_MAX &&
	       service->config.shim != CONFIG_SHIM_OFF;
}

/* A limit that nobody holds is worse than none when it is not said. */
static void say_limits(const struct tick_service *service)
{
	struct size_text soft = size_text(service->limit.written_bytes);
	bool max = service->limit.written_bytes != UINT64_MAX && !is_soft(service);
	bool high = service->high_bytes != UINT64_MAX;
	char others[CGROUP_SETTINGS_TEXT];
	cgroup_settings_asked(&service->config, others);
	if (is_soft(service))
		log_notice(
			"%s: memory_max %s is soft here, where services have no cgroups of their "
			"own: levels and the growth gate keep it, the kernel does not",
			service->config.name, soft.text);
	if (max || high || others[0] != '\0')
		log_warn("%s: %s%s%s%s%s: no effect here, where services have no cgroups of "
			 "their own",
			service->config.name, max ? "memory_max" : "", max && high ? ", " : "",
			high ? "memory_high" : "", (max || high) && others[0] != '\0' ? ", " : "",
			others);
}

/* Those whose writing cannot fail the start. */
static void write_settings(const struct tick_service *service, uint64_t wall_bytes, bool is_new)
{
	const struct config_service *config = &service->config;
	struct cgroup_tree *tree = cgroup_leaf_tree(service->leaf);
	char names[CGROUP_SETTINGS_TEXT];
	for (int i = 0; i < CGROUP_CONTROLLERS; i++) {
		cgroup_settings_needing(config, i, names);
		int error = names[0] != '\0' ? cgroup_tree_switch_on(tree, i) : 0;
		if (error != 0)
			log_warn("%s: %s: no effect: the %s controller is not handed out to us: "
				 "%s",
				config->name, names, cgroup_controller_name(i), strerror(-error));
	}
	cgroup_settings_write(cgroup_leaf_fd(service->leaf), config, wall_bytes, is_new);
}

/* As it is in force. */
static uint64_t limit_of(const struct cgroup_leaf *leaf)
{
	char text[32];
	uint64_t bytes;
	int length = cgroup_directory_read(cgroup_leaf_fd(leaf), "memory.max", text, sizeof text);
	return length >= 0 && cgroup_text_u64(text, (size_t)length, &bytes) == 0 ? bytes
										 : UINT64_MAX;
}

static void forget_slots(const struct tick_service *service, struct brake_worker *brake)
{
	brake_worker_forget(brake, service->brake_slot);
	brake_worker_forget(brake, service->freeze_slot);
}

static int add_slots(struct tick_service *service, struct brake_worker *brake)
{
	int error = brake_worker_add(brake, &service->brake_slot);
	if (error != 0)
		return error;
	error = brake_worker_add(brake, &service->freeze_slot);
	if (error != 0)
		brake_worker_forget(brake, service->brake_slot);
	return error;
}

void tick_service_let_go(const struct tick_service *service, struct brake_worker *brake)
{
	if (service->leaf == NULL || brake == NULL)
		return;
	brake_worker_lift(brake, service->brake_slot);
	brake_worker_lift(brake, service->freeze_slot);
}

/* A leaf, and slots of the worker that writes its limits later. */
static int make_leaf(struct tick_service *service, const struct tick_place *place)
{
	struct cgroup_leaf *leaf;
	int error = add_slots(service, place->brake);
	if (error != 0)
		return error;
	if (place->left_leaf != NULL)
		error = cgroup_leaf_adopt(place->tree, place->left_leaf, &leaf);
	else
		error = cgroup_leaf_create(place->tree, service->config.name,
			service->limit.written_bytes, service->high_bytes, &leaf);
	if (error == 0) {
		service->leaf = leaf;
		service->leaf_used = place->left_leaf != NULL;
		if (place->left_leaf != NULL)
			service->limit.written_bytes = limit_of(leaf);
		write_settings(service, place->wall_bytes, place->left_leaf == NULL);
	} else {
		forget_slots(service, place->brake);
	}
	return error;
}

void tick_service_trigger(struct tick_service *service, uint32_t window_ms)
{
	const struct config_psi *wanted = &service->policy_config.at[LEVEL_LAZY].pressure;
	int fd = service->leaf != NULL ? cgroup_leaf_fd(service->leaf) : -1;
	service->psi_wanted = *wanted;
	if (fd < 0 || window_ms == 0 || wanted->permille == 0)
		return;
	int error = psi_open_trigger(&service->psi.now, fd, "memory.pressure", wanted, window_ms);
	if (error != 0)
		log_warn("%s: memory.pressure: no trigger: %s", service->config.name,
			strerror(-error));
}

/* Signals that are nice to have: the loop looks by itself as well. */
static void open_watches(struct tick_service *service, uint32_t window_ms)
{
	int fd = service->leaf != NULL ? cgroup_leaf_fd(service->leaf) : -1;
	if (fd < 0)
		return;
	int error = psi_open_events(&service->events.now, fd, "memory.events");
	if (error != 0)
		log_warn("%s: memory.events: %s", service->config.name, strerror(-error));
	tick_service_trigger(service, window_ms);
}

void tick_service_watch_limit(struct tick_service *service, const struct limit_watch *limits)
{
	if (service->leaf != NULL)
		limit_watch_add(limits, service->sampler.leaf.limit_fd, &service->limit_mark);
	service->sampler.limit_known = false;
}

static void open_sampler(struct tick_service *service, const struct limit_watch *limits)
{
	sampler_service_open(&service->sampler,
		service->leaf != NULL ? cgroup_leaf_fd(service->leaf) : -1, service->link);
	if (is_soft(service))
		service->sampler.soft_bytes = service->limit.written_bytes;
	tick_service_watch_limit(service, limits);
}

void tick_service_tell_wall(const struct tick_service *service, const char *wall_directory)
{
	bool own = service->leaf != NULL && wall_directory[0] == '\0';
	link_set_wall_directory(
		service->link, own ? cgroup_leaf_directory(service->leaf) : wall_directory);
}

static uint64_t promised(const struct tick_service *service, uint64_t wall_bytes)
{
	uint64_t bytes = cgroup_settings_bytes(service->config.memory_low, wall_bytes);
	return bytes != UINT64_MAX ? bytes : 0;
}

int tick_service_make(struct tick_service *service, const struct tick_place *place)
{
	const struct config_policy *policy = &service->policy_config;
	int error = 0;
	service->high_bytes = cgroup_settings_bytes(service->config.memory_high, place->wall_bytes);
	service->promised_bytes = promised(service, place->wall_bytes);
	service->limit = (struct limit){.written_bytes = cgroup_settings_bytes(
						service->config.memory_max, place->wall_bytes)};
	service->oom_seen = 0;
	service->was_dry_run = service->config.dry_run;
	if (place->tree != NULL)
		error = make_leaf(service, place);
	else
		say_limits(service);
	if (error != 0)
		return error;
	error = place->left_token != NULL
			? link_open_again(service->config.name, place->listener, place->left_token,
				  &service->link)
			: link_open(service->config.name, place->listener, &service->link);
	if (error == 0)
		error = notifier_open(
			place->notifiers, link_notify_word(service->link), &service->notifier);
	if (error != 0) {
		tick_service_unmake(service, place->brake, 0);
		return error;
	}
	tick_service_tell_wall(service, place->wall_directory);
	link_set_scavenge(service->link, policy);
	link_set_price(service->link, price_base_ns(policy->core_worth_bytes));
	open_watches(service, place->window_ms);
	open_sampler(service, place->limits);
	service->prepared = true;
	return 0;
}

static void retire(struct tick_watched *watched)
{
	watched->retired = watched->now;
	watched->now = PSI_WATCH_NONE;
}

int tick_service_make_leaf_again(struct tick_service *service, const struct tick_place *place)
{
	limit_mark_clear(&service->limit_mark);
	sampler_service_close(&service->sampler);
	retire(&service->psi);
	retire(&service->events);
	if (service->leaf != NULL) {
		forget_slots(service, place->brake);
		/* First of all: the new one is to have the same name. */
		cgroup_leaf_remove(service->leaf, 0);
		service->leaf = NULL;
	}
	int error = make_leaf(service, place);
	service->leaf_lost = error != 0;
	service->oom_seen = 0;
	tick_service_tell_wall(service, place->wall_directory);
	open_watches(service, place->window_ms);
	open_sampler(service, place->limits);
	return error;
}

/* What is in force is taken back, or has to be decided anew. */
static void switch_dry_run(struct tick_service *service, struct brake_worker *brake)
{
	bool changed = service->was_dry_run != service->config.dry_run;
	service->was_dry_run = service->config.dry_run;
	if (!changed)
		return;
	policy_service_forget(&service->policy);
	perform_forget(&service->perform);
	link_set_level(service->link, LEVEL_CALM);
	tick_service_let_go(service, brake);
}

void tick_service_reload(
	struct tick_service *service, struct brake_worker *brake, uint64_t wall_bytes)
{
	link_set_scavenge(service->link, &service->policy_config);
	switch_dry_run(service, brake);
	service->high_bytes = cgroup_settings_bytes(service->config.memory_high, wall_bytes);
	service->target.looked = false;
	service->promised_bytes = promised(service, wall_bytes);
	if (service->leaf == NULL) {
		service->limit.written_bytes =
			cgroup_settings_bytes(service->config.memory_max, wall_bytes);
		service->sampler.soft_bytes =
			is_soft(service) ? service->limit.written_bytes : SAMPLE_NO_LIMIT;
		return;
	}
	int fd = cgroup_leaf_fd(service->leaf);
	/* A lower limit is for limit_step. */
	limit_aim(&service->limit, cgroup_settings_bytes(service->config.memory_max, wall_bytes));
	int error =
		brake_worker_limit(brake, service->brake_slot, fd, service->limit.written_bytes);
	int high_error = brake_worker_normal(brake, service->brake_slot, fd, service->high_bytes);
	if (error == 0)
		error = high_error;
	if (error != 0)
		log_warn("%s: new limits: %s", service->config.name, strerror(-error));
	write_settings(service, wall_bytes, false);
}

void tick_service_aim(struct tick_service *service, struct sampler *sampler, uint64_t now_ms)
{
	const char *path = service->config.target_file;
	uint64_t limit_bytes = is_soft(service) ? service->limit.written_bytes : SAMPLE_NO_LIMIT;
	uint64_t target_bytes = target_file_step(&service->target, service->config.name, path,
		path != NULL ? sampler_wall_bytes(sampler) : UINT64_MAX, now_ms);
	if (service->leaf != NULL || path == NULL || service->config.shim == CONFIG_SHIM_OFF)
		return;
	service->sampler.soft_bytes = target_bytes < limit_bytes ? target_bytes : limit_bytes;
}

void tick_service_aimed(struct tick_service *service)
{
	struct wall_sample *own = &service->policy.sample.own;
	if (service->leaf == NULL || !service->target.known ||
		service->target.bytes >= own->limit_bytes)
		return;
	/* Without a limit of its own that was not read. */
	if (own->limit_bytes == SAMPLE_NO_LIMIT)
		(void)cgroup_files_reclaimable(&service->sampler.leaf, own);
	own->limit_bytes = service->target.bytes;
	own->current_bytes = service->policy.sample.current_bytes;
}

static void close_watched(struct tick_watched *watched)
{
	psi_close(&watched->now);
	psi_close(&watched->retired);
}

void tick_service_unmake(struct tick_service *service, struct brake_worker *brake, uint32_t wait_ms)
{
	struct config_service config = service->config;
	struct config_policy policy = service->policy_config;
	target_file_close(&service->target);
	limit_mark_clear(&service->limit_mark);
	sampler_service_close(&service->sampler);
	if (service->leaf != NULL && brake != NULL)
		forget_slots(service, brake);
	close_watched(&service->psi);
	close_watched(&service->events);
	/* What is not removed now is tried again when the tree is closed. */
	if (service->leaf != NULL && cgroup_leaf_remove(service->leaf, wait_ms) != 0)
		log_warn("%s: its cgroup is still busy, left for later", config.name);
	notifier_close(service->notifier);
	pressure_socket_close(service->pressure);
	link_close(service->link);
	tick_service_init(service);
	service->config = config;
	service->policy_config = policy;
}
