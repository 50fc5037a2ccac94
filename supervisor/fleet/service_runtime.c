/* The language runtime of a service, from its start on. */
#include "supervisor/fleet/service_runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "config/keys_choice.h"
#include "supervisor/base/log.h"
#include "supervisor/base/size.h"
#include "supervisor/fleet/service.h"
#include "supervisor/tick/perform.h"

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
	service_runtime_end(runtime);
	*runtime = (struct service_runtime){.kind = CONFIG_RUNTIME_AUTO, .has_heap = has_heap};
	if (config->runtime == CONFIG_RUNTIME_OFF)
		return 0;
	runtime->kind = kind_of(config, verdict);
	runtime->is_static = !verdict->load && !verdict->is_missing && !verdict->has_libc_heap;
	/* What is shared costs the opening of some files, and only limits ask for it. */
	struct tick_share share = {.limit_bytes = UINT64_MAX};
	if (config->runtime_limits)
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
	if (runtime->kind == CONFIG_RUNTIME_JAVA && runtime->given.count > 0)
		runtime->first_bytes = runtime->limit_bytes = share.limit_bytes;
	if (error == 0)
		tell(service);
	return error;
}

const char *service_runtime_advice(const struct service *service)
{
	static const char limits[] = "runtime_limits = yes gives its runtime a limit of its own";
	const struct service_runtime *runtime = &service->runtime;
	switch (runtime->kind) {
	case CONFIG_RUNTIME_NODE:
	case CONFIG_RUNTIME_JAVA:
	case CONFIG_RUNTIME_GO:
	case CONFIG_RUNTIME_DOTNET:
		return service->config->runtime_limits ? NULL : limits;
	case CONFIG_RUNTIME_PHP:
		return "environment = USE_ZEND_ALLOC=0 puts its memory into our heap, and switches "
		       "its memory_limit off";
	default:
		return runtime->is_static ? "it is linked statically and has no heap of ours; "
					    "on_pressure can tell it to give memory back"
					  : NULL;
	}
}

static enum level level_of(const struct service *service)
{
	return service->memory.policy.state.pressure.level;
}

/* What its JVMs are asked at that level; command[0] NULL = nothing. */
static struct jvm_work work_at(const struct service_runtime *runtime, enum level level)
{
	struct jvm_work work = {.procs_fd = -1};
	size_t count = 0;
	if (level == LEVEL_FULL) {
		work.times[count] = SERVICE_RUNTIME_COLLECTIONS;
		work.command[count++] = "GC.run";
	}
	if (level >= LEVEL_EAGER && !runtime->has_heap) {
		work.times[count] = 1;
		work.command[count] = "System.trim_native_heap";
	}
	return work;
}

static void start(struct service *service, struct jvm_work *work, uint64_t now_ms)
{
	struct service_runtime *runtime = &service->runtime;
	work->procs_fd = service->memory.leaf != NULL
				 ? openat(cgroup_leaf_fd(service->memory.leaf), "cgroup.procs",
					   O_RDONLY | O_CLOEXEC)
				 : -1;
	work->group = service->pid;
	work->until_ms = now_ms + SERVICE_RUNTIME_MOST_MS;
	work->avoided = runtime->avoided;
	int error = jvm_worker_start(&runtime->worker, work);
	runtime->look_ms = now_ms + SERVICE_RUNTIME_LOOK_MS;
	if (error != 0)
		log_warn("%s: runtime: cannot ask its JVM: %s", service->config->name,
			strerror(-error));
}

static void ask(struct service *service, struct jvm_work *work, uint64_t now_ms)
{
	const struct config_service *config = service->config;
	struct service_runtime *runtime = &service->runtime;
	runtime->rest_ms = now_ms + SERVICE_RUNTIME_REST_MS;
	runtime->told = level_of(service);
	if (config->dry_run) {
		log_notice("%s: dry run: would ask its JVM for %s at %s", config->name,
			work->command[0], perform_level_name(runtime->told));
		return;
	}
	runtime->is_limit = false;
	start(service, work, now_ms);
}

