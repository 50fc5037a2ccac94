/* One start of a service: what it needs, fork and exec, and whether the shim has come along. */
#include "supervisor/fleet/service_launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/command.h"
#include "config/environment_file.h"
#include "supervisor/base/log.h"
#include "supervisor/fleet/service_left.h"
#include "supervisor/fleet/service_output.h"
#include "supervisor/fleet/service_own.h"
#include "supervisor/fleet/service_runtime.h"
#include "supervisor/process/elf_file.h"
#include "supervisor/process/shim_check.h"

#define TELL_FIRST_MS 1U
#define SHIM_FIRST_LOOK_MS 20U
#define SHIM_LAST_LOOK_MS 60000U

/* All that one start needs, made before the fork and gone after it. */
struct launch {
	struct service_identity identity;
	struct shim_verdict verdict;
	bool keeps;    /* its allocator, for which auto decided */
	bool has_heap; /* ours is preloaded */
};

static int add_preload(struct environment *environment, const char *shim_path)
{
	const char *before = environment_get(environment, "LD_PRELOAD");
	char *joined;
	int error;
	if (before == NULL || before[0] == '\0')
		return environment_set(environment, "LD_PRELOAD", shim_path);
	if (strstr(before, shim_path) != NULL)
		return 0;
	if (asprintf(&joined, "%s:%s", before, shim_path) < 0)
		return -ENOMEM;
	error = environment_set(environment, "LD_PRELOAD", joined);
	free(joined);
	return error;
}

/* Whether auto leaves the service its own allocator: the program names it, or the user preloads it.
 */
static bool keeps_allocator(const struct launch *launch, const struct service_host *host)
{
	const char *preloads = environment_get(&launch->identity.environment, "LD_PRELOAD");
	return host->agent_path != NULL && launch->verdict.load &&
	       (launch->verdict.allocator[0] != '\0' ||
		       (preloads != NULL && elf_file_names_allocator(preloads)));
}

/* Which library it is, and whether the program can be started with it. */
static void choose_library(struct launch *launch, const struct config_service *config,
	const struct service_host *host, struct shim_check *check)
{
	shim_check(check, &launch->verdict);
	launch->keeps = config->allocator == CONFIG_ALLOCATOR_AUTO && keeps_allocator(launch, host);
	if (!launch->keeps)
		return;
	check->shim = host->agent_path;
	shim_check(check, &launch->verdict);
}

/* The shim and its link go into the environment together or not at all. */
static int add_shim(
	struct launch *launch, const struct service *service, const struct service_host *host)
{
	const struct config_service *config = service->config;
	struct link *link = service->memory.link;
	struct shim_check check = {
		.program = config->argv[0],
		.path = environment_get(&launch->identity.environment, "PATH"),
		.start = host->start,
		.directory = config->directory,
		.shim = config->allocator == CONFIG_ALLOCATOR_KEEP ? host->agent_path
								   : host->shim_path,
		.uid = launch->identity.has_account ? launch->identity.account.uid : geteuid(),
		.gid = launch->identity.has_account ? launch->identity.account.gid : getegid(),
	};
	char value[LINK_VALUE_BYTES];
	const char *missing = NULL;
	if (config->shim == CONFIG_SHIM_OFF)
		missing = "switched off";
	else if (check.shim == NULL)
		missing = config->allocator == CONFIG_ALLOCATOR_KEEP ? SHIM_AGENT " is not there"
								     : SHIM_LIBRARY " is not there";
	else if (link == NULL || link_environment(link, value, sizeof value) != 0)
		missing = "no link could be made";
	if (missing != NULL) {
		/* What the program is matters to its runtime all the same. */
		check.shim = NULL;
		if (config->runtime != CONFIG_RUNTIME_OFF)
			shim_check(&check, &launch->verdict);
		launch->verdict.load = false;
		snprintf(launch->verdict.reason, sizeof launch->verdict.reason, "%s", missing);
		return 0;
	}
	choose_library(launch, config, host, &check);
	if (!launch->verdict.load)
		return 0;
	launch->has_heap = check.shim == host->shim_path;
	int error = add_preload(&launch->identity.environment, check.shim);
	if (error == 0)
		error = environment_set(&launch->identity.environment, LINK_ENVIRONMENT, value);
	return error;
}

