/* Says how a service ended, and what becomes of it. */
#include "supervisor/fleet/service_say.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/base/log.h"
#include "supervisor/fleet/service.h"
#include "supervisor/fleet/service_processes.h"

static void say_given_up(const struct service *service)
{
	const struct config_service *config = service->config;
	if (service->restart.starts == 0 || service->restart.started_ms > service->died_ms)
		log_error("%s: given up: it could not be started", config->name);
	else if (service->never_ready)
		log_error("%s: given up: it was not ready in %u starts", config->name,
			(unsigned)service->restart.failed);
	else
		log_error("%s: given up: it did not stay up for %u ms in %u starts", config->name,
			(unsigned)config->startsecs_ms, (unsigned)service->restart.failed);
}

/* What becomes of it after an end or a start that failed, since then. */
void service_say_next_start(const struct service *service, uint64_t since_ms)
{
	if (service->restart.state == RESTART_BACKOFF)
		log_info("%s: starts again in %u ms", service->config->name,
			(unsigned)(service->restart.deadline_ms - since_ms));
	else if (service->restart.state == RESTART_FATAL)
		say_given_up(service);
}

/* What kept the child from becoming the program. */
bool service_say_failure(const struct service *service)
{
	const struct config_service *config = service->config;
	struct spawn_failure failure;
	if (spawn_result(&service->spawned, &failure) != 1)
		return false;
	const char *subject = config->argv[0];
	if (failure.stage == SPAWN_ACCOUNT)
		subject = config->user;
	else if (failure.stage == SPAWN_PRIVILEGES)
		subject = "capabilities";
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

void service_say_end(const struct service *service, const struct service_host *host, int code,
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

/* Rather than that many of them run after a while. */
void service_say_left(const struct service *service, const struct service_host *host)
{
	bool goes_on = service->restart.state == RESTART_RUNNING && !service->config->is_oneshot;
	if (!goes_on || !service->expected || host->sweep_only_kills || service->leaves_rest ||
		service_nobody_left(service, host))
		return;
	log_notice("%s: it has left processes behind, which are ended: a service that daemonises "
		   "needs pidfile, or to stay in the foreground",
		service->config->name);
}
