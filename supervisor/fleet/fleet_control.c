/* What is asked over the control socket, and what becomes of it. */
#include "supervisor/fleet/fleet_control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/keys.h"
#include "config/units.h"
#include "supervisor/base/log.h"
#include "supervisor/fleet/fleet_control_private.h"
#include "supervisor/fleet/fleet_order.h"

#define SERVICES_PATH "/v1/services/"
#define METRICS_PATH "/metrics"
/* A stop may take stopwait_ms, and as long again for what is left of the service. */
#define DOWN_SLACK_MS 5000U
#define UP_WAIT_MS 30000U
#define RELEASE_WAIT_MS 5000U

/* What is asked ------------------------------------------------------------------ */

static bool wants_wait(const struct control_request *request)
{
	return !json_is_false(json_object_get(control_body(request), "wait"));
}

static void answer_or_wait(struct fleet_control *control, struct control_request *request,
	const struct service *service, enum wait_kind kind, uint64_t wait_ms)
{
	if (!wants_wait(request)) {
		fleet_control_reply(control->fleet, request, service);
		return;
	}
	struct wait *wait = fleet_control_wait_new(control, request, kind, 1);
	if (wait == NULL)
		return;
	wait->deadline_ms = loop_now_ms() + wait_ms;
	wait->starts = service->restart.starts;
	memcpy(wait->mark[0].name, service->config->name, CONFIG_NAME_BYTES);
}

static uint64_t up_wait_ms(const struct service *service)
{
	bool tells = service->config->notify.kind != CONFIG_PROBE_NONE;
	return UP_WAIT_MS + (tells ? service->config->start_timeout_ms : 0);
}

static void start(
	struct fleet_control *control, struct control_request *request, struct service *service)
{
	struct fleet *fleet = control->fleet;
	if (service->lives && service->restart.state == RESTART_RUNNING && !service->ends) {
		fleet_control_reply(fleet, request, service);
		return;
	}
	if (fleet->stopping) {
		control_refuse(request, 409, "stopping: nothing is started");
		return;
	}
	/* The count rises with the start, which may happen at once. */
	answer_or_wait(control, request, service, WAIT_UP, up_wait_ms(service));
	log_info("%s: started by hand", service->config->name);
	fleet_order_start(fleet, service, loop_now_ms());
}

static void stop(
	struct fleet_control *control, struct control_request *request, struct service *service)
{
	service->held = true;
	answer_or_wait(control, request, service, WAIT_DOWN,
		2 * (uint64_t)service->config->stopwait_ms + DOWN_SLACK_MS);
	if (!service_is_down(service))
		log_info("%s: stopping, asked by hand", service->config->name);
	fleet_order_stop(service);
}

static void restart(
	struct fleet_control *control, struct control_request *request, struct service *service)
{
	struct fleet *fleet = control->fleet;
	if (fleet->stopping) {
		control_refuse(request, 409, "stopping: nothing is started");
		return;
	}
	answer_or_wait(control, request, service, WAIT_UP,
		2 * (uint64_t)service->config->stopwait_ms + up_wait_ms(service));
	log_info("%s: restarting, asked by hand", service->config->name);
	fleet_order_restart(fleet, service, loop_now_ms());
}

static void send_signal(
	struct fleet_control *control, struct control_request *request, struct service *service)
{
	const char *text = json_string_value(json_object_get(control_body(request), "signal"));
	int number;
	if (text == NULL || units_parse_signal(text, &number) != 0)
		control_refuse(request, 400, "expected {\"signal\": \"HUP\"} or another signal");
	else if (!service->lives)
		control_refuse(request, 409, "%s does not run", service->config->name);
	else {
		service_signal(service, number);
		fleet_control_reply(control->fleet, request, service);
	}
}

static void set_limit(
	struct fleet_control *control, struct control_request *request, struct service *service)
{
	const struct key *key = &section_keys[SECTION_SERVICE].keys[KEY_MEMORY_MAX];
	const char *text = json_string_value(json_object_get(control_body(request), "memory_max"));
	const char *why = NULL;
	struct config_amount amount;
	if (text == NULL || key->parse(text, &amount, &why) != 0) {
		control_refuse(request, 400, "memory_max: expected %s", key->expected);
		return;
	}
	service->config->memory_max = amount;
	log_info("%s: memory_max %s, asked by hand", service->config->name, text);
	tick_service_changed(control->fleet->host.tick, &service->memory);
	control->fleet->tick_ms = 0;
	fleet_control_reply(control->fleet, request, service);
}

