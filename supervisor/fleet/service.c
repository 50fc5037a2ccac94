#include "supervisor/fleet/service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/process/descendants.h"
#include "supervisor/base/log.h"
#include "supervisor/process/shim_check.h"

/* After SIGKILL a process that is still there sits in the kernel, out of reach. */
#define GIVE_UP_MS 2000U
#define SHIM_FIRST_LOOK_MS 20U
#define SHIM_LAST_LOOK_MS 60000U

/* All that one start needs, made before the fork and gone after it. */
struct launch {
	struct environment environment;
	struct account account;
	bool has_account;
	struct shim_verdict verdict;
};

void service_init(struct service *service, size_t index, const struct config_service *config)
{
	*service = (struct service){
		.index = index,
		.config = config,
		.spawned = {.gate_fd = -1, .result_fd = -1},
		.sweep_ms = SERVICE_NEVER,
		.shim_check_ms = SERVICE_NEVER,
	};
}

/* Without a leaf: those that have left the group.  How many; signal 0 only counts. */
static int signal_strays(const struct service *service, const struct service_host *host, int signal)
{
	char text[sizeof LINK_ENVIRONMENT + 1 + LINK_VALUE_BYTES];
	char value[LINK_VALUE_BYTES];
	const struct link *link = tick_link(host->tick, service->index);
	if (link == NULL || tick_leaf(host->tick, service->index) != NULL)
		return 0;
	if (link_environment(link, value, sizeof value) != 0)
		return 0;
	snprintf(text, sizeof text, LINK_ENVIRONMENT "=%s", value);
	return descendants_signal_marked(getpid(), text, service->pid, signal);
}

static void kill_all(const struct service *service, const struct service_host *host)
{
	struct cgroup_leaf *leaf = tick_leaf(host->tick, service->index);
	if (service->pid > 1)
		kill(-service->pid, SIGKILL);
	if (leaf != NULL)
		cgroup_leaf_kill(leaf);
	signal_strays(service, host, SIGKILL);
}

/* Once to each, since many programs take a second TERM for impatience: the group is
 * part of the leaf where there is one that it could be put into. */
static void tell_all(const struct service *service, const struct service_host *host)
{
	struct cgroup_leaf *leaf = tick_leaf(host->tick, service->index);
	if (leaf != NULL && cgroup_leaf_signal(leaf, SIGTERM) > 0)
		return;
	if (service->pid > 1)
		kill(-service->pid, SIGTERM);
	signal_strays(service, host, SIGTERM);
}

static bool nobody_left(const struct service *service, const struct service_host *host)
{
	struct cgroup_leaf *leaf = tick_leaf(host->tick, service->index);
	bool group_gone = kill(-service->pid, 0) != 0 && errno == ESRCH;
	return group_gone && (leaf == NULL || cgroup_leaf_empty(leaf)) &&
	       signal_strays(service, host, 0) <= 0;
}

void service_signal(const struct service *service, int signal)
{
	if (service->lives)
		kill(service->pid, signal);
}

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

/* The shim and its link go into the environment together or not at all. */
static int add_shim(
	struct launch *launch, const struct service *service, const struct service_host *host)
{
	const struct config_service *config = service->config;
	struct link *link = tick_link(host->tick, service->index);
	struct shim_check check = {
		.program = config->argv[0],
		.path = environment_get(&launch->environment, "PATH"),
		.start = host->start,
		.directory = config->directory,
		.shim = host->shim_path,
		.uid = launch->has_account ? launch->account.uid : geteuid(),
		.gid = launch->has_account ? launch->account.gid : getegid(),
	};
	char value[LINK_VALUE_BYTES];
	const char *missing = NULL;
	if (config->shim == CONFIG_SHIM_OFF)
		missing = "switched off";
	else if (host->shim_path == NULL)
		missing = "libspillway.so is not there";
	else if (link == NULL || link_environment(link, value, sizeof value) != 0)
		missing = "no link could be made";
	if (missing != NULL) {
		snprintf(launch->verdict.reason, sizeof launch->verdict.reason, "%s", missing);
		return 0;
	}
	shim_check(&check, &launch->verdict);
	if (!launch->verdict.load)
		return 0;
	int error = add_preload(&launch->environment, host->shim_path);
	if (error == 0)
		error = environment_set(&launch->environment, LINK_ENVIRONMENT, value);
	return error;
}

