/* The life of one service: started, stopped, swept, started again. */
#include "supervisor/fleet/service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/process/descendants.h"
#include "supervisor/base/log.h"
#include "supervisor/fleet/service_launch.h"
#include "supervisor/fleet/service_left.h"
#include "supervisor/fleet/service_output.h"

/* After SIGKILL a process that is still there sits in the kernel, out of reach. */
#define GIVE_UP_MS 2000U

static void init(struct service *service)
{
	*service = (struct service){
		.config = &service->memory.config,
		.spawned = {.gate_fd = -1, .result_fd = -1},
		.sweep_ms = SERVICE_NEVER,
		.shim_check_ms = SERVICE_NEVER,
		.told_ms = SERVICE_NEVER,
		.ready_ms = SERVICE_NEVER,
	};
	tick_service_init(&service->memory);
	hook_init(&service->hook);
	ready_init(&service->ready_state);
	health_init(&service->health);
	probe_init(&service->probe);
	for (size_t i = 0; i < TICK_WATCH_KINDS; i++)
		service->watch[i].fd = -1;
}

void service_init(
	struct service *service, struct config_service *config, const struct config_policy *policy)
{
	init(service);
	service_exchange(service, config, policy);
}

void service_fini(struct service *service)
{
	service_left_free(service->left);
	service->left = NULL;
	service_output_close(service);
	ready_close(&service->ready_state);
	probe_end(&service->probe);
	tick_service_fini(&service->memory);
}

struct service *service_new(void)
{
	struct service *service = malloc(sizeof *service);
	if (service != NULL)
		init(service);
	return service;
}

void service_free(struct service *service)
{
	if (service != NULL)
		service_fini(service);
	free(service);
}

void service_exchange(
	struct service *service, struct config_service *config, const struct config_policy *policy)
{
	struct config_service before = *service->config;
	/* It goes by settings that may be others now. */
	probe_end(&service->probe);
	*service->config = *config;
	*config = before;
	service->memory.policy_config = *policy;
}

/* To the group of the main process, where it is known to be that.  0, or -1 as kill has it. */
static int signal_group(const struct service *service, int signal)
{
	if (service->pid > 1 && (service->left == NULL || service_left_owns_group(service->left)))
		return kill(-service->pid, signal);
	errno = ESRCH;
	return -1;
}

/* Without a leaf: those that have left the group.  How many; signal 0 only counts. */
static int signal_strays(const struct service *service, int signal)
{
	char text[sizeof LINK_ENVIRONMENT + 1 + LINK_VALUE_BYTES];
	char value[LINK_VALUE_BYTES];
	const struct link *link = service->memory.link;
	if (link == NULL || service->memory.leaf != NULL)
		return 0;
	if (link_environment(link, value, sizeof value) != 0)
		return 0;
	/* What was taken over is below the init of this place, and has the link of before. */
	snprintf(text, sizeof text, LINK_ENVIRONMENT "=%s",
		service->left != NULL ? service->left->link : value);
	return descendants_signal_marked(
		service->left != NULL ? 1 : getpid(), text, service->pid, signal);
}

static void kill_all(const struct service *service)
{
	struct cgroup_leaf *leaf = service->memory.leaf;
	signal_group(service, SIGKILL);
	if (leaf != NULL)
		cgroup_leaf_kill(leaf);
	signal_strays(service, SIGKILL);
}

/* Sends SIGTERM exactly once to each process, because many programs treat a second one as a forced
 * stop.  Where the service has a leaf, its process group is in there and is not signalled again;
 * nor is it where it has had the stop signal. */
static void terminate_all(const struct service *service)
{
	struct cgroup_leaf *leaf = service->memory.leaf;
	if (leaf != NULL && cgroup_leaf_signal(leaf, SIGTERM) > 0)
		return;
	if (!service->config->stopasgroup || service->restart.state != RESTART_STOPPING)
		signal_group(service, SIGTERM);
	signal_strays(service, SIGTERM);
}

static bool nobody_left(const struct service *service)
{
	struct cgroup_leaf *leaf = service->memory.leaf;
	bool group_gone = signal_group(service, 0) != 0 && errno == ESRCH;
	return group_gone && (leaf == NULL || cgroup_leaf_empty(leaf)) &&
	       signal_strays(service, 0) <= 0;
}

