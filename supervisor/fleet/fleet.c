/* Makes the fleet, runs it, and what is due in each turn of its loop. */
#include "supervisor/fleet/fleet.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "supervisor/fleet/fleet_order.h"
#include "supervisor/fleet/fleet_private.h"
#include "supervisor/fleet/service_left.h"
#include "supervisor/fleet/service_processes.h"
#include "supervisor/base/log.h"
#include "supervisor/base/loop.h"
#include "supervisor/base/output.h"
#include "supervisor/base/random.h"
#include "supervisor/base/resident.h"
#include "supervisor/control/control.h"
#include "supervisor/process/shim_check.h"

#define CLOSE_WAIT_MS 1000U
/* For log files, after the last piece that got through. */
#define OUTPUT_WAIT_MS 1000U

/* A wrapped command that has ended by then costs no look at its memory. */
#define WRAP_FIRST_TICK_MS 5U

/* What a start does later is done by then: limits are watched, most heaps have their links. */
#define REST_AFTER_MS 1500U

struct service *fleet_find(const struct fleet *fleet, const char *name)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (strcmp(fleet->service[i]->config->name, name) == 0)
			return fleet->service[i];
	return NULL;
}

static uint64_t next_deadline_ms(const struct fleet *fleet, uint64_t now_ms)
{
	uint64_t next_ms = fleet_ending_deadline_ms(fleet, now_ms);
	if (fleet->unreaped)
		return now_ms;
	if (fleet->tick_ms < next_ms)
		next_ms = fleet->tick_ms;
	uint64_t control_ms = fleet_control_deadline_ms(fleet->control);
	if (control_ms < next_ms)
		next_ms = control_ms;
	if (fleet->manager.fd >= 0 && manager_deadline_ms(&fleet->manager) < next_ms)
		next_ms = manager_deadline_ms(&fleet->manager);
	for (size_t i = 0; i < fleet->count; i++) {
		uint64_t due_ms = service_deadline_ms(fleet->service[i]);
		if (due_ms < next_ms)
			next_ms = due_ms;
	}
	return next_ms;
}

/* A service is about to look for its process in the link, which shows what the last
 * turn of tick has read. */
static bool shim_is_awaited(const struct fleet *fleet, uint64_t now_ms)
{
	for (size_t i = 0; i < fleet->count; i++)
		if (fleet->service[i]->shim_check_ms <= now_ms)
			return true;
	return false;
}

/* A while after the last start; UINT64_MAX = that was done. */
static uint64_t rest_due_ms(const struct fleet *fleet)
{
	uint64_t started_ms = 0;
	for (size_t i = 0; i < fleet->count; i++)
		if (fleet->service[i]->lives && fleet->service[i]->started_ms > started_ms)
			started_ms = fleet->service[i]->started_ms;
	return started_ms > fleet->rested_ms ? started_ms + REST_AFTER_MS : UINT64_MAX;
}

static void set_timer(struct fleet *fleet, uint64_t now_ms)
{
	uint64_t next_ms = fleet->rest_ms < fleet->next_ms ? fleet->rest_ms : fleet->next_ms;
	loop_timer_set(fleet->timer, next_ms > now_ms ? next_ms - now_ms : 0);
}

/* The first turn opens files that can be done without, and leaves what the end needs. */
static void look(struct fleet *fleet, uint64_t now_ms)
{
	if (fleet->inherited != NULL && fleet->ending == FLEET_SERVES)
		descriptors_set_aside(fleet->inherited);
	fleet->tick_ms = now_ms + tick_step(fleet->host.tick, now_ms);
}

