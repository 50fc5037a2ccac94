/* The services that take part in the turn, which is tick_turn.c's. */
#include "supervisor/tick/tick.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/cgroup/cgroup_settings.h"
#include "supervisor/tick/tick_private.h"

/* How often it is looked whether somebody has removed a leaf, unless one of its files says so. */
#define LEAVES_LOOK_MS 5000U

const char *tick_directory(const struct tick *tick)
{
	return tick->tree != NULL ? cgroup_tree_directory(tick->tree) : tick->mode.directory;
}

static void open_tree(struct tick *tick, const struct tick_left *left)
{
	char why[CGROUP_WHY_BYTES] = "";
	if (tick->mode.letter != MODE_A && tick->mode.letter != MODE_B)
		return;
	int error =
		cgroup_tree_open(&tick->mode, left != NULL ? left->base : NULL, &tick->tree, why);
	if (error != 0)
		mode_degrade(&tick->mode, why);
}

/* A filter of system calls may know no AF_UNIX, and descriptors may be short.  Processes that keep
 * the link's descriptors need no listener. */
static int without_listener(int error)
{
	if (error == 0 || error == -ENOMEM)
		return error;
	log_warn("no listener for links: %s: processes that close all descriptors lose theirs",
		strerror(-error));
	return 0;
}

/* At the name where the processes of adopted services ask. */
static int open_listener(struct tick *tick, const struct tick_left *left)
{
	bool had_one = left != NULL && left->listener[0] != '\0';
	int error = -ENOENT;
	if (had_one)
		error = link_listener_open(left->listener, &tick->listener);
	if (had_one && error != 0)
		log_warn("the listener of the earlier supervisor cannot be had (%s): what it has "
			 "started runs without a link",
			strerror(-error));
	return error != 0 ? link_listener_open(NULL, &tick->listener) : 0;
}

static int open_all(struct tick *tick, const struct tick_left *left)
{
	tick->root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (tick->root_fd < 0)
		return -errno;
	mode_probe(tick->root_fd, &tick->mode);
	open_tree(tick, left);
	log_info("%s", tick->mode.line);
	int error = open_listener(tick, left);
	error = without_listener(error);
	if (error == 0)
		error = notifier_threads_open(&tick->notifiers);
	if (error == 0)
		error = sampler_open(
			tick->root_fd, &tick->mode, tick_directory(tick), &tick->sampler);
	if (error == 0 && tick->tree != NULL)
		error = brake_worker_open(&tick->means.brake);
	if (error != 0)
		return error;
	tick->means.reclaim.base = tick->tree != NULL ? cgroup_tree_directory(tick->tree) : NULL;
	tick->oom_seen = sampler_oom_kills(tick->sampler, &SAMPLER_SERVICE_NONE);
	tick_watches_open(tick);
	return 0;
}

int tick_open(const struct tick_left *left, struct tick **tick)
{
	struct tick *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->psi = TICK_WATCHED_NONE;
	made->events = TICK_WATCHED_NONE;
	made->limits = LIMIT_WATCH_NONE;
	made->triggers_stale = true;
	int error = open_all(made, left);
	if (error != 0) {
		tick_close(made, 0);
		return error;
	}
	*tick = made;
	return 0;
}

void tick_close(struct tick *tick, uint32_t wait_ms)
{
	if (tick == NULL)
		return;
	brake_worker_close(tick->means.brake);
	perform_reclaim_close(&tick->means.reclaim);
	tick_watches_settled(tick);
	psi_close(&tick->psi.now);
	psi_close(&tick->events.now);
	sampler_close(tick->sampler);
	for (size_t i = 0; i < tick->count; i++)
		if (tick->service[i]->prepared)
			tick_service_unmake(tick->service[i], NULL, wait_ms);
	limit_watch_close(&tick->limits);
	pressure_directory_close(tick->pressure);
	notifier_threads_close(tick->notifiers);
	link_listener_close(tick->listener);
	if (tick->tree != NULL)
		cgroup_tree_close(tick->tree, wait_ms);
	if (tick->root_fd >= 0)
		close(tick->root_fd);
	free(tick->service);
	free(tick->policy.service);
	free(tick->plan.action);
	free(tick);
}