void service_signal(const struct service *service, int signal)
{
	if (service->lives && service->left != NULL)
		service_left_signal(service->left, signal);
	else if (service->lives)
		kill(service->pid, signal);
}

/* A child that has not made its session yet has no group of its own. */
void service_signal_group(const struct service *service, int signal)
{
	if (service->lives && kill(-service->pid, signal) != 0)
		service_signal(service, signal);
}

/* Starts the main process, or takes over the one that was left: 0 or -errno. */
static int begin(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	if (service->left == NULL)
		return service_launch(service, host, now_ms);
	service_left_begin(service, host, now_ms);
	return 0;
}

struct restart_rules service_rules(const struct service *service)
{
	const struct config_service *config = service->config;
	return (struct restart_rules){
		.autorestart = config->autorestart,
		.backoff = config->backoff,
		.startsecs_ms = config->startsecs_ms,
		.startretries = config->startretries,
		.stopwait_ms = config->stopwait_ms,
	};
}

static void step(struct service *service, const struct service_host *host,
	struct restart_event event, uint64_t now_ms)
{
	struct restart_rules rules = service_rules(service);
	enum restart_action action = restart_step(&service->restart, &rules, event, now_ms);
	switch (action) {
	case RESTART_DO_NOTHING:
		break;
	case RESTART_DO_START:
		event.kind =
			begin(service, host, now_ms) == 0 ? RESTART_ON_STARTED : RESTART_ON_REFUSED;
		if (service->restart.seed == 0 && host->seed != 0)
			service->restart.seed = (host->seed ^ (uint32_t)service->pid) | 1;
		if (event.kind == RESTART_ON_STARTED)
			ready_begin(service, now_ms);
		step(service, host, event, now_ms);
		break;
	case RESTART_DO_SIGNAL:
		tick_service_leaves(host->tick, &service->memory);
		if (service->config->stopasgroup)
			service_signal_group(service, service->config->stopsignal);
		else
			service_signal(service, service->config->stopsignal);
		break;
	case RESTART_DO_KILL:
		log_warn("%s: still there after %u ms, killed", service->config->name,
			(unsigned)service->config->stopwait_ms);
		kill_all(service);
		break;
	}
}

void service_start(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	step(service, host, (struct restart_event){.kind = RESTART_ON_START}, now_ms);
}

void service_stop(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	step(service, host, (struct restart_event){.kind = RESTART_ON_STOP}, now_ms);
}

void service_restart(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	step(service, host, (struct restart_event){.kind = RESTART_ON_RESTART}, now_ms);
}

void service_last_resort(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	bool wanted = service->memory.is_to_end && service->restart.state == RESTART_RUNNING;
	service->memory.is_to_end = false;
	if (!wanted)
		return;
	if (service->config->last_resort == CONFIG_LAST_STOP)
		service_stop(service, host, now_ms);
	else
		service_restart(service, host, now_ms);
}

void service_kill(const struct service *service)
{
	if (service->pid != 0)
		kill_all(service);
}

/* What kept the child from becoming the program. */
static bool say_failure(const struct service *service)
{
	const struct config_service *config = service->config;
	struct spawn_failure failure;
	if (spawn_result(&service->spawned, &failure) != 1)
		return false;
	const char *subject = config->argv[0];
	if (failure.stage == SPAWN_ACCOUNT)
		subject = config->user;
	else if (failure.stage == SPAWN_DIRECTORY)
		subject = config->directory;
	else if (failure.stage == SPAWN_START)
		subject = "the directory we were started in";
	const char *why = strerror(-failure.error);
	if (strcmp(subject, config->name) == 0)
		log_error("%s: %s", subject, why);
	else
		log_error("%s: %s: %s", config->name, subject, why);
	return true;
}

static void say_end(const struct service *service, const struct service_host *host, int code,
	int status, uint64_t oom_kills)
{
	const char *name = service->config->name;
	char signal[SIGNALS_NAME_BYTES];
	char lived[32];
	void (*plain)(const char *format, ...) __attribute__((format(printf, 1, 2))) =
		host->announce ? log_info : log_debug;
	uint64_t lived_ms = service->died_ms - service->started_ms;
	snprintf(lived, sizeof lived, "%llu.%03u s", (unsigned long long)(lived_ms / 1000),
		(unsigned)(lived_ms % 1000));
	if (oom_kills > 0)
		log_warn("%s: OOM-killed after %s (%llu so far)", name, lived,
			(unsigned long long)service->oom_kills);
	else if (code == 0)
		log_info("%s: ended after %s; how is not known, as it was adopted", name, lived);
	else if (code != CLD_EXITED)
		(signals_is_fault(status) ? log_notice : plain)(
			"%s: ended by SIG%s after %s", name, signals_name(status, signal), lived);
	else
		plain("%s: exited with %d after %s", name, status, lived);
}

