/* Runs a command beside a service's main process, for a limited time. */
#include "supervisor/fleet/service_command.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/fleet/service_launch.h"

void service_command_init(struct service_command *command)
{
	*command = (struct service_command){
		.kill_ms = SERVICE_COMMAND_NEVER, .spawned = {.gate_fd = -1, .result_fd = -1}};
}

static int describe(struct environment *environment, const struct service *service,
	const struct service_command_what *what)
{
	char pid[16];
	int error = environment_set(environment, "SPILLWAY_SERVICE", service->config->name);
	snprintf(pid, sizeof pid, "%d", (int)service->pid);
	if (error == 0 && service->pid != 0)
		error = environment_set(environment, "SPILLWAY_PID", pid);
	if (error == 0 && what->describe != NULL)
		error = what->describe(environment, service);
	return error;
}

int service_command_start(struct service_command *command, struct service *service,
	const struct service_host *host, const struct service_command_what *what, uint64_t now_ms)
{
	const struct config_service *config = service->config;
	struct service_identity identity;
	int error = service_identity_init(&identity, config);
	if (error == 0)
		error = describe(&identity.environment, service, what);
	struct spawn spawn = {
		.argv = what->argv,
		.environment = &identity.environment,
		.start = host->start,
		.directory = config->directory,
		.privileges = &config->privileges,
		.account = identity.has_account ? &identity.account : NULL,
		.null_stdin = host->null_stdin,
		.signals = host->signals,
		.descriptors = host->descriptors,
	};
	if (service->memory.leaf != NULL) {
		spawn.has_cgroup = true;
		spawn.cgroup_fd = cgroup_leaf_fd(service->memory.leaf);
	}
	command->passed = false;
	command->late = false;
	if (error == 0)
		error = spawn_start(&spawn, &command->spawned);
	service_identity_fini(&identity);
	if (error != 0)
		return error;
	command->pid = command->spawned.pid;
	command->most_ms = what->most_ms;
	command->kill_ms = what->most_ms != 0 ? now_ms + what->most_ms : SERVICE_COMMAND_NEVER;
	if (service->memory.leaf != NULL && !command->spawned.in_cgroup)
		(void)cgroup_leaf_attach(service->memory.leaf, command->pid);
	spawn_go(&command->spawned);
	return 0;
}

bool service_command_step(struct service_command *command, uint64_t now_ms)
{
	if (now_ms < command->kill_ms)
		return false;
	command->kill_ms = SERVICE_COMMAND_NEVER;
	command->late = true;
	kill(-command->pid, SIGKILL);
	return true;
}

uint64_t service_command_deadline_ms(const struct service_command *command)
{
	return command->kill_ms;
}

static void explain(const struct service_command *command, int code, int status,
	const char *program, char why[static SERVICE_COMMAND_WHY_BYTES])
{
	struct spawn_failure failure;
	why[0] = '\0';
	if (spawn_result(&command->spawned, &failure) == 1)
		snprintf(why, SERVICE_COMMAND_WHY_BYTES, "%s: %s", program,
			strerror(-failure.error));
	else if (command->late)
		snprintf(why, SERVICE_COMMAND_WHY_BYTES, "took longer than %u ms",
			(unsigned)command->most_ms);
	else if (code != CLD_EXITED)
		snprintf(why, SERVICE_COMMAND_WHY_BYTES, "ended by signal %d", status);
	else if (status != 0)
		snprintf(why, SERVICE_COMMAND_WHY_BYTES, "exited with %d", status);
}

bool service_command_died(struct service_command *command, pid_t pid, int code, int status,
	const char *program, char why[static SERVICE_COMMAND_WHY_BYTES])
{
	if (command->pid == 0 || command->pid != pid)
		return false;
	explain(command, code, status, program, why);
	command->passed = why[0] == '\0';
	spawn_close(&command->spawned);
	command->pid = 0;
	command->kill_ms = SERVICE_COMMAND_NEVER;
	return true;
}

void service_command_end(struct service_command *command)
{
	if (command->pid > 1)
		kill(-command->pid, SIGKILL);
	command->kill_ms = SERVICE_COMMAND_NEVER;
}
