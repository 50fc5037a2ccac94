/* What there is to know of the services, as JSON. */
#include "supervisor/fleet/fleet_control.h"

#include <unistd.h>

#include "config/keys_choice.h"
#include "supervisor/fleet/fleet_order.h"
#include "supervisor/fleet/fleet_private.h"
#include "supervisor/fleet/service_output.h"
#include "supervisor/policy/fraction.h"

/* Absent rather than a number that means nothing. */
static void put_bytes(json_t *object, const char *name, uint64_t bytes)
{
	if (bytes != UINT64_MAX)
		json_object_set_new(object, name, json_integer((json_int_t)bytes));
}

/* lives: figures of what is there now mean something. */
static void put_heap(json_t *object, const struct tick_counts *counts, bool lives)
{
	const struct heap_sample *heap = &counts->heap.heap;
	const struct link_figures *figures = &counts->heap.figures;
	uint64_t live_bytes = heap->in_use_bytes > heap->free_slot_bytes
				      ? heap->in_use_bytes - heap->free_slot_bytes
				      : 0;
	if (lives) {
		json_object_set_new(object, "heaps", json_integer(heap->processes));
		put_bytes(object, "live_bytes", live_bytes);
		put_bytes(object, "idle_bytes",
			fraction_plus(heap->idle_dirty_bytes, heap->free_slot_bytes));
		put_bytes(object, "lazy_bytes", heap->lazy_bytes);
	}
	put_bytes(object, "released_bytes", heap->released_bytes);
	if (heap->page_ns != 0)
		put_bytes(object, "page_ns", heap->page_ns);
	put_bytes(object, "refault_bytes", figures->refault_bytes);
	put_bytes(object, "gate_waits", figures->gate_waits);
	put_bytes(object, "gate_timeouts", figures->gate_timeouts);
}

/* What keeps it from starting. */
static void put_awaited(json_t *object, const struct fleet *fleet, const struct service *service)
{
	const struct service *awaited =
		service->wanted ? fleet_order_awaited(fleet, service) : NULL;
	if (awaited != NULL)
		json_object_set_new(object, "waits_for", json_string(awaited->config->name));
}

static const char *state_of(
	const struct service *service, const struct restart_rules *rules, uint64_t now_ms)
{
	enum restart_state state = restart_shown(&service->restart, rules, now_ms);
	if (service->wanted && service_is_down(service))
		return "WAITING";
	if (state == RESTART_RUNNING && service->lives && !service->ready)
		state = RESTART_STARTING;
	return restart_state_name(state);
}

/* What it says of itself, and what its checks do. */
static void put_care(json_t *object, const struct service *service)
{
	const struct ready *ready = &service->ready_state;
	json_object_set_new(object, "ready",
		json_boolean(service->ready ||
			     (service->config->is_oneshot && service_has_succeeded(service))));
	if (ready->status != NULL)
		json_object_set_new(object, "status_text", json_string(ready->status));
	if (ready->is_reloading)
		json_object_set_new(object, "reloading", json_true());
	if (ready->is_stopping)
		json_object_set_new(object, "stopping", json_true());
	if (service->config->health.kind != CONFIG_PROBE_NONE && service->lives)
		json_object_set_new(
			object, "health_failures", json_integer(service->health.failures));
}

static void put_config(json_t *object, const struct config_service *config)
{
	json_object_set_new(object, "name", json_string(config->name));
	json_object_set_new(object, "group",
		json_string(config->group[0] != '\0' ? config->group : config->name));
	json_object_set_new(
		object, "stdout_logfile", json_string(service_output_path(config, CONFIG_STDOUT)));
	json_object_set_new(
		object, "stderr_logfile", json_string(service_output_path(config, CONFIG_STDERR)));
}

/* Which language runtime it is, and what its environment was given for it. */
static void put_runtime(json_t *object, const struct service *service)
{
	const struct service_runtime *runtime = &service->runtime;
	if (runtime->kind != CONFIG_RUNTIME_AUTO)
		json_object_set_new(
			object, "runtime", json_string(keys_runtime_name(runtime->kind)));
	if (runtime->given.count == 0)
		return;
	json_t *given = json_array();
	for (size_t i = 0; i < runtime->given.count; i++)
		json_array_append_new(given, json_string(runtime->given.text[i]));
	json_object_set_new(object, "runtime_given", given);
}

/* Of its main process, where the shim works there. */
static void put_allocator(json_t *object, const struct service *service)
{
	const struct link *link = service->memory.link;
	if (link == NULL || !link_has_process(link, service->pid))
		return;
	json_object_set_new(object, "allocator",
		json_string(link_allocator_name(link_process_allocator(link, service->pid))));
}

json_t *fleet_status_service(
	const struct fleet *fleet, const struct service *service, uint64_t now_ms)
{
	struct tick_counts counts;
	json_t *object = json_object();
	const struct restart *restart = &service->restart;
	tick_counts(fleet->host.tick, &service->memory, &counts);
	put_config(object, service->config);
	struct restart_rules rules = service_rules(service);
	json_object_set_new(object, "state", json_string(state_of(service, &rules, now_ms)));
	put_awaited(object, fleet, service);
	put_care(object, service);
	if (service->lives) {
		json_object_set_new(object, "pid", json_integer(service->pid));
		put_bytes(object, "uptime_ms", now_ms - service->started_ms);
		put_allocator(object, service);
	} else if (restart->starts > 0) {
		json_object_set_new(object, "exit_status", json_integer(service->exit_status));
	}
	put_bytes(object, "restarts", restart->starts > 0 ? restart->starts - 1 : 0);
	put_bytes(object, "oom_kills", counts.oom_kills);
	json_object_set_new(object, "level", json_string(perform_level_name(counts.level)));
	json_object_set_new(object, "own_cgroup", json_boolean(service->memory.leaf != NULL));
	if (!counts.usage_shared)
		put_bytes(object, "used_bytes", counts.usage_bytes);
	put_bytes(object, "limit_bytes", counts.limit_bytes);
	put_heap(object, &counts, service->lives);
	put_runtime(object, service);
	put_bytes(object, "brakes", counts.brakes);
	return object;
}

static json_t *supervisor(const struct fleet *fleet)
{
	struct tick_shared shared;
	json_t *object = json_object();
	tick_shared(fleet->host.tick, &shared);
	json_object_set_new(object, "version", json_string(SPILLWAY_VERSION));
	json_object_set_new(object, "pid", json_integer(getpid()));
	json_object_set_new(object, "file", json_string(fleet->file_path));
	json_object_set_new(object, "mode", json_stringn(&shared.mode, 1));
	put_bytes(object, "used_bytes", shared.usage_bytes);
	put_bytes(object, "limit_bytes", shared.limit_bytes);
	return object;
}

json_t *fleet_status(const struct fleet *fleet, uint64_t now_ms)
{
	json_t *services = json_array();
	for (size_t i = 0; i < fleet->count; i++)
		json_array_append_new(
			services, fleet_status_service(fleet, fleet->service[i], now_ms));
	return json_pack("{s:o, s:o}", "supervisor", supervisor(fleet), "services", services);
}