/* It is to run and does not: the next start waits for what the last one has left. */
static bool is_crash(const struct service *service)
{
	return service->restart.state == RESTART_RUNNING && !service->expected &&
	       service->config->autorestart != CONFIG_RESTART_NEVER;
}

/* A program that ends well and is not started again may have been one that starts a daemon. */
static bool leaves_rest(const struct service *service)
{
	return service->config->is_program && service->expected &&
	       service->restart.state == RESTART_RUNNING &&
	       service->config->autorestart != CONFIG_RESTART_ALWAYS;
}

void service_died(struct service *service, const struct service_host *host, int code, int status,
	uint64_t now_ms)
{
	bool exited = code == CLD_EXITED;
	bool was_killed = code == 0 || (!exited && status == SIGKILL);
	uint64_t oom_kills = tick_service_ended(host->tick, &service->memory, was_killed, now_ms);
	service->lives = false;
	service->died_ms = now_ms;
	service->exit_status = exited ? status : 128 + status;
	service->expected = exited && config_service_expects(service->config, status) &&
			    oom_kills == 0 && !service->restart.failing;
	service->oom_kills += oom_kills > 0;
	service->never_ran = say_failure(service);
	if (!service->never_ran) {
		service_tell_start(service);
		say_end(service, host, code, status, oom_kills);
	}
	service->told_ms = SERVICE_NEVER;
	service->never_ready = service->config->notify.kind != CONFIG_PROBE_NONE &&
			       !service->ready && service->left == NULL;
	service->ready = false;
	service->ready_ms = SERVICE_NEVER;
	ready_close(&service->ready_state);
	probe_end(&service->probe);
	health_init(&service->health);
	spawn_close(&service->spawned);
	service->shim_wanted = false;
	service->shim_check_ms = SERVICE_NEVER;
	hook_end(&service->hook);

	/* One budget for a whole stop: the rest has what the main process left of it. */
	service->sweep_ms = now_ms + service->config->stopwait_ms;
	if (is_crash(service) && service->config->stopwait_ms > SERVICE_CRASH_SWEEP_MS)
		service->sweep_ms = now_ms + SERVICE_CRASH_SWEEP_MS;
	if (service->restart.state == RESTART_STOPPING &&
		service->restart.deadline_ms < service->sweep_ms)
		service->sweep_ms = service->restart.deadline_ms;
	service->sweep_killed = false;
	service->leaves_rest = leaves_rest(service);
	if (!host->sweep_only_kills && !service->leaves_rest)
		terminate_all(service);
}

static void say_given_up(const struct service *service)
{
	const struct config_service *config = service->config;
	if (service->never_ready)
		log_error("%s: given up: it was not ready in %u starts", config->name,
			(unsigned)service->restart.failed);
	else
		log_error("%s: given up: it did not stay up for %u ms in %u starts", config->name,
			(unsigned)config->startsecs_ms, (unsigned)service->restart.failed);
}

static void sweep_end(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	struct restart_event event = {.kind = RESTART_ON_EXITED,
		.expected = service->expected,
		.never_ran = service->never_ran,
		.never_ready = service->never_ready};
	service->pid = 0;
	service_left_free(service->left);
	service->left = NULL;
	service->sweep_ms = SERVICE_NEVER;
	step(service, host, event, service->died_ms);
	if (service->restart.state == RESTART_BACKOFF)
		log_info("%s: starts again in %u ms", service->config->name,
			(unsigned)(service->restart.deadline_ms - service->died_ms));
	else if (service->restart.state == RESTART_FATAL)
		say_given_up(service);
	if (restart_deadline_ms(&service->restart) <= now_ms)
		step(service, host, (struct restart_event){.kind = RESTART_ON_TIME}, now_ms);
}

