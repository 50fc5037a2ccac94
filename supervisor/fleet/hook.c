/* Tells a service that memory is short: a signal to it, a command beside it. */
#include "supervisor/fleet/hook.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/fleet/service_launch.h"
#include "supervisor/tick/perform.h"

void hook_init(struct hook *hook)
{
	*hook = (struct hook){.kill_ms = HOOK_NEVER, .spawned = {.gate_fd = -1, .result_fd = -1}};
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
	int error = environment_set(environment, "SPILLWAY_SERVICE", service->config->name);
	if (error == 0)
		error = environment_set(
			environment, "SPILLWAY_LEVEL", perform_level_name(level_of(service)));
	if (error == 0)
		error = set_number(environment, "SPILLWAY_PID", (uint64_t)service->pid);
	if (error == 0)
		error = set_number(
			environment, "SPILLWAY_USAGE_BYTES", memory->perform.usage_bytes);
	if (error == 0 && headroom_bytes != UINT64_MAX)
		error = set_number(environment, "SPILLWAY_HEADROOM_BYTES", headroom_bytes);
	return error;
}

static int run(struct service *service, const struct service_host *host)
{
	const struct config_service *config = service->config;
	struct hook *hook = &service->hook;
	struct service_identity identity;
	int error = service_identity_init(&identity, config);
	if (error == 0)
		error = describe(&identity.environment, service);
	struct spawn spawn = {
		.argv = config->on_pressure,
		.environment = &identity.environment,
		.start = host->start,
		.directory = config->directory,
		.account = identity.has_account ? &identity.account : NULL,
		.signals = host->signals,
		.descriptors = host->descriptors,
	};
	if (service->memory.leaf != NULL) {
		spawn.has_cgroup = true;
		spawn.cgroup_fd = cgroup_leaf_fd(service->memory.leaf);
	}
	if (error == 0)
		error = spawn_start(&spawn, &hook->spawned);
	service_identity_fini(&identity);
	if (error != 0)
		return error;
	hook->pid = hook->spawned.pid;
	if (service->memory.leaf != NULL && !hook->spawned.in_cgroup)
		(void)cgroup_leaf_attach(service->memory.leaf, hook->pid);
	spawn_go(&hook->spawned);
	return 0;
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
	int error = run(service, host);
	if (error != 0) {
		log_warn("%s: on_pressure: cannot start: %s", config->name, strerror(-error));
		return;
	}
	hook->kill_ms = now_ms + HOOK_MOST_MS;
	log_notice("%s: on_pressure: %s at %s, pid %d", config->name, config->on_pressure[0],
		perform_level_name(level_of(service)), (int)hook->pid);
}

static void kill_late(struct service *service, uint64_t now_ms)
{
	struct hook *hook = &service->hook;
	if (now_ms < hook->kill_ms)
		return;
	hook->kill_ms = HOOK_NEVER;
	log_warn("%s: on_pressure: still there after %u ms, killed", service->config->name,
		(unsigned)HOOK_MOST_MS);
	kill(-hook->pid, SIGKILL);
}

void hook_step(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	struct hook *hook = &service->hook;
	const struct config_service *config = service->config;
	kill_late(service, now_ms);
	hook->wanted = is_asked_for(config) && service->lives &&
		       level_of(service) >= config->on_pressure_level;
	if (hook->wanted && hook->pid == 0 && hook->rest_ms <= now_ms)
		tell(service, host, now_ms);
}

uint64_t hook_deadline_ms(const struct hook *hook)
{
	uint64_t due_ms = hook->wanted && hook->pid == 0 ? hook->rest_ms : HOOK_NEVER;
	return hook->kill_ms < due_ms ? hook->kill_ms : due_ms;
}

static void say_end(const struct service *service, int code, int status)
{
	const char *name = service->config->name;
	struct spawn_failure failure;
	if (spawn_result(&service->hook.spawned, &failure) == 1)
		log_warn("%s: on_pressure: %s: %s", name, service->config->on_pressure[0],
			strerror(-failure.error));
	else if (code != CLD_EXITED)
		log_warn("%s: on_pressure: ended by signal %d", name, status);
	else if (status != 0)
		log_warn("%s: on_pressure: exited with %d", name, status);
}

bool hook_died(struct service *service, pid_t pid, int code, int status)
{
	struct hook *hook = &service->hook;
	if (hook->pid == 0 || hook->pid != pid)
		return false;
	/* A reload may have taken the command away meanwhile. */
	if (service->config->on_pressure != NULL)
		say_end(service, code, status);
	spawn_close(&hook->spawned);
	hook->pid = 0;
	hook->kill_ms = HOOK_NEVER;
	return true;
}

void hook_end(struct hook *hook)
{
	if (hook->pid > 1 && hook->kill_ms != HOOK_NEVER)
		kill(-hook->pid, SIGKILL);
	hook->kill_ms = HOOK_NEVER;
	hook->wanted = false;
}