static bool read_level(const char *text, enum level *level)
{
	for (int i = LEVEL_LAZY; i < LEVELS; i++) {
		if (strcmp(text, perform_level_name((enum level)i)) == 0) {
			*level = (enum level)i;
			return true;
		}
	}
	return false;
}

static void mark(
	const struct fleet *fleet, struct wait *wait, size_t at, const struct service *service)
{
	struct tick_counts counts;
	tick_counts(fleet->host.tick, &service->memory, &counts);
	memcpy(wait->mark[at].name, service->config->name, CONFIG_NAME_BYTES);
	wait->mark[at].before_bytes = counts.heap.heap.released_bytes;
}

/* service NULL: all. */
static void release(
	struct fleet_control *control, struct control_request *request, struct service *service)
{
	struct fleet *fleet = control->fleet;
	const json_t *body = control_body(request);
	const char *text = json_string_value(json_object_get(body, "level"));
	json_int_t target_bytes = json_integer_value(json_object_get(body, "target_bytes"));
	size_t count = service != NULL ? 1 : fleet->count;
	enum level level = LEVEL_FULL;
	if ((text != NULL && !read_level(text, &level)) || target_bytes < 0) {
		control_refuse(request, 400,
			"expected {\"level\": \"lazy\", \"eager\" or \"full\", \"target_bytes\": "
			"BYTES}");
		return;
	}
	if (wants_wait(request)) {
		struct wait *wait = fleet_control_wait_new(control, request, WAIT_RELEASE, count);
		if (wait == NULL)
			return;
		wait->deadline_ms = loop_now_ms() + RELEASE_WAIT_MS;
		for (size_t i = 0; i < count; i++)
			mark(fleet, wait, i, service != NULL ? service : fleet->service[i]);
	}
	tick_ask(fleet->host.tick, service != NULL ? &service->memory : NULL, level,
		(uint64_t)target_bytes);
	fleet->tick_ms = 0;
	if (!wants_wait(request))
		control_reply(request, 200, json_object());
}

static void reload(struct fleet_control *control, struct control_request *request)
{
	control->errors = json_array();
	int error = fleet_reload_start(control->fleet);
	json_t *errors = control->errors;
	control->errors = NULL;
	if (error == 0) {
		json_decref(errors);
		control_reply(request, 200, json_object());
		return;
	}
	control_reply(request, 409,
		json_pack("{s:s, s:o}", "error", "not reloaded; everything stays as it was",
			"errors", errors));
}

/* Paths -------------------------------------------------------------------------- */

struct service_route {
	const char *name;
	void (*act)(struct fleet_control *control, struct control_request *request,
		struct service *service);
};

static const struct service_route service_routes[] = {
	{"start", start},
	{"stop", stop},
	{"restart", restart},
	{"release", release},
	{"signal", send_signal},
	{"limit", set_limit},
};

/* The rest of the path: NAME or NAME/ACTION. */
static void route_service(
	struct fleet_control *control, struct control_request *request, const char *rest)
{
	char name[CONFIG_NAME_BYTES];
	size_t length = strcspn(rest, "/");
	const char *action = rest[length] == '/' ? rest + length + 1 : NULL;
	struct service *service = NULL;
	if (length < sizeof name) {
		memcpy(name, rest, length);
		name[length] = '\0';
		service = fleet_find(control->fleet, name);
	}
	if (service == NULL) {
		control_refuse(request, 404, "no such service: %.*s", (int)length, rest);
		return;
	}
	if (action == NULL && !control_is_post(request)) {
		fleet_control_reply(control->fleet, request, service);
		return;
	}
	for (size_t i = 0; action != NULL && i < sizeof service_routes / sizeof service_routes[0];
		i++) {
		if (strcmp(action, service_routes[i].name) != 0)
			continue;
		if (control_is_post(request))
			service_routes[i].act(control, request, service);
		else
			control_refuse(request, 405, "expected POST");
		return;
	}
	control_refuse(request, 404, "no such path");
}

static void listen_to(struct fleet_control *control, struct control_request *request)
{
	struct listener *listener = calloc(1, sizeof *listener);
	if (listener == NULL) {
		control_refuse(request, 500, "out of memory");
		return;
	}
	listener->request = request;
	listener->next = control->listeners;
	control->listeners = listener;
	control_stream(request);
}

static void route_post(struct fleet_control *control, struct control_request *request)
{
	const char *path = control_target(request);
	if (strcmp(path, "/v1/reload") == 0)
		reload(control, request);
	else if (strcmp(path, "/v1/release") == 0)
		release(control, request, NULL);
	else
		control_refuse(request, 404, "no such path");
}