int tick_reserve(struct tick *tick, size_t count)
{
	if (count <= tick->room)
		return 0;
	struct tick_service **service =
		realloc(tick->service, count * sizeof(struct tick_service *));
	if (service == NULL)
		return -ENOMEM;
	tick->service = service;
	struct policy_service **policy =
		realloc(tick->policy.service, count * sizeof(struct policy_service *));
	if (policy == NULL)
		return -ENOMEM;
	tick->policy.service = policy;
	struct action *action =
		realloc(tick->plan.action, PLAN_ACTIONS(count) * sizeof(struct action));
	if (action == NULL)
		return -ENOMEM;
	tick->plan.action = action;
	tick->plan.room = PLAN_ACTIONS(count);
	tick->room = count;
	return 0;
}

void tick_clear(struct tick *tick)
{
	tick->count = 0;
	tick->policy.service_count = 0;
	tick->triggers_stale = true;
	tick->generation++;
}

void tick_add(struct tick *tick, struct tick_service *service)
{
	tick->service[tick->count++] = service;
	tick->policy.service[tick->policy.service_count++] = &service->policy;
}

void tick_settle(struct tick *tick)
{
	if (!sampler_settle(tick->sampler))
		return;
	for (size_t i = 0; i < tick->count; i++)
		if (tick->service[i]->prepared)
			tick_service_tell_wall(
				tick->service[i], sampler_wall_directory(tick->sampler));
}

/* The walls are not looked at before the first turn where nothing is a share of them. */
static struct tick_place place_of(struct tick *tick, const struct tick_service *service)
{
	if (cgroup_settings_need_wall(&service->config))
		tick_settle(tick);
	return (struct tick_place){
		.tree = tick->tree,
		.brake = tick->means.brake,
		.limits = &tick->limits,
		.listener = tick->listener,
		.notifiers = tick->notifiers,
		.wall_bytes = sampler_wall_bytes(tick->sampler),
		.wall_directory = sampler_wall_directory(tick->sampler),
		.window_ms = tick->mode.window_ms,
	};
}

static void note_made(struct tick *tick, struct tick_service *service)
{
	tick_watches_note_trigger(tick, service);
	policy_service_forget(&service->policy);
	tick->generation++;
}

static bool has_lost_its_leaf(const struct tick_service *service)
{
	return service->prepared &&
	       (service->leaf_lost || (service->leaf != NULL && cgroup_leaf_gone(service->leaf)));
}

/* 0, -EAGAIN when the loop still waits for what the one before has left, or another -errno. */
static int make_leaf_again(struct tick *tick, struct tick_service *service)
{
	const struct tick_place place = place_of(tick, service);
	bool is_new = !service->leaf_lost;
	if (!tick_watched_is_settled(&service->psi) || !tick_watched_is_settled(&service->events))
		return -EAGAIN;
	int error = tick_service_make_leaf_again(service, &place);
	note_made(tick, service);
	if (error == 0)
		log_warn("%s: its cgroup was removed, and is made again", service->config.name);
	else if (is_new)
		log_warn("%s: its cgroup was removed, and cannot be made again yet: %s",
			service->config.name, strerror(-error));
	return error;
}

int tick_service_prepare(struct tick *tick, struct tick_service *service)
{
	if (has_lost_its_leaf(service))
		return make_leaf_again(tick, service);
	if (service->prepared)
		return 0;
	const struct tick_place place = place_of(tick, service);
	int error = tick_service_make(service, &place);
	if (error == 0)
		note_made(tick, service);
	return error;
}