static int add_account(struct launch *launch, const char *user)
{
	int error = account_resolve(user, &launch->account);
	if (error != 0)
		return error;
	launch->has_account = true;
	if (launch->account.name[0] == '\0')
		return 0;
	error = environment_set(&launch->environment, "HOME", launch->account.home);
	if (error == 0)
		error = environment_set(&launch->environment, "USER", launch->account.name);
	if (error == 0)
		error = environment_set(&launch->environment, "LOGNAME", launch->account.name);
	return error;
}

static int launch_init(
	struct launch *launch, const struct service *service, const struct service_host *host)
{
	const struct config_service *config = service->config;
	*launch = (struct launch){0};
	int error = environment_init(&launch->environment, environ);
	if (error == 0 && config->user != NULL) {
		error = add_account(launch, config->user);
		if (error != 0)
			log_error("%s: user %s: %s", config->name, config->user, strerror(-error));
	}
	for (size_t i = 0;
		error == 0 && config->environment != NULL && config->environment[i] != NULL; i++)
		error = environment_put(&launch->environment, config->environment[i]);
	if (error == 0)
		error = add_shim(launch, service, host);
	return error;
}

static void launch_fini(struct launch *launch)
{
	environment_fini(&launch->environment);
}

static void note_shim(struct service *service, const struct shim_verdict *verdict, uint64_t now_ms)
{
	service->shim_wanted = verdict->load;
	service->shim_missed = false;
	service->shim_check_ms = verdict->load ? now_ms + SHIM_FIRST_LOOK_MS : SERVICE_NEVER;
	if (!verdict->load)
		log_info("%s: shim: none (%s)", service->config->name, verdict->reason);
}

static int launch_run(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	const struct config_service *config = service->config;
	struct cgroup_leaf *leaf;
	struct link *link;
	struct launch launch;
	int error = tick_service_prepare(host->tick, service->index);
	if (error != 0)
		log_warn("%s: runs without limits of its own: %s", config->name, strerror(-error));
	leaf = tick_leaf(host->tick, service->index);
	link = tick_link(host->tick, service->index);
	error = launch_init(&launch, service, host);
	if (error != 0)
		goto out;
	struct spawn spawn = {
		.argv = config->argv,
		.environment = &launch.environment,
		.start = host->start,
		.directory = config->directory,
		.account = launch.has_account ? &launch.account : NULL,
		.signals = host->signals,
		.descriptors = host->descriptors,
		.keep_fd = launch.verdict.load ? link_fd(link) : -1,
		.has_oom_score = config->has_oom_score_adj,
		.take_terminal = host->take_terminal,
	};
	error = spawn_start(&spawn, &service->spawned);
	if (error != 0)
		goto out;
	service->pid = service->spawned.pid;
	service->lives = true;
	service->started_ms = now_ms;
	if (leaf != NULL) {
		int attached = cgroup_leaf_attach(leaf, service->pid);
		if (attached != 0)
			log_warn("%s: not in its cgroup: %s", config->name, strerror(-attached));
	}
	if (config->has_oom_score_adj) {
		int set = spawn_set_oom_score(&service->spawned, config->oom_score_adj);
		if (set != 0)
			log_warn("%s: oom_score_adj %d: %s", config->name, config->oom_score_adj,
				strerror(-set));
	}
	tick_service_started(host->tick, service->index);
	spawn_go(&service->spawned);
	if (host->announce)
		log_info("%s: started, pid %d", config->name, (int)service->pid);
	else
		log_debug("%s: started, pid %d", config->name, (int)service->pid);
	note_shim(service, &launch.verdict, now_ms);
out:
	if (error != 0) {
		log_error("%s: cannot start: %s", config->name, strerror(-error));
		service->exit_status = SPAWN_STATUS_UNUSABLE;
		service->expected = false;
	}
	launch_fini(&launch);
	return error;
}