static void sweep(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	if (service->leaves_rest || nobody_left(service)) {
		sweep_end(service, host, now_ms);
		return;
	}
	if (now_ms < service->sweep_ms)
		return;
	if (service->sweep_killed) {
		log_warn("%s: a process of it cannot be killed", service->config->name);
		sweep_end(service, host, now_ms);
		return;
	}
	kill_all(service);
	service->sweep_killed = true;
	service->sweep_ms = now_ms + GIVE_UP_MS;
}

/* What has failed although it lives is stopped. */
static void look_after(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	bool fails = !ready_step(service, host, now_ms) || !health_step(service, host, now_ms);
	if (fails && service->restart.state == RESTART_RUNNING)
		step(service, host, (struct restart_event){.kind = RESTART_ON_FAILED}, now_ms);
}

void service_step(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	if (service->pid != 0 && !service->lives) {
		sweep(service, host, now_ms);
		return;
	}
	if (service->left != NULL && service->lives)
		service_left_step(service, now_ms);
	if (service->told_ms <= now_ms)
		service_look_for_start(service, now_ms);
	if (service->lives && service->restart.state == RESTART_RUNNING)
		look_after(service, host, now_ms);
	if (service->shim_check_ms <= now_ms)
		service_look_for_shim(service, now_ms);
	if (restart_deadline_ms(&service->restart) <= now_ms)
		step(service, host, (struct restart_event){.kind = RESTART_ON_TIME}, now_ms);
	hook_step(service, host, now_ms);
}

static uint64_t care_deadline_ms(const struct service *service)
{
	uint64_t due_ms = probe_deadline_ms(&service->probe);
	if (!service->lives || service->restart.state != RESTART_RUNNING)
		return due_ms;
	if (ready_deadline_ms(service) < due_ms)
		due_ms = ready_deadline_ms(service);
	return health_deadline_ms(service) < due_ms ? health_deadline_ms(service) : due_ms;
}

uint64_t service_deadline_ms(const struct service *service)
{
	if (service->pid != 0 && !service->lives)
		return service->sweep_ms;
	uint64_t due_ms = restart_deadline_ms(&service->restart);
	uint64_t hook_ms = hook_deadline_ms(&service->hook);
	if (service->shim_check_ms < due_ms)
		due_ms = service->shim_check_ms;
	if (service->told_ms < due_ms)
		due_ms = service->told_ms;
	if (care_deadline_ms(service) < due_ms)
		due_ms = care_deadline_ms(service);
	if (service->left != NULL && service_left_deadline_ms(service->left) < due_ms)
		due_ms = service_left_deadline_ms(service->left);
	return hook_ms < due_ms ? hook_ms : due_ms;
}

bool service_is_down(const struct service *service)
{
	enum restart_state state = service->restart.state;
	return service->pid == 0 &&
	       (state == RESTART_STOPPED || state == RESTART_EXITED || state == RESTART_FATAL);
}

bool service_has_succeeded(const struct service *service)
{
	return service_is_down(service) && service->restart.state == RESTART_EXITED &&
	       service->expected;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool same_list(char *const *a, char *const *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	while (*a != NULL && *b != NULL && strcmp(*a, *b) == 0) {
		a++;
		b++;
	}
	return *a == NULL && *b == NULL;
}

/* By which it tells us of itself. */
static bool same_channel(const struct config_service *a, const struct config_service *b)
{
	bool a_tells = a->notify.kind == CONFIG_PROBE_SYSTEMD || a->notify.kind == CONFIG_PROBE_FD;
	bool b_tells = b->notify.kind == CONFIG_PROBE_SYSTEMD || b->notify.kind == CONFIG_PROBE_FD;
	if (!a_tells && !b_tells)
		return true;
	return same_text(a->notify.text, b->notify.text) && a->watchdog_ms == b->watchdog_ms;
}

bool service_same_process(const struct config_service *a, const struct config_service *b)
{
	return a->is_program == b->is_program && same_list(a->argv, b->argv) &&
	       same_text(a->directory, b->directory) && same_text(a->user, b->user) &&
	       same_list(a->environment, b->environment) &&
	       a->has_oom_score_adj == b->has_oom_score_adj &&
	       a->oom_score_adj == b->oom_score_adj && a->has_umask == b->has_umask &&
	       a->umask == b->umask && same_channel(a, b) && service_output_same(a, b) &&
	       a->shim == b->shim;
}