/* As systemd writes it, the final NUL included: "some 200000 2000000". */
#define PRESSURE_WRITE "c29tZSAyMDAwMDAgMjAwMDAwMAA="

/* Whether the user has decided about it: for the service, or off for all that we run. */
static bool pressure_is_set(
	const struct environment *environment, const struct config_service *config)
{
	static const char name[] = "MEMORY_PRESSURE_WATCH";
	const char *inherited = environment_get(environment, name);
	for (size_t i = 0; config->environment != NULL && config->environment[i] != NULL; i++)
		if (strncmp(config->environment[i], name, sizeof name - 1) == 0 &&
			config->environment[i][sizeof name - 1] == '=')
			return true;
	return inherited != NULL && strcmp(inherited, "/dev/null") == 0;
}

/* What we inherited is about our own cgroup, and not for the service.  Programs that do not speak
 * systemd's protocol lose nothing. */
static int add_pressure(
	struct launch *launch, struct service *service, const struct service_host *host)
{
	struct environment *environment = &launch->identity.environment;
	const struct account *account = &launch->identity.account;
	bool other_user = launch->identity.has_account;
	struct tick_pressure pressure;
	if (pressure_is_set(environment, service->config))
		return 0;
	environment_unset(environment, "MEMORY_PRESSURE_WATCH");
	environment_unset(environment, "MEMORY_PRESSURE_WRITE");
	int error = tick_service_pressure(host->tick, &service->memory, other_user, &pressure);
	if (error != 0) {
		log_debug("%s: no MEMORY_PRESSURE_WATCH: %s", service->config->name,
			strerror(-error));
		return error == -ENOMEM ? error : 0;
	}
	if (pressure.trigger && other_user &&
		fchownat(cgroup_leaf_fd(service->memory.leaf), "memory.pressure", account->uid,
			account->gid, 0) != 0)
		log_debug("%s: memory.pressure: %s", service->config->name, strerror(errno));
	error = environment_set(environment, "MEMORY_PRESSURE_WATCH", pressure.path);
	if (error == 0 && pressure.trigger)
		error = environment_set(environment, "MEMORY_PRESSURE_WRITE", PRESSURE_WRITE);
	return error;
}

static int add_account(struct service_identity *identity, const struct config_service *config)
{
	int error = account_resolve(config->user, &identity->account);
	if (error != 0)
		return error;
	identity->has_account = true;
	if (config->is_program)
		return 0;
	/* Of a user without an entry nothing is known, and what we have is about another. */
	const struct account *account = &identity->account;
	bool known = account->name[0] != '\0';
	const char *const variables[][2] = {{"HOME", known ? account->home : "/"},
		{"USER", account->name}, {"LOGNAME", account->name}, {"SHELL", account->shell}};
	for (size_t i = 0; error == 0 && i < sizeof variables / sizeof variables[0]; i++) {
		if (variables[i][1][0] != '\0')
			error = environment_set(
				&identity->environment, variables[i][0], variables[i][1]);
		else
			environment_unset(&identity->environment, variables[i][0]);
	}
	return error;
}

static int add_environment_file(
	struct service_identity *identity, const struct config_service *config)
{
	const char *path = config->environment_file;
	bool may_be_missing = path[0] == '-';
	char why[ENVIRONMENT_FILE_WHY_BYTES];
	char **pairs;
	int error = environment_file_read(path + may_be_missing, &pairs, why);
	if (error == -ENOENT && may_be_missing)
		return 0;
	if (error != 0) {
		log_error("%s: environment_file: %s", config->name, why);
		return error;
	}
	for (size_t i = 0; error == 0 && pairs[i] != NULL; i++)
		error = environment_put(&identity->environment, pairs[i]);
	command_free(pairs);
	return error;
}

int service_identity_init(struct service_identity *identity, const struct config_service *config)
{
	*identity = (struct service_identity){0};
	int error = environment_init(&identity->environment, environ);
	if (error == 0 && config->user != NULL) {
		error = add_account(identity, config);
		if (error != 0)
			log_error("%s: user %s: %s", config->name, config->user, strerror(-error));
	}
	for (size_t i = 0;
		error == 0 && config->environment != NULL && config->environment[i] != NULL; i++)
		error = environment_put(&identity->environment, config->environment[i]);
	if (error == 0 && config->environment_file != NULL)
		error = add_environment_file(identity, config);
	return error;
}

