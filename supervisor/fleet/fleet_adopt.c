/* Takes over what a supervisor that was killed has left running, and notes what runs for the next.
 */
#include "supervisor/fleet/fleet_private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/fleet/left_file.h"
#include "supervisor/fleet/service_left.h"
#include "supervisor/process/descendants_marked.h"

/* As for what is found in leaves (cgroup_leftover.h). */
#define END_TERM_MS 3000U
#define END_KILL_MS 1000U
#define END_LOOK_US 10000U

int fleet_adopt_open(struct fleet *fleet)
{
	if (!fleet->config.adopt || fleet->wrap)
		return 0;
	int error = left_file_open(fleet->file_path, &fleet->left_file);
	if (error == -EALREADY)
		log_error("%s: another supervisor runs its services", fleet->file);
	else if (error != 0)
		log_warn("adopt = yes has no effect: no directory below /run or XDG_RUNTIME_DIR to "
			 "note in what runs: %s",
			strerror(-error));
	if (error != 0)
		return error == -EALREADY ? error : 0;
	fleet->host.changed = fleet_adopt_note;
	error = left_file_read(fleet->left_file, &fleet->left);
	if (error != 0 && error != -ENOENT)
		log_warn("what an earlier supervisor has noted cannot be read, and is not used: %s",
			strerror(-error));
	return 0;
}

void fleet_adopt_close(struct fleet *fleet)
{
	left_state_free(&fleet->left);
	left_file_close(fleet->left_file, !fleet->ran);
	fleet->left_file = NULL;
	fleet->host.changed = NULL;
}

static void on_end(void *context)
{
	struct service_left *left = context;
	struct fleet *fleet = left->fleet;
	loop_watch_free(left->watch);
	left->watch = NULL;
	if (left->service->lives)
		service_died(left->service, &fleet->host, 0, 0, loop_now_ms());
	fleet_turn(fleet);
}

/* 0, or -errno: it is to be ended. */
static int adopt(struct fleet *fleet, struct service *service, const struct left_service *noted)
{
	const char *token = left_state_token(noted);
	struct service_left *left;
	int error = service_left_open(noted, &left);
	if (error != 0)
		return error;
	left->fleet = fleet;
	left->service = service;
	error = loop_watch_new(fleet->loop, left->pid_fd, on_end, left, &left->watch);
	if (error == 0)
		error = tick_service_adopt(fleet->host.tick, &service->memory, noted->leaf, token);
	if (error != 0) {
		service_left_free(left);
		return error;
	}
	service->left = left;
	service->held = false;
	return 0;
}

/* Where there are no leaves to find it by.  How many processes were signalled. */
static int signal_noted(const struct left_service *noted, int signal)
{
	char text[sizeof LINK_ENVIRONMENT + 1 + LEFT_LINK_BYTES];
	struct service_left *left;
	int count = 0;
	if (service_left_open(noted, &left) == 0) {
		count += kill(-noted->pid, signal) == 0;
		service_left_free(left);
	}
	snprintf(text, sizeof text, LINK_ENVIRONMENT "=%s", noted->link);
	int marked =
		noted->link[0] != '\0' ? descendants_signal_marked(1, text, noted->pid, signal) : 0;
	return marked > 0 ? count + marked : count;
}

static int signal_all(const struct left_state *state, int signal)
{
	int count = 0;
	for (size_t i = 0; i < state->count; i++)
		if (state->service[i].pid != 0 && state->service[i].leaf[0] == '\0')
			count += signal_noted(&state->service[i], signal);
	return count;
}

static void wait_for_all(const struct left_state *state, uint64_t until_ms)
{
	while (loop_now_ms() < until_ms && signal_all(state, 0) > 0)
		usleep(END_LOOK_US);
}