static void tell_metrics(const struct fleet *fleet, struct control_request *request)
{
	char *text = fleet_metrics(fleet);
	if (text != NULL)
		control_reply_text(request, "text/plain; version=0.0.4; charset=utf-8", text);
	else
		control_refuse(request, 500, "out of memory");
	free(text);
}

static void route_get(struct fleet_control *control, struct control_request *request)
{
	const char *path = control_target(request);
	fleet_look(control->fleet);
	if (strcmp(path, "/v1/status") == 0)
		control_reply(request, 200, fleet_status(control->fleet, loop_now_ms()));
	else if (strcmp(path, "/v1/events") == 0)
		listen_to(control, request);
	else if (strcmp(path, METRICS_PATH) == 0)
		tell_metrics(control->fleet, request);
	else
		control_refuse(request, 404, "no such path");
}

static void on_request(void *context, struct control_request *request)
{
	struct fleet_control *control = context;
	const char *path = control_target(request);
	if (strncmp(path, SERVICES_PATH, strlen(SERVICES_PATH)) == 0)
		route_service(control, request, path + strlen(SERVICES_PATH));
	else if (control_is_post(request))
		route_post(control, request);
	else
		route_get(control, request);
	fleet_turn(control->fleet);
}

static void on_gone(void *context, struct control_request *request)
{
	struct fleet_control *control = context;
	if (*control_data(request) != NULL)
		fleet_control_wait_drop(control, *control_data(request));
	for (struct listener **link = &control->listeners; *link != NULL; link = &(*link)->next) {
		struct listener *listener = *link;
		if (listener->request != request)
			continue;
		*link = listener->next;
		free(listener);
		return;
	}
}

/* Events -------------------------------------------------------------------------- */

/* "web: started": the service, if the line begins with one. */
static const char *service_of(const struct fleet *fleet, const char *text)
{
	for (size_t i = 0; i < fleet->count; i++) {
		const char *name = fleet->service[i]->config->name;
		size_t length = strlen(name);
		if (strncmp(text, name, length) == 0 && text[length] == ':')
			return name;
	}
	return NULL;
}

static void hear(void *context, enum log_level level, const char *text)
{
	struct fleet_control *control = context;
	struct listener *next;
	if (control->errors != NULL && level == LOG_LEVEL_ERROR)
		json_array_append_new(control->errors, json_string(text));
	if (control->listeners == NULL)
		return;
	json_t *event = json_pack("{s:I, s:s, s:s?, s:s}", "time_s", (json_int_t)time(NULL),
		"level", log_level_name(level), "service", service_of(control->fleet, text), "text",
		text);
	if (event == NULL)
		return; /* no memory, or bytes that are no UTF-8 */
	for (struct listener *listener = control->listeners; listener != NULL; listener = next) {
		next = listener->next;
		control_stream_line(listener->request, event);
	}
	json_decref(event);
}

int fleet_control_open(struct fleet *fleet, const char *path, struct fleet_control **control)
{
	struct fleet_control *made = calloc(1, sizeof *made);
	if (made == NULL)
		return -ENOMEM;
	made->fleet = fleet;
	struct control_handler handler = {.request = on_request, .gone = on_gone, .context = made};
	int error = control_open(fleet->loop, path, &handler, &made->control);
	if (error != 0) {
		free(made);
		return error;
	}
	log_listen(hear, made);
	*control = made;
	return 0;
}

void fleet_control_close(struct fleet_control *control)
{
	if (control == NULL)
		return;
	log_listen(NULL, NULL);
	control_close(control->control);
	while (control->waits != NULL)
		fleet_control_wait_drop(control, control->waits);
	while (control->listeners != NULL) {
		struct listener *listener = control->listeners;
		control->listeners = listener->next;
		free(listener);
	}
	free(control);
}

static void on_public(void *context, struct control_request *request)
{
	const char *path = control_target(request);
	if (strcmp(path, METRICS_PATH) == 0)
		tell_metrics(context, request);
	else if (strcmp(path, "/") == 0)
		control_reply_text(request, "text/html; charset=utf-8", fleet_dashboard);
	else
		control_refuse(request, 404, "only / and " METRICS_PATH " are here");
}

static void on_public_gone(void *context, struct control_request *request)
{
	(void)context;
	(void)request;
}

int fleet_control_open_metrics(struct fleet *fleet, const char *address, struct control **control)
{
	const struct control_handler handler = {
		.request = on_public, .gone = on_public_gone, .context = fleet};
	return control_open_public(fleet->loop, address, &handler, control);
}