void service_identity_fini(struct service_identity *identity)
{
	account_free(&identity->account);
	environment_fini(&identity->environment);
}

static int add_mark(struct environment *environment, const struct service *service)
{
	char text[SERVICE_MARK_BYTES];
	service_mark(service, text);
	return text[0] != '\0' ? environment_put(environment, text) : 0;
}

static void note_shim(struct service *service, const struct launch *launch, uint64_t now_ms)
{
	const struct shim_verdict *verdict = &launch->verdict;
	service->shim_wanted = verdict->load;
	service->shim_missed = false;
	service->shim_check_ms = verdict->load ? now_ms + SHIM_FIRST_LOOK_MS : SERVICE_NEVER;
	/* Of a program that is not there its start says more. */
	if (!verdict->load && !verdict->is_missing)
		log_info("%s: shim: none (%s)", service->config->name, verdict->reason);
	else if (launch->keeps)
		log_info("%s: allocator: kept (%s names %s)", service->config->name,
			verdict->allocator[0] != '\0' ? service->config->argv[0] : "LD_PRELOAD",
			verdict->allocator[0] != '\0' ? verdict->allocator : "it");
}

/* What is done to the process while it waits at the gate.  What fails is said. */
static void settle(const struct service *service)
{
	const struct config_service *config = service->config;
	int error = 0;
	if (service->memory.leaf != NULL && !service->spawned.in_cgroup)
		error = cgroup_leaf_attach(service->memory.leaf, service->pid);
	if (error != 0)
		log_warn("%s: not in its cgroup: %s", config->name, strerror(-error));
	error = config->has_oom_score_adj
			? spawn_set_oom_score(&service->spawned, config->oom_score_adj)
			: 0;
	if (error != 0)
		log_warn("%s: oom_score_adj %d: %s", config->name, config->oom_score_adj,
			strerror(-error));
}

/* Somebody may have removed it meanwhile: that is no reason to stay down. */
static const char *start_of(const struct config_service *config, const struct service_host *host)
{
	if (host->start == NULL || access(host->start, X_OK) == 0)
		return host->start;
	log_warn("%s: %s, where we were started: %s; it starts in /", config->name, host->start,
		strerror(errno));
	return "/";
}

/* All that goes into the environment, with what that is about.  0 or -errno. */
static int fill_environment(
	struct launch *launch, struct service *service, const struct service_host *host)
{
	struct environment *environment = &launch->identity.environment;
	int error = add_pressure(launch, service, host);
	if (error == 0)
		error = add_shim(launch, service, host);
	if (error == 0)
		error = service_runtime_give(
			service, host, &launch->verdict, launch->has_heap, environment);
	if (error == 0)
		error = ready_open(service, host, environment);
	service->mark = host->mark;
	return error == 0 ? add_mark(environment, service) : error;
}

/* Whether nobody needs to wait until the program runs.  What settle() does, and the note of it,
 * come before its first instruction.  Where there are other services a program that cannot be read
 * (its server does not answer) must not hold us up until it runs, nor a cgroup that is frozen or
 * beyond its memory_high. */
static bool may_start_at_once(const struct service *service, const struct service_host *host)
{
	return !host->announce && !service->config->has_oom_score_adj && host->changed == NULL &&
	       (service->memory.leaf == NULL || !service->memory.leaf_used);
}

static int start(struct launch *launch, struct service *service, const struct service_host *host,
	const int output[CONFIG_STREAMS])
{
	const struct config_service *config = service->config;
	struct spawn spawn = {
		.argv = config->argv,
		.environment = &launch->identity.environment,
		.start = start_of(config, host),
		.directory = config->directory,
		.output = output,
		.umask = config->has_umask ? &config->umask : NULL,
		.null_stdin = host->null_stdin,
		.privileges = &config->privileges,
		.account = launch->identity.has_account ? &launch->identity.account : NULL,
		.signals = host->signals,
		.descriptors = host->descriptors,
		.keep_fd = launch->verdict.load ? link_fds(service->memory.link) : NULL,
		.keep_count = launch->verdict.load ? LINK_FILES : 0,
		.has_oom_score = config->has_oom_score_adj,
		.take_terminal = host->take_terminal,
		.new_session = host->new_session,
		.passed_fd = service->ready_state.child_fd,
		.passed_as = config->notify.number,
		.at_once = may_start_at_once(service, host),
	};
	if (service->memory.leaf != NULL) {
		spawn.has_cgroup = true;
		spawn.cgroup_fd = cgroup_leaf_fd(service->memory.leaf);
	}
	if (host->descriptors != NULL)
		descriptors_give_up(host->descriptors);
	return spawn_start(&spawn, &service->spawned);
}