int tick_service_adopt(
	struct tick *tick, struct tick_service *service, const char *leaf, const char *token)
{
	struct tick_place place = place_of(tick, service);
	if ((tick->tree != NULL) != (leaf[0] != '\0'))
		return -ENOENT;
	place.left_leaf = leaf;
	place.left_token = token;
	int error = tick_service_make(service, &place);
	if (error != 0)
		return error;
	note_made(tick, service);
	/* What was counted before is no news. */
	service->oom_seen = sampler_oom_kills(tick->sampler, &service->sampler);
	tick_service_reload(service, tick->means.brake, place.wall_bytes);
	return 0;
}

int tick_service_pressure(struct tick *tick, struct tick_service *service, bool other_user,
	struct tick_pressure *pressure)
{
	bool may_trigger =
		tick->mode.letter == MODE_B || (tick->mode.letter == MODE_A && !other_user);
	pressure->trigger = service->leaf != NULL && tick->mode.window_ms != 0 && may_trigger;
	if (!service->prepared)
		return -ENOENT;
	if (!pressure->trigger && service->pressure == NULL) {
		int error = pressure_socket_open(&tick->pressure, &service->pressure);
		if (error != 0)
			return error;
	}
	int length = snprintf(pressure->path, sizeof pressure->path,
		pressure->trigger ? "%s/memory.pressure" : "%s",
		pressure->trigger ? cgroup_leaf_directory(service->leaf)
				  : pressure_socket_path(service->pressure));
	return length >= 0 && (size_t)length < sizeof pressure->path ? 0 : -ENAMETOOLONG;
}

void tick_service_started(struct tick_service *service)
{
	service->running = true;
	service->leaves = false;
	service->leaf_used = true;
}

void tick_service_leaves(struct tick *tick, struct tick_service *service)
{
	service->leaves = true;
	tick_service_let_go(service, tick->means.brake);
}

uint64_t tick_service_ended(
	struct tick *tick, struct tick_service *service, bool was_killed, uint64_t now_ms)
{
	uint64_t kills = tick_take_oom_kills(tick, service, was_killed, now_ms);
	service->running = false;
	tick_service_let_go(service, tick->means.brake);
	perform_forget(&service->perform);
	service->perform.ended = service->perform.ends;
	service->perform.ends = false;
	policy_service_forget(&service->policy);
	if (service->link != NULL) {
		link_suspect(service->link);
		link_set_level(service->link, LEVEL_CALM);
	}
	return kills;
}

void tick_end_guard(struct tick *tick)
{
	if (tick->means.brake != NULL)
		brake_worker_end_guard(tick->means.brake);
}

void tick_service_remove(struct tick *tick, struct tick_service *service, uint32_t wait_ms)
{
	if (!service->prepared)
		return;
	tick_service_unmake(service, tick->means.brake, wait_ms);
	tick->generation++;
}

void tick_service_changed(struct tick *tick, struct tick_service *service)
{
	tick->triggers_stale = true;
	if (!service->prepared)
		return;
	tick_service_reload(service, tick->means.brake, sampler_wall_bytes(tick->sampler));
}

void tick_ask(
	struct tick *tick, struct tick_service *service, enum level level, uint64_t target_bytes)
{
	for (size_t i = 0; i < tick->count; i++) {
		if (service != NULL && service != tick->service[i])
			continue;
		tick->service[i]->manual = level;
		tick->service[i]->manual_bytes = target_bytes;
	}
}

void tick_rest(const struct tick *tick)
{
	for (size_t i = 0; i < tick->count; i++)
		if (tick->service[i]->link != NULL)
			link_rest(tick->service[i]->link);
}

bool tick_release_is_over(const struct tick_service *service)
{
	return service->manual == LEVEL_CALM && !service->perform.ask.open;
}

void tick_look_for_leaves(struct tick *tick, uint64_t now_ms)
{
	if (tick->tree == NULL || now_ms - tick->leaves_looked_ms < LEAVES_LOOK_MS)
		return;
	tick->leaves_looked_ms = now_ms;
	for (size_t i = 0; i < tick->count; i++)
		if (has_lost_its_leaf(tick->service[i]))
			make_leaf_again(tick, tick->service[i]);
}