/* Nothing of it may run beside what is started now. */
static void end_others(const struct left_state *state)
{
	int count = signal_all(state, SIGTERM);
	if (count == 0)
		return;
	log_warn("left by an earlier supervisor: ending %d processes", count);
	wait_for_all(state, loop_now_ms() + END_TERM_MS);
	if (signal_all(state, SIGKILL) > 0)
		wait_for_all(state, loop_now_ms() + END_KILL_MS);
}

void fleet_adopt(struct fleet *fleet)
{
	struct left_state *state = &fleet->left;
	bool has_leaves = tick_base_directory(fleet->host.tick)[0] != '\0';
	for (size_t i = 0; i < state->count; i++) {
		struct left_service *noted = &state->service[i];
		struct service *service = fleet_find(fleet, noted->name);
		int error = 0;
		if (service == NULL)
			log_info("%s: left by an earlier supervisor: stopping, it was removed",
				noted->name);
		else if (service->left != NULL || noted->mark != service_left_mark(service->config))
			log_info("%s: left by an earlier supervisor: stopping, its settings have "
				 "changed",
				noted->name);
		else if ((error = adopt(fleet, service, noted)) == 0)
			noted->pid = 0;
		else
			log_warn("%s: not adopted: %s", noted->name, strerror(-error));
		/* Nobody looks into leaves for it. */
		if (!has_leaves)
			noted->leaf[0] = '\0';
	}
	end_others(state);
	left_state_free(state);
}

static void note(const struct service *service, struct left_service *noted)
{
	const struct link *link = service->memory.link;
	const struct cgroup_leaf *leaf = service->memory.leaf;
	*noted = (struct left_service){
		.pid = service->pid,
		.start_ticks = service->start_ticks,
		.mark = service_left_mark(service->config),
	};
	snprintf(noted->name, sizeof noted->name, "%s", service->config->name);
	if (leaf != NULL)
		snprintf(noted->leaf, sizeof noted->leaf, "%s",
			strrchr(cgroup_leaf_directory(leaf), '/') + 1);
	if (link != NULL && link_environment(link, noted->last, sizeof noted->last) != 0)
		noted->last[0] = '\0';
	memcpy(noted->link, service->left != NULL ? service->left->link : noted->last,
		sizeof noted->link);
}

/* A service's own, before its process runs its program: at no time does one run that is not noted.
 */
void fleet_adopt_note(void *context)
{
	struct fleet *fleet = context;
	struct left_state state = {0};
	if (fleet->left_file == NULL)
		return;
	state.service = calloc(fleet->count, sizeof *state.service);
	if (state.service == NULL)
		return;
	snprintf(state.listener, sizeof state.listener, "%s", tick_listener_name(fleet->host.tick));
	snprintf(state.base, sizeof state.base, "%s", tick_base_directory(fleet->host.tick));
	for (size_t i = 0; i < fleet->count; i++)
		if (fleet->service[i]->pid != 0)
			note(fleet->service[i], &state.service[state.count++]);
	int error = left_file_write(fleet->left_file, &state);
	if (error != 0 && error != fleet->left_error)
		log_warn("what runs cannot be noted for a later supervisor: %s",
			error == -EINPROGRESS ? "its file system does not answer"
					      : strerror(-error));
	fleet->left_error = error;
	left_state_free(&state);
}

void fleet_adopt_step(struct fleet *fleet)
{
	if (fleet->left_error == -EINPROGRESS)
		fleet_adopt_note(fleet);
}

void fleet_adopt_reload(struct fleet *fleet)
{
	if (!fleet->config.adopt)
		fleet_adopt_close(fleet);
	else if (fleet->left_file == NULL)
		(void)fleet_adopt_open(fleet);
	left_state_free(&fleet->left);
	for (size_t i = 0; fleet->left_file != NULL && i < fleet->count; i++)
		if (fleet->service[i]->lives && fleet->service[i]->left == NULL)
			fleet->service[i]->start_ticks =
				service_left_start_ticks(fleet->service[i]->pid);
	fleet_adopt_note(fleet);
}
