#include "supervisor/tick/tick.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/tick/perform.h"
#include "supervisor/policy/policy.h"
#include "supervisor/tick/sampler.h"
#include "supervisor/base/size.h"
#include "supervisor/tick/tick_service.h"

/* How often usage is looked at while a limit moves down. */
#define LIMIT_LOOK_MS 20U

/* A service that was removed while the loop may still wait for its descriptors. */
struct tick_remains {
	struct tick_service service;
	struct tick_remains *next;
};

/* What a reload moves, as it was.  It has a place from the start: by the time it is needed the
 * services that the new config does not have are gone, and there is no way back. */
struct tick_before {
	struct tick_service service[CONFIG_SERVICES_MAX];
	struct perform perform;
};

struct tick {
	const struct config *config;
	int root_fd;
	struct mode mode;
	struct cgroup_tree *tree;
	struct link_door *door;
	struct sampler *sampler;
	struct perform perform;
	struct policy_state policy;
	struct policy_service *policy_list[CONFIG_SERVICES_MAX];
	struct psi_watch psi; /* of the cgroup of all services */
	struct config_psi psi_wanted;
	bool triggers_stale; /* a reload wants others than there are */
	struct psi_watch events;
	uint64_t oom_seen; /* without leaves: of all services */
	uint64_t oom_untold;
	uint64_t generation;
	struct tick_remains *remains;
	struct tick_service service[CONFIG_SERVICES_MAX];
	struct tick_before before;
	struct sample sample;
	struct plan plan;
	struct action action[PLAN_ACTIONS(CONFIG_SERVICES_MAX)];
};

static const char *base_directory(const struct tick *tick)
{
	return tick->tree != NULL ? cgroup_tree_directory(tick->tree) : tick->mode.directory;
}

static const struct config_policy *policy_of(const struct config *config, size_t service)
{
	return &config->policies[config->services[service].policy];
}

/* The least lazy pressure that brings any service to lazy; permille 0 = none does. */
static struct config_psi least_pressure(const struct config *config)
{
	struct config_psi least = {0};
	for (size_t i = 0; i < config->service_count; i++) {
		const struct config_psi *pressure = &policy_of(config, i)->at[LEVEL_LAZY].pressure;
		if (pressure->permille != 0 &&
			(least.permille == 0 || pressure->permille < least.permille))
			least = *pressure;
	}
	return least;
}

static bool needs_care(const struct tick *tick, const struct psi_watch *trigger)
{
	return trigger->file_fd >= 0 && tick->mode.window_ms > 500;
}

/* The directory of all services; -1 where it may have no watches. */
static int open_base(const struct tick *tick)
{
	const char *directory =
		tick->mode.v2 ? base_directory(tick) : tick->mode.pressure_directory;
	while (*directory == '/')
		directory++;
	if (*directory == '\0')
		return -1;
	return openat(tick->root_fd, directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static void open_base_trigger(struct tick *tick, int fd)
{
	tick->psi_wanted = least_pressure(tick->config);
	if (fd >= 0 && tick->mode.window_ms != 0 && tick->psi_wanted.permille != 0)
		psi_open_trigger(
			&tick->psi, fd, "memory.pressure", &tick->psi_wanted, tick->mode.window_ms);
	sampler_note_trigger(tick->sampler, SIZE_MAX, needs_care(tick, &tick->psi));
}

/* Watches on the cgroup of all services: events everywhere on v2; a trigger where allowed, which
 * is never at the root of a cgroup namespace. */
static void open_base_watches(struct tick *tick)
{
	int fd = open_base(tick);
	if (fd >= 0 && tick->mode.v2)
		psi_open_events(&tick->events, fd, "memory.events");
	open_base_trigger(tick, fd);
	if (fd >= 0)
		close(fd);
}

static void open_tree(struct tick *tick)
{
	char why[CGROUP_WHY_BYTES] = "";
	if (tick->mode.letter != MODE_A && tick->mode.letter != MODE_B)
		return;
	int error = cgroup_tree_open(&tick->mode, &tick->tree, why);
	if (error != 0)
		mode_degrade(&tick->mode, why);
}

int tick_open(const struct config *config, struct tick **tick)
{
	struct tick *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	int error = 0;
	made->config = config;
	made->psi = PSI_WATCH_NONE;
	made->events = PSI_WATCH_NONE;
	made->policy.service = made->policy_list;
	made->plan.action = made->action;
	made->plan.room = PLAN_ACTIONS(CONFIG_SERVICES_MAX);
	for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++)
		made->policy_list[i] = &made->service[i].policy;
	for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++) {
		made->service[i].psi = PSI_WATCH_NONE;
		made->service[i].events = PSI_WATCH_NONE;
	}
	made->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (made->root_fd < 0) {
		error = -errno;
		goto out;
	}
	mode_probe(made->root_fd, &made->mode);
	open_tree(made);
	log_info("%s", made->mode.line);
	error = link_door_open(&made->door);
	if (error != 0)
		goto out;
	error = sampler_open(made->root_fd, &made->mode, base_directory(made), &made->sampler);
	if (error != 0)
		goto out;
	if (made->tree != NULL)
		error = brake_worker_open(&made->perform.brake);
	if (error != 0)
		goto out;
	made->oom_seen = sampler_oom_kills(made->sampler, 0);
	open_base_watches(made);
	*tick = made;
	return 0;
out:
	tick_close(made, 0);
	return error;
}