void fleet_turn(struct fleet *fleet)
{
	uint64_t now_ms = loop_now_ms();
	if (shim_is_awaited(fleet, now_ms))
		look(fleet, now_ms);
	service_processes_look(fleet->service, fleet->count, &fleet->host);
	for (size_t i = 0; i < fleet->count; i++)
		service_step(fleet->service[i], &fleet->host, now_ms);
	fleet_on_exit_step(fleet, now_ms);
	fleet_order_step(fleet, now_ms);
	fleet_reload_step(fleet, now_ms);
	fleet_ending_step(fleet, now_ms);
	service_processes_signal(fleet->service, fleet->count, &fleet->host);
	if (fleet->tick_ms > now_ms + TICK_STIRRED_MS &&
		(fleet->watches_missing || tick_is_stirred(fleet->host.tick)))
		fleet->tick_ms = now_ms + TICK_STIRRED_MS;
	if (fleet->tick_ms <= now_ms)
		look(fleet, now_ms);
	for (size_t i = 0; i < fleet->count && !fleet->stopping; i++)
		service_last_resort(fleet->service[i], &fleet->host, now_ms);
	fleet_control_step(fleet->control, now_ms);
	fleet_adopt_step(fleet);
	if (fleet->manager.fd >= 0)
		fleet_manager_step(fleet, now_ms);
	fleet_watches_renew(fleet);
	fleet->next_ms = next_deadline_ms(fleet, now_ms);
	fleet->rest_ms = rest_due_ms(fleet);
	set_timer(fleet, now_ms);
}

/* What the last starts have mapped and allocated is given back.  Whether there is nothing else to
 * do. */
static bool rest(struct fleet *fleet, uint64_t now_ms)
{
	if (now_ms < fleet->rest_ms || now_ms >= fleet->next_ms)
		return false;
	fleet->rest_ms = UINT64_MAX;
	fleet->rested_ms = now_ms;
	tick_rest(fleet->host.tick);
	set_timer(fleet, now_ms);
	resident_give_back();
	return true;
}

void fleet_look(struct fleet *fleet)
{
	uint64_t now_ms = loop_now_ms();
	if (now_ms - tick_turn_ms(fleet->host.tick) < TICK_STIRRED_MS)
		return;
	fleet->tick_ms = now_ms + tick_step(fleet->host.tick, now_ms);
	loop_timer_set(fleet->timer, 0);
}

static void on_timer(void *context)
{
	struct fleet *fleet = context;
	uint64_t now_ms = loop_now_ms();
	if (rest(fleet, now_ms))
		return;
	if (fleet->unreaped)
		fleet_reap(fleet, now_ms);
	fleet_turn(fleet);
}

/* NULL: it is not there. */
static char *find_library(const char *program, const char *name)
{
	char found[PATH_MAX];
	return shim_find(program, name, found) == 0 ? strdup(found) : NULL;
}

