/* Tells a service that memory is short: a signal to it, a command beside it. */
#include "supervisor/fleet/hook.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/base/log.h"
#include "supervisor/fleet/service.h"
#include "supervisor/tick/perform.h"

void hook_init(struct hook *hook)
{
	*hook = (struct hook){0};
	service_command_init(&hook->command);
}

static bool is_asked_for(const struct config_service *config)
{
	return config->on_pressure != NULL || config->on_pressure_signal != 0;
}

static enum level level_of(const struct service *service)
{
	return service->memory.policy.state.pressure.level;
}

static int set_number(struct environment *environment, const char *name, uint64_t number)
{
	char text[24];
	snprintf(text, sizeof text, "%" PRIu64, number);
	return environment_set(environment, name, text);
}

static int describe(struct environment *environment, const struct service *service)
{
	const struct tick_service *memory = &service->memory;
	uint64_t headroom_bytes = memory->policy.plan.headroom_bytes;
	int error = environment_set(
		environment, "SPILLWAY_LEVEL", perform_level_name(level_of(service)));
	if (error == 0)
		error = set_number(
			environment, "SPILLWAY_USAGE_BYTES", memory->perform.usage_bytes);
	if (error == 0 && headroom_bytes != UINT64_MAX)
		error = set_number(environment, "SPILLWAY_HEADROOM_BYTES", headroom_bytes);
	return error;
}

static void tell(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	const struct config_service *config = service->config;
	struct hook *hook = &service->hook;
	hook->rest_ms = now_ms + HOOK_REST_MS;
	if (config->dry_run) {
		log_notice("%s: dry run: would tell it of pressure at %s", config->name,
			perform_level_name(level_of(service)));
		return;
	}
	if (config->on_pressure_signal != 0)
		service_signal(service, config->on_pressure_signal);
	if (config->on_pressure == NULL)
		return;
	const struct service_command_what what = {
		.argv = config->on_pressure, .most_ms = HOOK_MOST_MS, .describe = describe};
	int error = service_command_start(&hook->command, service, host, &what, now_ms);
	if (error != 0) {
		log_warn("%s: on_pressure: cannot start: %s", config->name, strerror(-error));
		return;
	}
	log_notice("%s: on_pressure: %s at %s, pid %d", config->name, config->on_pressure[0],
		perform_level_name(level_of(service)), (int)hook->command.pid);
}

void hook_step(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	struct hook *hook = &service->hook;
	const struct config_service *config = service->config;
	if (service_command_step(&hook->command, now_ms))
		log_warn("%s: on_pressure: still there after %u ms, killed", config->name,
			(unsigned)HOOK_MOST_MS);
	hook->wanted = is_asked_for(config) && service->lives &&
		       level_of(service) >= config->on_pressure_level;
	if (hook->wanted && hook->command.pid == 0 && hook->rest_ms <= now_ms)
		tell(service, host, now_ms);
}

uint64_t hook_deadline_ms(const struct hook *hook)
{
	uint64_t due_ms = hook->wanted && hook->command.pid == 0 ? hook->rest_ms : HOOK_NEVER;
	uint64_t kill_ms = service_command_deadline_ms(&hook->command);
	return kill_ms < due_ms ? kill_ms : due_ms;
}

bool hook_died(struct service *service, pid_t pid, int code, int status)
{
	char why[SERVICE_COMMAND_WHY_BYTES];
	const struct config_service *config = service->config;
	/* A reload may have taken the command away meanwhile. */
	const char *program = config->on_pressure != NULL ? config->on_pressure[0] : "";
	if (!service_command_died(&service->hook.command, pid, code, status, program, why))
		return false;
	if (why[0] != '\0' && config->on_pressure != NULL && !service->hook.command.late)
		log_warn("%s: on_pressure: %s", config->name, why);
	return true;
}

void hook_end(struct hook *hook)
{
	service_command_end(&hook->command);
	hook->wanted = false;
}