void tick_close(struct tick *tick, uint32_t wait_ms)
{
	if (tick == NULL)
		return;
	brake_worker_close(tick->perform.brake);
	tick_watches_settled(tick);
	psi_close(&tick->psi);
	psi_close(&tick->events);
	sampler_close(tick->sampler);
	for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++)
		if (tick->service[i].prepared)
			tick_service_unmake(&tick->service[i], wait_ms);
	link_door_close(tick->door);
	if (tick->tree != NULL)
		cgroup_tree_close(tick->tree, wait_ms);
	if (tick->root_fd >= 0)
		close(tick->root_fd);
	free(tick);
}

int tick_claim(struct tick *tick, const char *file)
{
	int error = tick->tree != NULL ? cgroup_tree_claim(tick->tree, file) : 0;
	if (error == -EALREADY)
		log_error("%s: another supervisor runs its services: see the cgroups beside %s",
			file, base_directory(tick));
	else if (error != 0)
		log_warn("cgroup %s: not locked: %s", base_directory(tick), strerror(-error));
	return error == -EALREADY ? error : 0;
}

static size_t free_brake_slot(const struct tick *tick)
{
	bool used[CONFIG_SERVICES_MAX] = {false};
	for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++)
		if (tick->service[i].prepared)
			used[tick->service[i].brake_slot] = true;
	size_t slot = 0;
	while (slot < CONFIG_SERVICES_MAX - 1 && used[slot])
		slot++;
	return slot;
}

int tick_service_prepare(struct tick *tick, size_t service)
{
	struct tick_service *made = &tick->service[service];
	const struct config_service *config = &tick->config->services[service];
	if (made->prepared && (made->leaf == NULL || !cgroup_leaf_gone(made->leaf)))
		return 0;
	if (made->prepared) {
		log_warn("%s: its cgroup was removed, and is made again", config->name);
		tick_service_remove(tick, service, 0);
	}
	const struct tick_place place = {
		.tree = tick->tree,
		.door = tick->door,
		.wall_bytes = sampler_wall_bytes(tick->sampler),
		.wall_directory = sampler_wall_directory(tick->sampler),
		.window_ms = tick->mode.window_ms,
	};
	made->brake_slot = free_brake_slot(tick);
	int error = tick_service_make(made, config, policy_of(tick->config, service), &place);
	if (error != 0)
		return error;
	sampler_set_service(tick->sampler, service,
		made->leaf != NULL ? cgroup_leaf_fd(made->leaf) : -1, made->link);
	sampler_note_trigger(tick->sampler, service, needs_care(tick, &made->psi));
	policy_service_forget(&tick->service[service].policy);
	tick->generation++;
	return 0;
}

struct link *tick_link(struct tick *tick, size_t service)
{
	return tick->service[service].link;
}