/* Its limit is another one than it knows. */
static void ask_for_limit(struct service *service, uint64_t limit_bytes, uint64_t now_ms)
{
	struct service_runtime *runtime = &service->runtime;
	struct jvm_work work = {.command = {runtime->command}, .times = {1}};
	/* Above the heap's limit the JVM would refuse it. */
	uint64_t least_bytes =
		limit_bytes < runtime->first_bytes ? limit_bytes : runtime->first_bytes;
	uint64_t heap_bytes = least_bytes / 1000 * SERVICE_RUNTIME_HEAP_PERMILLE;
	runtime->limit_bytes = limit_bytes;
	snprintf(runtime->command, sizeof runtime->command, "VM.set_flag SoftMaxHeapSize %" PRIu64,
		heap_bytes);
	if (service->config->dry_run) {
		log_notice("%s: dry run: would ask its JVM for %s", service->config->name,
			runtime->command);
		return;
	}
	runtime->is_limit = true;
	start(service, &work, now_ms);
}

static void conclude(struct service *service, const struct jvm_done *done, uint64_t now_ms)
{
	struct service_runtime *runtime = &service->runtime;
	const char *name = service->config->name;
	const char *level = perform_level_name(runtime->told);
	uint64_t rest_ms = done->took_ms * SERVICE_RUNTIME_SHARE;
	runtime->avoided = done->avoided;
	if (rest_ms > SERVICE_RUNTIME_REST_MS)
		runtime->rest_ms = now_ms + rest_ms;
	if (done->jvms > 0 && runtime->is_limit)
		log_info("%s: runtime: %u JVM%s: %s%s%s", name, done->jvms,
			done->jvms > 1 ? "s" : "", runtime->command,
			done->answer[0] != '\0' ? ": " : "", done->answer);
	else if (done->jvms > 0)
		log_notice("%s: runtime: %s of %u JVM%s at %s: resident %s -> %s in %llums", name,
			runtime->told == LEVEL_FULL ? "GC.run" : "System.trim_native_heap",
			done->jvms, done->jvms > 1 ? "s" : "", level,
			size_text(done->before_bytes).text, size_text(done->after_bytes).text,
			(unsigned long long)done->took_ms);
	if (done->error == -EINPROGRESS)
		log_warn(
			"%s: runtime: a JVM was not done with what it was asked at %s after %llums",
			name, level, (unsigned long long)done->took_ms);
	else if (done->error != 0)
		log_warn("%s: runtime: a JVM did not do what it was asked at %s: %s; it is not "
			 "asked again",
			name, level,
			done->answer[0] != '\0' ? done->answer : strerror(-done->error));
}

void service_runtime_step(struct service *service, const struct service_host *host, uint64_t now_ms)
{
	struct service_runtime *runtime = &service->runtime;
	struct jvm_done done;
	if (runtime->worker != NULL) {
		if (jvm_worker_take(runtime->worker, &done)) {
			runtime->worker = NULL;
			conclude(service, &done, now_ms);
		} else if (runtime->look_ms <= now_ms) {
			runtime->look_ms = now_ms + SERVICE_RUNTIME_LOOK_MS;
		}
	}
	/* Of one that was taken over only the configuration tells. */
	if (service->left != NULL && service->config->runtime > CONFIG_RUNTIME_OFF)
		runtime->kind = service->config->runtime;
	if (runtime->kind != CONFIG_RUNTIME_JAVA)
		return;
	struct jvm_work work = work_at(runtime, level_of(service));
	runtime->wanted = service->lives && work.command[0] != NULL;
	if (!service->lives || runtime->worker != NULL)
		return;
	uint64_t limit_bytes = runtime->first_bytes != 0
				       ? tick_service_share_bytes(host->tick, &service->memory)
				       : runtime->limit_bytes;
	if (limit_bytes != runtime->limit_bytes) {
		ask_for_limit(service, limit_bytes, now_ms);
		return;
	}
	if (!runtime->wanted)
		return;
	if (runtime->rest_ms <= now_ms || level_of(service) > runtime->told)
		ask(service, &work, now_ms);
}

uint64_t service_runtime_deadline_ms(const struct service_runtime *runtime)
{
	if (runtime->worker != NULL)
		return runtime->look_ms;
	return runtime->wanted ? runtime->rest_ms : SERVICE_RUNTIME_NEVER;
}

void service_runtime_end(struct service_runtime *runtime)
{
	jvm_worker_close(runtime->worker);
	runtime->worker = NULL;
	runtime->wanted = false;
}
