/* The language runtime of a service, from its start on. */
#include "supervisor/fleet/service_runtime.h"

#include "config/keys_choice.h"
#include "supervisor/base/log.h"
#include "supervisor/fleet/service.h"

static enum config_runtime kind_of(
	const struct config_service *config, const struct shim_verdict *verdict)
{
	return config->runtime == CONFIG_RUNTIME_AUTO ? verdict->runtime : config->runtime;
}

static void tell(const struct service *service)
{
	const struct service_runtime *runtime = &service->runtime;
	const char *name = keys_runtime_name(runtime->kind);
	if (runtime->kind != CONFIG_RUNTIME_AUTO && runtime->given.count == 0)
		log_info("%s: runtime: %s", service->config->name, name);
	for (size_t i = 0; i < runtime->given.count; i++)
		log_info("%s: runtime: %s, given %s", service->config->name,
			runtime->kind != CONFIG_RUNTIME_AUTO ? name : "none",
			runtime->given.text[i]);
}

int service_runtime_give(struct service *service, const struct service_host *host,
	const struct shim_verdict *verdict, bool has_heap, struct environment *environment)
{
	const struct config_service *config = service->config;
	struct service_runtime *runtime = &service->runtime;
	*runtime = (struct service_runtime){.kind = CONFIG_RUNTIME_AUTO};
	if (config->runtime == CONFIG_RUNTIME_OFF)
		return 0;
	runtime->kind = kind_of(config, verdict);
	if (runtime->kind == CONFIG_RUNTIME_AUTO && !config->runtime_limits)
		return 0;
	struct tick_share share;
	tick_service_share(host->tick, &service->memory, &share);
	const struct runtime_start start = {
		.runtime = runtime->kind,
		.limits = config->runtime_limits,
		.has_heap = has_heap,
		.has_libc_heap = verdict->has_libc_heap,
		.limit_bytes = share.limit_bytes,
		.cpus = share.cpus,
		.argv = config->argv,
	};
	int error = runtime_give(&start, environment, &runtime->given);
	if (error == 0)
		tell(service);
	return error;
}