struct cgroup_leaf *tick_leaf(struct tick *tick, size_t service)
{
	return tick->service[service].leaf;
}

void tick_service_started(struct tick *tick, size_t service)
{
	tick->service[service].running = true;
}

/* A leaf's kills are the service's; without leaves nobody knows whose they were. */
static void note_oom_kills(struct tick *tick, size_t service)
{
	struct tick_service *noted = &tick->service[service];
	bool own = noted->leaf != NULL;
	uint64_t *seen = own ? &noted->oom_seen : &tick->oom_seen;
	uint64_t *untold = own ? &noted->oom_untold : &tick->oom_untold;
	uint64_t kills = sampler_oom_kills(tick->sampler, service);
	if (kills <= *seen)
		return;
	uint64_t fresh = kills - *seen;
	*seen = kills;
	*untold += fresh;
	if (own)
		noted->oom_kills += fresh;
	log_warn("%s: the kernel OOM-killed %llu process%s%s",
		own ? tick->config->services[service].name : "all services",
		(unsigned long long)fresh, fresh == 1 ? "" : "es",
		own ? "" : " in the cgroup they share");
}

uint64_t tick_service_ended(struct tick *tick, size_t service)
{
	struct tick_service *ended = &tick->service[service];
	bool own = ended->leaf != NULL;
	uint64_t *untold = own ? &ended->oom_untold : &tick->oom_untold;
	note_oom_kills(tick, service);
	uint64_t kills = *untold;
	*untold = 0;
	if (!own)
		ended->oom_kills += kills;
	ended->running = false;
	if (tick->perform.brake != NULL)
		brake_worker_lift(tick->perform.brake, ended->brake_slot);
	perform_forget(&tick->perform, service);
	policy_service_forget(&tick->service[service].policy);
	if (ended->link != NULL) {
		link_suspect(ended->link);
		link_set_level(ended->link, LEVEL_CALM);
	}
	return kills;
}

void tick_end_guard(struct tick *tick)
{
	if (tick->perform.brake != NULL)
		brake_worker_end_guard(tick->perform.brake);
}

void tick_service_remove(struct tick *tick, size_t service, uint32_t wait_ms)
{
	struct tick_service *removed = &tick->service[service];
	if (!removed->prepared)
		return;
	sampler_clear_service(tick->sampler, service);
	perform_forget(&tick->perform, service);
	policy_service_forget(&tick->service[service].policy);
	if (tick->perform.brake != NULL)
		brake_worker_forget(tick->perform.brake, removed->brake_slot);
	if (removed->leaf != NULL && cgroup_leaf_remove(removed->leaf, wait_ms) != 0)
		log_warn("%s: its cgroup is still busy, left for later",
			tick->config->services[service].name);
	removed->leaf = NULL;
	/* The door has one place for each service that there can be.  The remains must not take one
	 * from those that a reload is about to start. */
	link_leave_door(removed->link);
	tick->generation++;
	struct tick_remains *remains = malloc(sizeof *remains);
	/* Without memory for it the loop finds closed descriptors, which is the lesser evil. */
	if (remains == NULL) {
		tick_service_unmake(removed, 0);
		return;
	}
	remains->service = *removed;
	remains->next = tick->remains;
	tick->remains = remains;
	*removed = (struct tick_service){.psi = PSI_WATCH_NONE, .events = PSI_WATCH_NONE};
}