/* The libraries lie beside us, where the kernel says we are. */
static void find_shim(struct fleet *fleet)
{
	char program[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
	if (length <= 0)
		return;
	program[length] = '\0';
	fleet->shim_path = find_library(program, SHIM_LIBRARY);
	fleet->host.shim_path = fleet->shim_path;
	fleet->agent_path = find_library(program, SHIM_AGENT);
	fleet->host.agent_path = fleet->agent_path;
	for (size_t i = 0; i < fleet->count && fleet->shim_path == NULL; i++) {
		if (fleet->service[i]->config->shim == CONFIG_SHIM_OFF)
			continue;
		log_warn("no libspillway.so in ../lib of %s, nor in its folder for this machine: "
			 "services run without it",
			program);
		return;
	}
}

/* Reload reads it from /.  Links are not resolved: in a mounted ConfigMap it is a
 * link that is moved to the new version. */
static int note_file(struct fleet *fleet)
{
	bool is_whole = fleet->file[0] == '/' || fleet->start_path == NULL;
	const char *folder = is_whole ? "" : fleet->start_path;
	const char *slash = is_whole ? "" : "/";
	char *path;
	int length = asprintf(&path, "%s%s%s", folder, slash, fleet->file);
	if (length < 0)
		return -ENOMEM;
	fleet->file_path = path;
	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Said when it is known: a service that finds no descriptor left is worse to understand. */
void fleet_check_budget(const struct fleet *fleet)
{
	struct rlimit limit;
	size_t needed = descriptors_needed(fleet->count);
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_cur < needed)
		log_warn(
			"%zu service%s may need %zu descriptors, and %llu are allowed (ulimit -n): "
			"some may go without limits, link or watches",
			fleet->count, fleet->count == 1 ? "" : "s", needed,
			(unsigned long long)limit.rlim_cur);
	else
		log_debug("%zu service%s: at most %zu descriptors of %llu are needed", fleet->count,
			fleet->count == 1 ? "" : "s", needed, (unsigned long long)limit.rlim_cur);
}

static int list_services(struct fleet *fleet)
{
	int error = tick_reserve(fleet->host.tick, fleet->count);
	for (size_t i = 0; error == 0 && i < fleet->count; i++)
		tick_add(fleet->host.tick, &fleet->service[i]->memory);
	return error;
}

/* What an earlier supervisor of the same file has left: adopted or ended.  0, or -EALREADY: it
 * lives. */
static int take_over(struct fleet *fleet)
{
	int error = tick_claim(fleet->host.tick, fleet->file_path);
	if (error != 0)
		return error;
	fleet_adopt(fleet);
	return tick_end_leftovers(fleet->host.tick, fleet->file_path);
}

/* A directory that was removed has no name: services start in / then. */
static int note_places(struct fleet *fleet)
{
	fleet->start_path = getcwd(NULL, 0);
	fleet->host.start = fleet->start_path;
	return note_file(fleet);
}

static int fleet_init(struct fleet *fleet)
{
	fleet_check_budget(fleet);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 && getpid() != 1)
		log_warn("cannot become the reaper of orphans: %s", strerror(errno));
	find_shim(fleet);
	int error = fleet->wrap ? 0 : note_places(fleet);
	if (error != 0)
		return error;
	fleet->host.announce = !fleet->wrap;
	fleet->host.null_stdin = !fleet->wrap;
	fleet->host.sweep_only_kills = fleet->wrap;
	fleet->host.new_session = fleet->wrap && fleet->as.target == WRAP_TO_SESSION;
	if (fleet->host.new_session)
		fleet_terminal_give_up();
	else
		fleet->host.take_terminal = fleet->wrap && fleet_terminal_is_ours();
	if (fleet->as.parent_death_signal != 0)
		prctl(PR_SET_PDEATHSIG, fleet->as.parent_death_signal, 0, 0, 0);
	if (!fleet->wrap)
		fleet_manager_open(fleet);
	error = loop_new(&fleet->loop);
	if (error != 0)
		return error;
	fleet->host.loop = fleet->loop;
	fleet->host.wake = on_timer;
	fleet->host.context = fleet;
	fleet->host.has_only_mains = fleet_has_only_mains;
	error = loop_timer_new(fleet->loop, on_timer, fleet, &fleet->timer);
	if (error != 0)
		return error;
	error = loop_watch_new(
		fleet->loop, fleet->host.signals->fd, fleet_on_signal, fleet, &fleet->signal_watch);
	if (error != 0)
		return error;
	descriptors_set_aside(fleet->inherited);
	fleet->host.seed = random_seed();
	/* A wrapped command's environment is its own, and all that is below us is the command's. */
	if (!fleet->wrap && random_fill(&fleet->host.mark, sizeof fleet->host.mark) != 0)
		fleet->host.mark = loop_now_ms();
	error = fleet_adopt_open(fleet);
	if (error != 0)
		return error;
	const struct tick_left left = {.base = fleet->left.base, .listener = fleet->left.listener};
	error = tick_open(fleet->left.boot[0] != '\0' ? &left : NULL, &fleet->host.tick);
	if (error == 0)
		error = list_services(fleet);
	if (error == 0 && !fleet->wrap)
		error = take_over(fleet);
	fleet->ran = error == 0;
	return error;
}

/* Without it all goes on, and it is said where the socket was asked for. */
static void open_control(struct fleet *fleet)
{
	char path[CONTROL_PATH_BYTES];
	bool is_asked = fleet->config.control[0] != '\0';
	int error = 0;
	if (strcmp(fleet->config.control, "off") == 0)
		return;
	if (is_asked)
		snprintf(path, sizeof path, "%s", fleet->config.control);
	else
		error = control_default_path(fleet->file_path, path);
	if (error == 0)
		error = fleet_control_open(fleet, path, &fleet->control);
	if (error == 0)
		log_debug("control: listening at %s", path);
	else if (is_asked)
		log_warn("control: %s: %s", path, strerror(-error));
	else
		log_debug("control: no socket: %s", strerror(-error));
}

/* Likewise. */
static void open_metrics(struct fleet *fleet)
{
	const char *address = fleet->config.metrics;
	if (address[0] == '\0')
		return;
	int error = fleet_control_open_metrics(fleet, address, &fleet->metrics);
	if (error != 0)
		log_warn("metrics: %s: %s", address, strerror(-error));
	else
		log_debug("metrics: listening at %s", address);
}

