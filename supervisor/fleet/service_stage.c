/* Runs the commands that a service has before a start and after an end. */
#include "supervisor/fleet/service_stage.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/base/log.h"
#include "supervisor/fleet/service.h"

static const char *const names[] = {
	[STAGE_PRE_START] = "pre_start", [STAGE_POST_STOP] = "post_stop"};

void stage_init(struct stage *stage)
{
	*stage = (struct stage){.kind = STAGE_PRE_START};
	service_command_init(&stage->command);
}

bool stage_runs(const struct stage *stage)
{
	return stage->command.pid != 0;
}

static int describe_end(struct environment *environment, const struct service *service)
{
	char status[16];
	snprintf(status, sizeof status, "%d", service->exit_status);
	return environment_set(environment, "SPILLWAY_EXIT_STATUS", status);
}

static char *const *argv_of(const struct service *service, enum stage_kind kind)
{
	const struct config_service *config = service->config;
	return kind == STAGE_PRE_START ? config->pre_start : config->post_stop;
}

int stage_begin(struct service *service, const struct service_host *host, enum stage_kind kind,
	uint64_t now_ms)
{
	const struct config_service *config = service->config;
	struct stage *stage = &service->stage;
	uint32_t stop_ms = config->stopwait_ms != 0 ? config->stopwait_ms : 1;
	const struct service_command_what what = {
		.argv = argv_of(service, kind),
		.most_ms = kind == STAGE_PRE_START ? config->start_timeout_ms : stop_ms,
		.describe = kind == STAGE_POST_STOP ? describe_end : NULL,
	};
	stage->kind = kind;
	stage->is_over = false;
	stage->is_stopped = false;
	int error = service_command_start(&stage->command, service, host, &what, now_ms);
	if (error != 0)
		log_error("%s: %s: cannot start: %s", config->name, names[kind], strerror(-error));
	else
		log_debug("%s: %s: pid %d", config->name, names[kind], (int)stage->command.pid);
	return error;
}

void stage_step(struct service *service, uint64_t now_ms)
{
	struct stage *stage = &service->stage;
	if (service_command_step(&stage->command, now_ms))
		log_warn("%s: %s: still there after its time, killed", service->config->name,
			names[stage->kind]);
}

bool stage_take_end(struct stage *stage)
{
	bool is_over = stage->is_over;
	stage->is_over = false;
	return is_over;
}

void stage_stop(struct service *service, uint64_t now_ms)
{
	struct stage *stage = &service->stage;
	if (!stage_runs(stage) || stage->is_stopped || stage->kind != STAGE_PRE_START)
		return;
	stage->is_stopped = true;
	stage->command.kill_ms = now_ms + service->config->stopwait_ms;
	kill(-stage->command.pid, SIGTERM);
}

bool stage_died(struct service *service, pid_t pid, int code, int status)
{
	char why[SERVICE_COMMAND_WHY_BYTES];
	struct stage *stage = &service->stage;
	char *const *argv = argv_of(service, stage->kind);
	/* A reload may have taken the command away meanwhile. */
	const char *program = argv != NULL ? argv[0] : "";
	if (!service_command_died(&stage->command, pid, code, status, program, why))
		return false;
	stage->is_over = true;
	if (why[0] != '\0' && !stage->is_stopped)
		log_warn("%s: %s: %s", service->config->name, names[stage->kind], why);
	return true;
}