void tick_reload(struct tick *tick, const struct config *config, const size_t *previous)
{
	size_t count = config->service_count;
	struct tick_before *before = &tick->before;
	memcpy(before->service, tick->service, sizeof before->service);
	before->perform = tick->perform;
	memset(tick->perform.ask, 0, sizeof tick->perform.ask);
	memset(tick->perform.releases, 0, sizeof tick->perform.releases);
	memset(tick->perform.brakes, 0, sizeof tick->perform.brakes);
	for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++) {
		size_t from = i < count ? previous[i] : SIZE_MAX;
		tick->service[i] =
			(struct tick_service){.psi = PSI_WATCH_NONE, .events = PSI_WATCH_NONE};
		if (from >= CONFIG_SERVICES_MAX)
			continue;
		tick->service[i] = before->service[from];
		tick->perform.ask[i] = before->perform.ask[from];
		tick->perform.brakes[i] = before->perform.brakes[from];
		memcpy(tick->perform.releases[i], before->perform.releases[from],
			sizeof before->perform.releases[from]);
	}
	sampler_move_services(tick->sampler, previous, count);
	tick->config = config;
	tick->generation++;
	uint64_t limit_bytes = sampler_wall_bytes(tick->sampler);
	for (size_t i = 0; i < count; i++) {
		struct tick_service *service = &tick->service[i];
		if (!service->prepared)
			continue;
		tick_service_reload(
			service, &config->services[i], policy_of(config, i), limit_bytes);
		if (tick->perform.brake != NULL)
			brake_worker_normal(
				tick->perform.brake, service->brake_slot, service->high_bytes);
		/* After a step down that may still be in the worker's hands. */
		if (tick->perform.brake != NULL && service->leaf != NULL)
			(void)brake_worker_limit(tick->perform.brake, service->brake_slot,
				cgroup_leaf_fd(service->leaf), service->limit.written_bytes);
	}
	tick->triggers_stale = true;
}

void tick_ask(struct tick *tick, size_t service, enum level level)
{
	for (size_t i = 0; i < tick->config->service_count; i++)
		if (service == SIZE_MAX || service == i)
			tick->service[i].manual = level;
}

/* A dead file stays ready for ever.  It moves to the remains, where it is closed when the loop has
 * stopped waiting for it.  false: no memory, it is still there. */
static bool retire_watch(struct tick *tick, struct psi_watch *watch)
{
	struct tick_remains *remains = calloc(1, sizeof *remains);
	if (remains == NULL)
		return false;
	remains->service.psi = *watch;
	remains->service.events = PSI_WATCH_NONE;
	remains->next = tick->remains;
	tick->remains = remains;
	*watch = PSI_WATCH_NONE;
	tick->generation++;
	return true;
}

/* Triggers with the thresholds of the config that is in force.  One that cannot be given up for
 * want of memory stays until the next turn. */
static void renew_triggers(struct tick *tick)
{
	const struct config_psi least = least_pressure(tick->config);
	tick->triggers_stale = false;
	for (size_t i = 0; i < tick->config->service_count; i++) {
		struct tick_service *service = &tick->service[i];
		const struct config_psi *wanted =
			&policy_of(tick->config, i)->at[LEVEL_LAZY].pressure;
		if (!service->prepared || psi_same(&service->psi_wanted, wanted))
			continue;
		if (!retire_watch(tick, &service->psi)) {
			tick->triggers_stale = true;
			continue;
		}
		tick_service_trigger(
			service, tick->config->services[i].name, wanted, tick->mode.window_ms);
		sampler_note_trigger(tick->sampler, i, needs_care(tick, &service->psi));
	}
	if (psi_same(&tick->psi_wanted, &least))
		return;
	if (!retire_watch(tick, &tick->psi)) {
		tick->triggers_stale = true;
		return;
	}
	int fd = open_base(tick);
	open_base_trigger(tick, fd);
	if (fd >= 0)
		close(fd);
}

static void describe(struct tick *tick, struct perform_service service[CONFIG_SERVICES_MAX])
{
	for (size_t i = 0; i < tick->config->service_count; i++) {
		const struct tick_service *from = &tick->service[i];
		bool shared;
		uint64_t usage_bytes = sampler_usage(tick->sampler, i, &shared);
		service[i] = (struct perform_service){
			.name = tick->config->services[i].name,
			.link = from->link,
			.leaf_fd = from->leaf != NULL ? cgroup_leaf_fd(from->leaf) : -1,
			.brake_slot = from->brake_slot,
			.high_bytes = from->high_bytes,
			.totals = sampler_totals(tick->sampler, i),
			.usage_bytes = usage_bytes,
			.usage_shared = shared,
		};
	}
}

