/* The life of one service: started, stopped, swept, started again. */
#include "supervisor/fleet/service.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/fleet/service_launch.h"
#include "supervisor/fleet/service_left.h"
#include "supervisor/fleet/service_output.h"
#include "supervisor/fleet/service_processes.h"
#include "supervisor/fleet/service_say.h"

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
	service_follow_init(&service->follow);
	stage_init(&service->stage);
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
	service_runtime_end(&service->runtime);
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

static void step(struct service *service, const struct service_host *host,
	struct restart_event event, uint64_t now_ms);

/* Starts the main process, or takes over the one that was left: 0 or -errno. */
static int begin(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	if (service->left == NULL)
		return service_launch(service, host, now_ms);
	service_left_begin(service, host, now_ms);
	return 0;
}

/* pre_start has ended well, or there is none. */
static void start_main(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	struct restart_event event = {.kind = RESTART_ON_REFUSED};
	if (begin(service, host, now_ms) == 0) {
		event.kind = RESTART_ON_STARTED;
		if (service->restart.seed == 0 && host->seed != 0)
			service->restart.seed = (host->seed ^ (uint32_t)service->pid) | 1;
		ready_begin(service, now_ms);
	}
	step(service, host, event, now_ms);
}

/* A command that was told to stop is waited for. */
static void start(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	if (service->config->pre_start == NULL || service->left != NULL) {
		start_main(service, host, now_ms);
		return;
	}
	if (stage_runs(&service->stage))
		return;
	int error = tick_service_prepare(host->tick, &service->memory);
	if (error != 0)
		log_warn("%s: runs without limits of its own: %s", service->config->name,
			strerror(-error));
	if (stage_begin(service, host, STAGE_PRE_START, now_ms) != 0)
		step(service, host, (struct restart_event){.kind = RESTART_ON_REFUSED}, now_ms);
}