static void step(struct service *service, const struct service_host *host,
	struct restart_event event, uint64_t now_ms)
{
	enum restart_deed deed = restart_step(&service->restart, service->config->autorestart,
		service->config->stopwait_ms, event, now_ms);
	switch (deed) {
	case RESTART_DO_NOTHING:
		break;
	case RESTART_DO_START:
		event.kind = launch_run(service, host, now_ms) == 0 ? RESTART_ON_STARTED
								    : RESTART_ON_REFUSED;
		step(service, host, event, now_ms);
		break;
	case RESTART_DO_SIGNAL:
		service_signal(service, service->config->stopsignal);
		break;
	case RESTART_DO_KILL:
		log_warn("%s: still there after %u ms, killed", service->config->name,
			(unsigned)service->config->stopwait_ms);
		kill_all(service, host);
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

void service_kill(struct service *service, const struct service_host *host)
{
	if (service->pid != 0)
		kill_all(service, host);
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
	uint64_t lived_ms = service->died_ms - service->started_ms;
	snprintf(lived, sizeof lived, "%llu.%03u s", (unsigned long long)(lived_ms / 1000),
		(unsigned)(lived_ms % 1000));
	if (oom_kills > 0)
		log_warn("%s: OOM-killed after %s (%llu so far)", name, lived,
			(unsigned long long)service->oom_kills);
	else if (code != CLD_EXITED)
		log_info("%s: ended by SIG%s after %s", name, signals_name(status, signal), lived);
	else if (host->announce)
		log_info("%s: exited with %d after %s", name, status, lived);
	else
		log_debug("%s: exited with %d after %s", name, status, lived);
}

void service_died(struct service *service, const struct service_host *host, int code, int status,
	uint64_t now_ms)
{
	bool exited = code == CLD_EXITED;
	uint64_t oom_kills = tick_service_ended(host->tick, service->index);
	if (exited || status != SIGKILL)
		oom_kills = 0;
	service->lives = false;
	service->died_ms = now_ms;
	service->exit_status = exited ? status : 128 + status;
	service->expected = restart_expected(exited, status, oom_kills > 0);
	service->oom_kills += oom_kills > 0;
	if (!say_failure(service))
		say_end(service, host, code, status, oom_kills);
	spawn_close(&service->spawned);
	service->shim_wanted = false;
	service->shim_check_ms = SERVICE_NEVER;

	/* One budget for a whole stop: the rest has what the main process left of it. */
	service->sweep_ms = now_ms + service->config->stopwait_ms;
	if (service->restart.state == RESTART_STOPPING &&
		service->restart.deadline_ms < service->sweep_ms)
		service->sweep_ms = service->restart.deadline_ms;
	service->sweep_killed = false;
	if (!host->sweep_only_kills)
		tell_all(service, host);
}

static void sweep_end(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	struct restart_event event = {.kind = RESTART_ON_EXITED, .expected = service->expected};
	service->pid = 0;
	service->sweep_ms = SERVICE_NEVER;
	step(service, host, event, service->died_ms);
	if (service->restart.state == RESTART_BACKOFF)
		log_info("%s: starts again in %u ms", service->config->name,
			(unsigned)service->restart.delay_ms);
	if (restart_deadline_ms(&service->restart) <= now_ms)
		step(service, host, (struct restart_event){.kind = RESTART_ON_TIME}, now_ms);
}

static void sweep(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	if (nobody_left(service, host)) {
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
	kill_all(service, host);
	service->sweep_killed = true;
	service->sweep_ms = now_ms + GIVE_UP_MS;
}

/* Looks again after twice the time each time, so that a service costs a dozen looks and then
 * none.  One that is slow to start is said to be without, and that is taken back. */
static void look_for_shim(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	struct link *link = tick_link(host->tick, service->index);
	uint64_t waited_ms = now_ms - service->started_ms;
	service->shim_check_ms = SERVICE_NEVER;
	if (link != NULL && link_has_process(link, service->pid)) {
		log_info("%s: shim: active", service->config->name);
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

void service_step(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	if (service->pid != 0 && !service->lives) {
		sweep(service, host, now_ms);
		return;
	}
	if (service->shim_check_ms <= now_ms)
		look_for_shim(service, host, now_ms);
	if (restart_deadline_ms(&service->restart) <= now_ms)
		step(service, host, (struct restart_event){.kind = RESTART_ON_TIME}, now_ms);
}

uint64_t service_deadline_ms(const struct service *service)
{
	if (service->pid != 0 && !service->lives)
		return service->sweep_ms;
	uint64_t restart_ms = restart_deadline_ms(&service->restart);
	return restart_ms < service->shim_check_ms ? restart_ms : service->shim_check_ms;
}

bool service_is_down(const struct service *service)
{
	enum restart_state state = service->restart.state;
	return service->pid == 0 &&
	       (state == RESTART_STOPPED || state == RESTART_EXITED || state == RESTART_FATAL);
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

bool service_same_process(const struct config_service *a, const struct config_service *b)
{
	return same_list(a->argv, b->argv) && same_text(a->directory, b->directory) &&
	       same_text(a->user, b->user) && same_list(a->environment, b->environment) &&
	       a->has_oom_score_adj == b->has_oom_score_adj &&
	       a->oom_score_adj == b->oom_score_adj && a->shim == b->shim;
}