static void publish(struct tick *tick, uint64_t now_ms)
{
	for (size_t i = 0; i < tick->config->service_count; i++) {
		struct link *link = tick->service[i].link;
		const struct service_plan *plan = &tick->service[i].policy.plan;
		const struct link_news news = {
			.now_ms = now_ms,
			.headroom_bytes = plan->headroom_bytes,
			.credit_bytes = plan->credit_bytes,
			.gate_wait_ms = plan->gate_wait_ms,
		};
		if (link == NULL)
			continue;
		link_publish(link, &news);
		link_set_price(link, plan->price_ns);
	}
}

/* Policy is shown the limit that is to be. */
static void aim_at_limits(struct tick *tick)
{
	for (size_t i = 0; i < tick->config->service_count; i++) {
		const struct limit *limit = &tick->service[i].limit;
		struct wall_sample *own = &tick->service[i].policy.sample.own;
		if (limit->moving && limit->target_bytes < own->limit_bytes)
			own->limit_bytes = limit->target_bytes;
	}
}

static void move_limit(struct tick *tick, size_t i, uint64_t now_ms)
{
	struct tick_service *service = &tick->service[i];
	const char *name = tick->config->services[i].name;
	uint64_t usage_bytes = service->policy.sample.current_bytes;
	struct size_text usage = size_text(usage_bytes);
	struct size_text target = size_text(service->limit.target_bytes);
	const struct limit before = service->limit;
	enum limit_change change = limit_step(&service->limit, usage_bytes, now_ms);
	struct size_text written = size_text(service->limit.written_bytes);
	if (change == LIMIT_LATE)
		log_warn("%s: memory_max %s cannot be met: it uses %s; memory.max stays at %s",
			name, target.text, usage.text, written.text);
	if (change == LIMIT_KEEP || change == LIMIT_LATE)
		return;
	int error = brake_worker_limit(tick->perform.brake, service->brake_slot,
		cgroup_leaf_fd(service->leaf), service->limit.written_bytes);
	if (error != 0) {
		if (!before.late)
			log_warn("%s: memory.max %s: %s", name, written.text, strerror(-error));
		service->limit = before; /* tried again at the next look */
		service->limit.late = true;
	} else if (change == LIMIT_REACHED) {
		log_info("%s: memory.max is %s now; it uses %s", name, written.text, usage.text);
	}
}

/* Whether any limit is still on its way. */
static bool move_limits(struct tick *tick, uint64_t now_ms)
{
	bool moving = false;
	for (size_t i = 0; i < tick->config->service_count; i++) {
		if (!tick->service[i].limit.moving || tick->service[i].leaf == NULL)
			continue;
		move_limit(tick, i, now_ms);
		moving |= tick->service[i].limit.moving;
	}
	return moving;
}

/* What policy must know of a service beside the sample. */
static void introduce(struct tick *tick, size_t i)
{
	struct tick_service *service = &tick->service[i];
	const struct config_amount *high = &tick->config->services[i].memory_high;
	service->policy.policy = policy_of(tick->config, i);
	service->policy.has_high = high->bytes != 0 || high->permille != 0;
	service->policy.sample.running = service->running;
	service->policy.sample.manual = service->manual;
	service->manual = LEVEL_CALM;
}

uint32_t tick_step(struct tick *tick, uint64_t now_ms)
{
	struct perform_service service[CONFIG_SERVICES_MAX];
	size_t count = tick->config->service_count;
	link_door_open_again(tick->door, now_ms);
	if (tick->triggers_stale)
		renew_triggers(tick);
	for (size_t i = 0; i < count; i++)
		introduce(tick, i);
	tick->policy.service_count = count;
	sampler_read(tick->sampler, now_ms, &tick->policy, &tick->sample);
	aim_at_limits(tick);
	describe(tick, service);
	perform_settle(&tick->perform, service, count, now_ms);
	policy_step(&tick->policy, &tick->sample, now_ms, &tick->plan);
	perform_plan(&tick->perform, &tick->plan, service, now_ms);
	publish(tick, now_ms);
	for (size_t i = 0; i < count; i++)
		if (tick->service[i].prepared)
			note_oom_kills(tick, i);
	uint64_t due_ms = perform_due_ms(&tick->perform, count);
	uint64_t due_in_ms = due_ms > now_ms ? due_ms - now_ms : 1;
	if (move_limits(tick, now_ms) && due_in_ms > LIMIT_LOOK_MS)
		due_in_ms = LIMIT_LOOK_MS;
	return due_in_ms < tick->plan.next_ms ? (uint32_t)due_in_ms : tick->plan.next_ms;
}

