/* Answers over the control socket that come when something has come about. */
#include "supervisor/fleet/fleet_control_private.h"

#include <stdlib.h>
#include <string.h>

void fleet_control_wait_drop(struct fleet_control *control, struct wait *wait)
{
	struct wait **link = &control->waits;
	while (*link != wait)
		link = &(*link)->next;
	*link = wait->next;
	free(wait);
}

struct wait *fleet_control_wait_new(struct fleet_control *control, struct control_request *request,
	enum wait_kind kind, size_t count)
{
	struct wait *wait = calloc(1, sizeof *wait + count * sizeof wait->mark[0]);
	if (wait == NULL) {
		control_refuse(request, 500, "out of memory");
		return NULL;
	}
	wait->request = request;
	wait->kind = kind;
	wait->count = count;
	wait->next = control->waits;
	control->waits = wait;
	*control_data(request) = wait;
	return wait;
}

void fleet_control_reply(
	const struct fleet *fleet, struct control_request *request, const struct service *service)
{
	control_reply(request, 200, fleet_status_service(fleet, service, loop_now_ms()));
}

/* So long it has to run to be up. */
static uint64_t up_ms(const struct service *service)
{
	uint32_t startsecs_ms = service->config->startsecs_ms;
	return startsecs_ms > FLEET_CONTROL_UP_MS ? startsecs_ms : FLEET_CONTROL_UP_MS;
}

static bool is_up(const struct service *service, uint64_t now_ms)
{
	if (service->config->is_oneshot)
		return service_has_succeeded(service);
	return service->ready && service->restart.state == RESTART_RUNNING &&
	       now_ms - service->started_ms >= up_ms(service);
}

/* It was started and has ended since. */
static bool has_failed(const struct wait *wait, const struct service *service)
{
	enum restart_state state = service->restart.state;
	if (service->wanted || service->ends)
		return service->lacks;
	return (service->restart.starts > wait->starts && state == RESTART_BACKOFF) ||
	       state == RESTART_EXITED || state == RESTART_FATAL;
}

static void refuse_failed(const struct wait *wait, const struct service *service)
{
	const char *name = service->config->name;
	if (service->lacks)
		control_refuse(
			wait->request, 409, "%s is not started: what it requires is down", name);
	else
		control_refuse(wait->request, 409, "%s did not stay up: %s, status %d", name,
			restart_state_name(service->restart.state), service->exit_status);
}

/* Whether the wait is over; its request was answered then. */
static bool settle_service(struct fleet *fleet, const struct wait *wait, uint64_t now_ms)
{
	const char *name = wait->mark[0].name;
	const struct service *service = fleet_find(fleet, name);
	bool wants_up = wait->kind == WAIT_UP;
	if (service == NULL)
		control_refuse(wait->request, 409, "%s was removed by a reload", name);
	else if (wants_up ? service->restart.starts > wait->starts && is_up(service, now_ms)
			  : service_is_down(service))
		fleet_control_reply(fleet, wait->request, service);
	else if (wants_up && has_failed(wait, service))
		refuse_failed(wait, service);
	else if (now_ms >= wait->deadline_ms)
		control_refuse(wait->request, 409, "%s is still %s", name,
			restart_state_name(service->restart.state));
	else
		return false;
	return true;
}

static json_t *returned(const struct fleet *fleet, const struct release_mark *mark, bool *over)
{
	const struct service *service = fleet_find(fleet, mark->name);
	struct tick_counts counts = {0};
	uint64_t bytes = 0;
	if (service != NULL) {
		tick_counts(fleet->host.tick, &service->memory, &counts);
		*over = *over && tick_release_is_over(&service->memory);
	}
	if (counts.heap.heap.released_bytes > mark->before_bytes)
		bytes = counts.heap.heap.released_bytes - mark->before_bytes;
	return json_pack("{s:s, s:I, s:I, s:b}", "name", mark->name, "heaps",
		(json_int_t)counts.heap.heap.processes, "returned_bytes", (json_int_t)bytes,
		"answered", counts.heap.heap.answered);
}

static bool settle_release(const struct fleet *fleet, const struct wait *wait, uint64_t now_ms)
{
	bool over = true;
	json_t *services = json_array();
	for (size_t i = 0; i < wait->count; i++)
		json_array_append_new(services, returned(fleet, &wait->mark[i], &over));
	if (over || now_ms >= wait->deadline_ms) {
		control_reply(wait->request, 200, json_pack("{s:o}", "services", services));
		return true;
	}
	json_decref(services);
	return false;
}

void fleet_control_step(struct fleet_control *control, uint64_t now_ms)
{
	struct wait *next;
	if (control == NULL)
		return;
	for (struct wait *wait = control->waits; wait != NULL; wait = next) {
		next = wait->next;
		if (wait->kind == WAIT_RELEASE ? settle_release(control->fleet, wait, now_ms)
					       : settle_service(control->fleet, wait, now_ms))
			fleet_control_wait_drop(control, wait);
	}
}

uint64_t fleet_control_deadline_ms(const struct fleet_control *control)
{
	uint64_t due_ms = UINT64_MAX;
	if (control == NULL)
		return due_ms;
	for (const struct wait *wait = control->waits; wait != NULL; wait = wait->next) {
		uint64_t at_ms = wait->deadline_ms;
		const struct service *service =
			wait->kind == WAIT_UP ? fleet_find(control->fleet, wait->mark[0].name)
					      : NULL;
		if (service != NULL && service->lives &&
			service->started_ms + up_ms(service) < at_ms)
			at_ms = service->started_ms + up_ms(service);
		if (at_ms < due_ms)
			due_ms = at_ms;
	}
	return due_ms;
}