static void end_pre_start(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	/* It was told to stop meanwhile. */
	if (service->restart.state != RESTART_STARTING)
		return;
	if (service->stage.is_stopped) {
		start(service, host, now_ms);
	} else if (service->stage.command.passed) {
		start_main(service, host, now_ms);
	} else {
		service->expected = false;
		step(service, host, (struct restart_event){.kind = RESTART_ON_REFUSED}, now_ms);
		service_say_next_start(service, now_ms);
	}
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
		start(service, host, now_ms);
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
		service_kill_all(service);
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
	if (service->restart.state == RESTART_STOPPED)
		stage_stop(service, now_ms);
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

void service_kill(struct service *service)
{
	if (service->pid != 0)
		service_kill_all(service);
	if (stage_runs(&service->stage))
		kill(-service->stage.command.pid, SIGKILL);
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

static bool was_never_ready(const struct service *service)
{
	const struct config_service *config = service->config;
	if (config->is_oneshot)
		return !service->expected && config->autorestart != CONFIG_RESTART_NEVER;
	return config->notify.kind != CONFIG_PROBE_NONE && !service->ready && service->left == NULL;
}

static void conclude(struct service *service, const struct service_host *host, int code, int status,
	uint64_t now_ms);

void service_died(struct service *service, const struct service_host *host, int code, int status,
	uint64_t now_ms)
{
	if (!service_follow_main(service, host, code, status, now_ms))
		conclude(service, host, code, status, now_ms);
}

static void conclude(struct service *service, const struct service_host *host, int code, int status,
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
	service->never_ran = service_say_failure(service);
	if (!service->never_ran) {
		service_tell_start(service);
		service_say_end(service, host, code, status, oom_kills);
	}
	service->told_ms = SERVICE_NEVER;
	service->never_ready = was_never_ready(service);
	service->has_post_stopped = false;
	service->ready = false;
	service->ready_ms = SERVICE_NEVER;
	ready_close(&service->ready_state);
	probe_end(&service->probe);
	health_init(&service->health);
	spawn_close(&service->spawned);
	service->shim_wanted = false;
	service->shim_check_ms = SERVICE_NEVER;
	hook_end(&service->hook);
	service_runtime_end(&service->runtime);

	/* One budget for a whole stop: the rest has what the main process left of it. */
	service->sweep_ms = now_ms + service->config->stopwait_ms;
	if (is_crash(service) && service->config->stopwait_ms > SERVICE_CRASH_SWEEP_MS)
		service->sweep_ms = now_ms + SERVICE_CRASH_SWEEP_MS;
	if (service->restart.state == RESTART_STOPPING &&
		service->restart.deadline_ms < service->sweep_ms)
		service->sweep_ms = service->restart.deadline_ms;
	service->sweep_killed = false;
	service->leaves_rest = leaves_rest(service);
	service_say_left(service, host);
	if (!host->sweep_only_kills && !service->leaves_rest)
		service_terminate_all(service);
}

static void sweep_end(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	struct restart_event event = {.kind = RESTART_ON_EXITED,
		.expected = service->expected,
		.never_ran = service->never_ran,
		.never_ready = service->never_ready,
		.is_done = service->config->is_oneshot && service->expected};
	service->pid = 0;
	service_left_free(service->left);
	service->left = NULL;
	service->sweep_ms = SERVICE_NEVER;
	step(service, host, event, service->died_ms);
	service_say_next_start(service, service->died_ms);
	if (restart_deadline_ms(&service->restart) <= now_ms)
		step(service, host, (struct restart_event){.kind = RESTART_ON_TIME}, now_ms);
}

/* true: it runs.  What it leaves is swept as well. */
static bool begin_post_stop(
	struct service *service, const struct service_host *host, uint64_t now_ms)
{
	if (service->config->post_stop == NULL || service->has_post_stopped)
		return false;
	service->has_post_stopped = true;
	return stage_begin(service, host, STAGE_POST_STOP, now_ms) == 0;
}

static void end_post_stop(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	service->sweep_ms = now_ms + SERVICE_CRASH_SWEEP_MS;
	service->sweep_killed = false;
	if (!service->leaves_rest && !service_nobody_left(service, host))
		service_terminate_all(service);
}

/* What is started from now on, post_stop and the next main process, bears the same mark. */
static void forget_strays(struct service *service)
{
	service->stray_signal = 0;
	service->strays = SERVICE_STRAYS_UNKNOWN;
}

static void sweep(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	if (stage_runs(&service->stage))
		return;
	if (service->leaves_rest || service_nobody_left(service, host)) {
		forget_strays(service);
		if (!begin_post_stop(service, host, now_ms))
			sweep_end(service, host, now_ms);
		return;
	}
	if (now_ms < service->sweep_ms)
		return;
	if (service->sweep_killed) {
		log_warn("%s: a process of it cannot be killed", service->config->name);
		forget_strays(service);
		sweep_end(service, host, now_ms);
		return;
	}
	service_kill_all(service);
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
	stage_step(service, now_ms);
	if (stage_take_end(&service->stage)) {
		if (service->stage.kind == STAGE_PRE_START)
			end_pre_start(service, host, now_ms);
		else
			end_post_stop(service, host, now_ms);
	}
	if (service->follow.look_ms != FOLLOW_NEVER) {
		if (now_ms < service->follow.look_ms && service->restart.state == RESTART_RUNNING)
			return;
		if (!service_follow_step(service, host, now_ms))
			conclude(service, host, service->follow.code, service->follow.status,
				now_ms);
		return;
	}
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
	service_runtime_step(service, host, now_ms);
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
	uint64_t stage_ms = service_command_deadline_ms(&service->stage.command);
	if (service->follow.look_ms != FOLLOW_NEVER)
		return service->follow.look_ms;
	if (service->pid != 0 && !service->lives)
		return stage_runs(&service->stage) ? stage_ms : service->sweep_ms;
	uint64_t due_ms = restart_deadline_ms(&service->restart);
	if (stage_ms < due_ms)
		due_ms = stage_ms;
	uint64_t hook_ms = hook_deadline_ms(&service->hook);
	if (service_runtime_deadline_ms(&service->runtime) < due_ms)
		due_ms = service_runtime_deadline_ms(&service->runtime);
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
	return service->pid == 0 && !stage_runs(&service->stage) &&
	       (state == RESTART_STOPPED || state == RESTART_EXITED || state == RESTART_FATAL);
}

bool service_has_succeeded(const struct service *service)
{
	return service_is_down(service) && service->restart.state == RESTART_EXITED &&
	       service->expected;
}