uint64_t tick_watches_generation(const struct tick *tick)
{
	return tick->generation;
}

static void add_watch(
	struct tick_watch *watch, size_t *count, int fd, enum tick_watch_kind kind, size_t service)
{
	if (fd >= 0)
		watch[(*count)++] = (struct tick_watch){fd, kind, service};
}

size_t tick_watches(const struct tick *tick, struct tick_watch watch[TICK_WATCHES_MAX])
{
	size_t count = 0;
	add_watch(watch, &count, tick->psi.epoll_fd, TICK_WATCH_PSI, SIZE_MAX);
	add_watch(watch, &count, tick->events.epoll_fd, TICK_WATCH_EVENTS, SIZE_MAX);
	add_watch(watch, &count, link_door_fd(tick->door), TICK_WATCH_DOOR, SIZE_MAX);
	for (size_t i = 0; i < CONFIG_SERVICES_MAX; i++) {
		const struct tick_service *service = &tick->service[i];
		if (!service->prepared)
			continue;
		add_watch(watch, &count, service->psi.epoll_fd, TICK_WATCH_PSI, i);
		add_watch(watch, &count, service->events.epoll_fd, TICK_WATCH_EVENTS, i);
		add_watch(watch, &count, doorbell_fd(service->doorbell), TICK_WATCH_DOORBELL, i);
	}
	return count;
}

void tick_watches_settled(struct tick *tick)
{
	while (tick->remains != NULL) {
		struct tick_remains *remains = tick->remains;
		tick->remains = remains->next;
		tick_service_unmake(&remains->service, 0);
		free(remains);
	}
}

void tick_woken(struct tick *tick, const struct tick_watch *watch, uint64_t now_ms)
{
	bool base = watch->service >= CONFIG_SERVICES_MAX;
	struct tick_service *service = base ? NULL : &tick->service[watch->service];
	struct psi_watch *psi = base ? &tick->psi : &service->psi;
	struct psi_watch *events = base ? &tick->events : &service->events;
	switch (watch->kind) {
	case TICK_WATCH_PSI:
		if (psi->epoll_fd != watch->fd)
			break;
		log_debug("%s: memory.pressure trigger",
			base ? "all services" : tick->config->services[watch->service].name);
		if (!base)
			service->psi_wakes++;
		/* Without memory for it the next wake tries again. */
		if (!psi_trigger_alive(psi))
			retire_watch(tick, psi);
		break;
	case TICK_WATCH_EVENTS:
		if (events->epoll_fd != watch->fd)
			break;
		if (!base)
			service->events_wakes++;
		if (!psi_events_rearm(events))
			retire_watch(tick, events);
		break;
	case TICK_WATCH_DOORBELL:
		if (base || service->doorbell == NULL ||
			doorbell_fd(service->doorbell) != watch->fd)
			break;
		service->doorbell_wakes++;
		doorbell_drain(service->doorbell);
		break;
	case TICK_WATCH_DOOR:
		link_door_serve(tick->door, now_ms);
		break;
	}
}

void tick_counts(struct tick *tick, size_t service, struct tick_counts *counts)
{
	const struct tick_service *from = &tick->service[service];
	bool shared;
	*counts = (struct tick_counts){
		.heap = *sampler_totals(tick->sampler, service),
		.oom_kills = from->oom_kills,
		.brakes = tick->perform.brakes[service],
		.psi_wakes = from->psi_wakes,
		.events_wakes = from->events_wakes,
		.doorbell_wakes = from->doorbell_wakes,
		.usage_bytes = sampler_usage(tick->sampler, service, &shared),
		.level = from->link != NULL ? link_level(from->link) : LEVEL_CALM,
	};
	memcpy(counts->releases, tick->perform.releases[service], sizeof counts->releases);
}