/* The process is there, and its program runs from now on. */
static void note_start(const struct launch *launch, struct service *service,
	const struct service_host *host, uint64_t now_ms)
{
	service->pid = service->spawned.pid;
	service->lives = true;
	service->started_ms = now_ms;
	settle(service);
	tick_service_started(&service->memory);
	if (host->changed != NULL) {
		service->start_ticks = service_left_start_ticks(service->pid);
		host->changed(host->context);
	}
	spawn_go(&service->spawned);
	/* A wrapped command is started once. */
	if (host->descriptors != NULL && host->announce)
		descriptors_set_aside(host->descriptors);
	service->told_ms = host->announce ? now_ms + TELL_FIRST_MS : SERVICE_NEVER;
	if (!host->announce)
		log_debug("%s: started, pid %d", service->config->name, (int)service->pid);
	note_shim(service, launch, now_ms);
}

int service_launch(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	const struct config_service *config = service->config;
	struct launch launch = {0};
	int output[CONFIG_STREAMS];
	int error = tick_service_prepare(host->tick, &service->memory);
	if (error != 0)
		log_warn("%s: runs without limits of its own: %s", config->name, strerror(-error));
	error = service_identity_init(&launch.identity, config);
	if (error == 0)
		error = fill_environment(&launch, service, host);
	if (error == 0) {
		service_output_open(service, host->changed != NULL, output);
		error = start(&launch, service, host, output);
	}
	if (error == 0) {
		note_start(&launch, service, host, now_ms);
	} else {
		log_error("%s: cannot start: %s", config->name, strerror(-error));
		ready_close(&service->ready_state);
		service->exit_status = SPAWN_STATUS_UNUSABLE;
		service->expected = false;
	}
	service_identity_fini(&launch.identity);
	return error;
}

void service_tell_start(struct service *service)
{
	if (service->told_ms == SERVICE_NEVER)
		return;
	log_info("%s: started, pid %d", service->config->name, (int)service->pid);
	service->told_ms = SERVICE_NEVER;
}

void service_look_for_start(struct service *service, uint64_t now_ms)
{
	struct spawn_failure failure;
	int result = spawn_result(&service->spawned, &failure);
	if (result == 0) {
		service_tell_start(service);
		spawn_close(&service->spawned);
	} else {
		service->told_ms = now_ms + (now_ms - service->started_ms) + 1;
	}
}

static void say_active(const struct service *service)
{
	enum link_allocator allocator = link_process_allocator(service->memory.link, service->pid);
	if (allocator == LINK_ALLOCATOR_SPILLWAY)
		log_info("%s: shim: active", service->config->name);
	else if (allocator == LINK_ALLOCATOR_UNKNOWN)
		log_info("%s: shim: active (agent: no allocator known, watched only)",
			service->config->name);
	else
		log_info("%s: shim: active (agent: steers %s)", service->config->name,
			link_allocator_name(allocator));
}

/* Looks again after twice the time each time, so that a service costs a dozen looks and then
 * none.  One that is slow to start is said to be without, and that is taken back. */
void service_look_for_shim(struct service *service, uint64_t now_ms)
{
	struct link *link = service->memory.link;
	uint64_t waited_ms = now_ms - service->started_ms;
	service->shim_check_ms = SERVICE_NEVER;
	if (link != NULL && link_has_process(link, service->pid)) {
		say_active(service);
		service->shim_wanted = false;
		return;
	}
	if (waited_ms >= SERVICE_SHIM_MS && !service->shim_missed) {
		log_warn("%s: shim: none (it did not load within %d s)", service->config->name,
			SERVICE_SHIM_MS / 1000);
		service->shim_missed = true;
	}
	if (waited_ms < SHIM_LAST_LOOK_MS)
		service->shim_check_ms = now_ms + waited_ms + 1;
	else
		service->shim_wanted = false;
}