/* One object for each service of the config, which gives its settings up. */
static int make_services(struct fleet *fleet, struct config *config)
{
	fleet->config = config->supervisor;
	fleet->service = calloc(config->service_count, sizeof(struct service *));
	if (fleet->service == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < config->service_count; i++) {
		struct service *service = service_new();
		if (service == NULL)
			return -ENOMEM;
		service_exchange(service, &config->services[i],
			&config->policies[config->services[i].policy]);
		service->held = !service->config->autostart;
		fleet->service[fleet->count++] = service;
	}
	return 0;
}

int fleet_new(const struct fleet_start *start, struct fleet **fleet)
{
	struct fleet *made = calloc(1, sizeof *made);
	int error = made != NULL ? 0 : -ENOMEM;
	if (error == 0)
		error = make_services(made, start->config);
	config_free(start->config);
	free(start->config);
	if (made == NULL)
		return error;
	for (size_t i = 0; i < TICK_WATCH_KINDS; i++)
		made->watch[i].fd = -1;
	made->manager.fd = -1;
	made->file = start->file;
	made->wrap = start->file == NULL;
	wrap_init(&made->as);
	if (start->wrap != NULL)
		made->as = *start->wrap;
	made->inherited = start->inherited;
	made->host.signals = start->signals;
	made->host.descriptors = start->inherited;
	if (error == 0)
		error = fleet_init(made);
	if (error == 0 && start->control)
		open_control(made);
	if (error == 0)
		open_metrics(made);
	if (error != 0) {
		fleet_free(made);
		return error;
	}
	*fleet = made;
	return 0;
}

void fleet_free(struct fleet *fleet)
{
	fleet_control_close(fleet->control);
	control_close(fleet->metrics);
	manager_close(&fleet->manager);
	fleet_watches_drop(fleet->watch);
	for (size_t i = 0; i < fleet->count; i++) {
		fleet_watches_drop(fleet->service[i]->watch);
		ready_close(&fleet->service[i]->ready_state);
		service_left_free(fleet->service[i]->left);
		fleet->service[i]->left = NULL;
	}
	if (fleet->host.tick != NULL)
		tick_close(fleet->host.tick, fleet->as.leaves_rest ? 0 : CLOSE_WAIT_MS);
	fleet_adopt_close(fleet);
	loop_watch_free(fleet->signal_watch);
	loop_timer_free(fleet->timer);
	loop_free(fleet->loop);
	fleet_reload_drop(fleet);
	descendants_told_free(&fleet->told);
	if (fleet->inherited != NULL)
		descriptors_give_up(fleet->inherited);
	for (size_t i = 0; i < fleet->count; i++)
		service_free(fleet->service[i]);
	output_stop_all(OUTPUT_WAIT_MS);
	free(fleet->file_path);
	free(fleet->start_path);
	free(fleet->shim_path);
	free(fleet->agent_path);
	free(fleet->service);
	free(fleet);
}

static int exit_status(const struct fleet *fleet)
{
	if (fleet->wrap) {
		int status = fleet->service[0]->exit_status;
		return fleet->as.is_success[status & 0xff] ? EXIT_SUCCESS : status;
	}
	if (fleet->ended_by_service)
		return fleet->ended_status;
	for (size_t i = 0; i < fleet->count && !fleet->stopping; i++)
		if (!fleet->service[i]->expected)
			return 1;
	return 0;
}

int fleet_run(struct fleet *fleet)
{
	uint64_t now_ms = loop_now_ms();
	for (size_t i = 0; i < fleet->count; i++) {
		struct service *service = fleet->service[i];
		service->wanted = !service->held && service->left == NULL;
		if (service->left != NULL)
			service_start(service, &fleet->host, now_ms);
	}
	fleet_order_step(fleet, now_ms);
	/* Nobody's mount is kept busy by us. */
	if (fleet->wrap || fleet->host.start != NULL) {
		int ignored = chdir("/");
		(void)ignored;
	}
	if (fleet->wrap) {
		fleet->tick_ms = now_ms + WRAP_FIRST_TICK_MS;
		descriptors_close(fleet->inherited);
	}
	/* What died before the signals were looked at has left one. */
	fleet_reap(fleet, now_ms);
	fleet_turn(fleet);
	int error = loop_run(fleet->loop);
	if (error != 0)
		log_error("the event loop failed: %s", strerror(-error));
	fleet_report(fleet);
	return error != 0 ? 1 : exit_status(fleet);
}
