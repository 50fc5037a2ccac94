/* The control socket: who may ask, and how requests and answers go over it. */
#include "supervisor/control/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <event2/util.h>

#include "supervisor/base/log.h"
#include "supervisor/control/control_listen.h"
#include "supervisor/control/control_peers.h"

#define TARGET_BYTES 256
#define HEADERS_MOST 8192
#define REFUSAL_BYTES 256
#define JSON "application/json"

struct control {
	struct control_handler handler;
	struct evhttp *http;
	struct evconnlistener *listener;
	struct control_request *requests;
	struct control_peers peers;
	bool told_many;
	/* The last one that connected, whose descriptor is known only after evhttp has it. */
	struct bufferevent *newcomer;
	struct event *admission;
	struct event *pace; /* of a public one: the end of the time that these two are of */
	unsigned accepted;
	unsigned handed_over;
	char path[CONTROL_PATH_BYTES]; /* "" = it is a TCP address, and public */
};

struct control_request {
	struct control *control;
	struct evhttp_request *http;
	struct control_request *next;
	int fd;
	bool is_held; /* it is not handed over yet */
	json_t *body;
	void *data;
	char target[TARGET_BYTES];
};

/* The socket ------------------------------------------------------------------- */

int control_default_path(const char *file, char path[CONTROL_PATH_BYTES])
{
	const char *runtime = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
	const char *slash = strrchr(file, '/');
	const char *name = slash != NULL ? slash + 1 : file;
	const char *dot = strrchr(name, '.');
	size_t length = dot != NULL && dot != name ? (size_t)(dot - name) : strlen(name);
	if (runtime == NULL || runtime[0] != '/')
		return -ENOENT;
	int written = snprintf(
		path, CONTROL_PATH_BYTES, "%s/spillway/%.*s.sock", runtime, (int)length, name);
	return written < CONTROL_PATH_BYTES ? 0 : -ENAMETOOLONG;
}

static void on_rested(evutil_socket_t fd, short what, void *listener)
{
	(void)fd;
	(void)what;
	evconnlistener_enable(listener);
}

/* accept failed: without a rest the loop would try again at once, for ever.  The context is
 * evhttp's. */
static void on_accept_error(struct evconnlistener *listener, void *context)
{
	const struct timeval rest = {.tv_sec = CONTROL_REST_MS / 1000};
	(void)context;
	if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT, on_rested, listener,
		    &rest) == 0)
		evconnlistener_disable(listener);
}

static bool is_public(const struct control *control)
{
	return control->path[0] == '\0';
}

/* The pace of a public one ------------------------------------------------------- */

static void hand_over(struct control_request *request)
{
	const struct control_handler *handler = &request->control->handler;
	request->is_held = false;
	handler->request(handler->context, request);
}

/* Requests go from the list when they are answered, wherever they are in it. */
static void on_pace(evutil_socket_t fd, short what, void *context)
{
	struct control *control = context;
	struct control_request *request = control->requests;
	(void)fd;
	(void)what;
	control->accepted = 0;
	control->handed_over = 0;
	evconnlistener_enable(control->listener);
	while (request != NULL) {
		if (!request->is_held) {
			request = request->next;
			continue;
		}
		hand_over(request);
		request = control->requests;
	}
}

/* One more of what *count counts.  true: it is one too many. */
static bool is_too_fast(struct control *control, unsigned *count, unsigned most)
{
	const struct timeval end = {.tv_usec = CONTROL_PACE_MS * 1000L};
	if (!is_public(control))
		return false;
	if (!event_pending(control->pace, EV_TIMEOUT, NULL) && event_add(control->pace, &end) != 0)
		return false;
	(*count)++;
	return *count > most;
}

/* Connections ------------------------------------------------------------------ */

/* evhttp hears of the end, and frees the connection. */
static void close_for(struct control *control, int fd)
{
	shutdown(fd, SHUT_RDWR);
	if (!control->told_many)
		log_warn("%s: more connections than it takes: of these, the one that has asked "
			 "nothing for longest is closed for the next",
			is_public(control) ? "metrics" : "control");
	control->told_many = true;
}

static void admit_newcomer(struct control *control)
{
	if (control->newcomer == NULL)
		return;
	int fd = bufferevent_getfd(control->newcomer);
	int goes = fd >= 0 ? control_peers_admit(&control->peers, fd) : -1;
	if (goes >= 0)
		close_for(control, goes);
	bufferevent_decref(control->newcomer);
	control->newcomer = NULL;
}

static void on_admission(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	admit_newcomer(context);
}

/* evhttp has accepted a connection, and will set its descriptor.  Our reference keeps that open
 * until we have looked at it. */
static struct bufferevent *make_stream(struct event_base *base, void *context)
{
	struct control *control = context;
	struct bufferevent *stream = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	admit_newcomer(control);
	if (is_too_fast(control, &control->accepted, CONTROL_PACE_ACCEPTS))
		evconnlistener_disable(control->listener);
	if (stream == NULL)
		return NULL;
	bufferevent_incref(stream);
	control->newcomer = stream;
	event_active(control->admission, EV_TIMEOUT, 0);
	return stream;
}

/* Requests --------------------------------------------------------------------- */

static void request_free(struct control_request *request)
{
	json_decref(request->body);
	free(request);
}

static void forget(struct control_request *request)
{
	struct control_request **link = &request->control->requests;
	while (*link != request)
		link = &(*link)->next;
	*link = request->next;
	control_peers_answered(&request->control->peers, request->fd);
	request_free(request);
}

static void on_close(struct evhttp_connection *connection, void *context)
{
	struct control_request *request = context;
	const struct control_handler *handler = &request->control->handler;
	struct evhttp_request *http = request->http;
	(void)connection;
	if (!request->is_held)
		handler->gone(handler->context, request);
	forget(request);
	/* What fails while it is read evhttp takes off the connection, and leaves to us. */
	if (evhttp_request_get_connection(http) == NULL)
		evhttp_request_free(http);
}

/* The kernel's word for who connected, not the client's. */
static bool is_allowed(struct evhttp_request *http)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(http);
	struct bufferevent *stream = evhttp_connection_get_bufferevent(connection);
	struct ucred peer;
	socklen_t size = sizeof peer;
	if (getsockopt(bufferevent_getfd(stream), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return false;
	return peer.uid == 0 || peer.uid == geteuid();
}

/* An object, empty for no text; NULL: it is none. */
static json_t *read_body(struct evhttp_request *http)
{
	struct evbuffer *input = evhttp_request_get_input_buffer(http);
	size_t length = evbuffer_get_length(input);
	if (length == 0)
		return json_object();
	const char *text = (const char *)evbuffer_pullup(input, -1);
	json_t *body = text != NULL ? json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (json_is_object(body))
		return body;
	json_decref(body);
	return NULL;
}

static void copy_target(struct control_request *request)
{
	const char *uri = evhttp_request_get_uri(request->http);
	size_t length = strcspn(uri, "?#");
	snprintf(request->target, sizeof request->target, "%.*s", (int)length, uri);
}

static void on_request(struct evhttp_request *http, void *context)
{
	struct control *control = context;
	struct control_request *request = calloc(1, sizeof *request);
	if (request == NULL) {
		evhttp_send_error(http, HTTP_INTERNAL, NULL);
		return;
	}
	request->control = control;
	request->http = http;
	request->next = control->requests;
	control->requests = request;
	struct evhttp_connection *connection = evhttp_request_get_connection(http);
	evhttp_connection_set_closecb(connection, on_close, request);
	request->fd = bufferevent_getfd(evhttp_connection_get_bufferevent(connection));
	control_peers_asks(&control->peers, request->fd);
	copy_target(request);
	if (!is_public(control) && !is_allowed(http)) {
		control_refuse(request, 403, "only root and the supervisor's own user may ask");
		return;
	}
	request->body = read_body(http);
	if (request->body == NULL) {
		control_refuse(request, 400, "the body is no JSON object");
		return;
	}
	request->is_held = is_too_fast(control, &control->handed_over, CONTROL_PACE_REQUESTS);
	if (!request->is_held)
		hand_over(request);
}

bool control_is_post(const struct control_request *request)
{
	return evhttp_request_get_command(request->http) == EVHTTP_REQ_POST;
}

const char *control_target(const struct control_request *request)
{
	return request->target;
}

const json_t *control_body(const struct control_request *request)
{
	return request->body;
}

void **control_data(struct control_request *request)
{
	return &request->data;
}

/* Answers ---------------------------------------------------------------------- */

/* The connection may serve another request, or close, without a word to us. */
static void let_go(const struct control_request *request)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request->http);
	evhttp_connection_set_closecb(connection, NULL, NULL);
}

static void reply_with(
	struct control_request *request, int status, const char *type, const char *text)
{
	struct evhttp_request *http = request->http;
	struct evbuffer *output = evhttp_request_get_output_buffer(http);
	evhttp_add_header(evhttp_request_get_output_headers(http), "Content-Type", type);
	evbuffer_add(output, text, strlen(text));
	let_go(request);
	forget(request);
	evhttp_send_reply(http, status, NULL, NULL);
}

void control_reply(struct control_request *request, int status, json_t *body)
{
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (text == NULL)
		reply_with(request, 500, JSON, "{\"error\":\"out of memory\"}\n");
	else
		reply_with(request, status, JSON, text);
	free(text);
}

void control_reply_text(struct control_request *request, const char *type, const char *text)
{
	reply_with(request, 200, type, text);
}

void control_refuse(struct control_request *request, int status, const char *format, ...)
{
	char text[REFUSAL_BYTES];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	control_reply(request, status, json_pack("{s:s}", "error", text));
}

void control_stream(struct control_request *request)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request->http);
	/* It says nothing for as long as nothing happens. */
	bufferevent_set_timeouts(evhttp_connection_get_bufferevent(connection), NULL, NULL);
	evhttp_add_header(evhttp_request_get_output_headers(request->http), "Content-Type",
		"application/x-ndjson");
	evhttp_send_reply_start(request->http, 200, NULL);
}

void control_stream_line(struct control_request *request, const json_t *value)
{
	struct evhttp_connection *connection = evhttp_request_get_connection(request->http);
	struct bufferevent *stream = evhttp_connection_get_bufferevent(connection);
	char *text = json_dumps(value, JSON_COMPACT);
	struct evbuffer *line = evbuffer_new();
	if (evbuffer_get_length(bufferevent_get_output(stream)) > CONTROL_UNREAD_MOST) {
		evhttp_connection_free(connection); /* which calls on_close */
	} else if (text != NULL && line != NULL) {
		evbuffer_add_printf(line, "%s\n", text);
		evhttp_send_reply_chunk(request->http, line);
	}
	if (line != NULL)
		evbuffer_free(line);
	free(text);
}

/* Begin and end ----------------------------------------------------------------- */

static int make_server(struct control *control, struct loop *loop, int fd)
{
	control->peers.most = is_public(control) ? CONTROL_PUBLIC_MOST : CONTROL_MOST;
	control->peers.most_of_peer =
		is_public(control) ? CONTROL_PUBLIC_MOST_OF_PEER : CONTROL_MOST_OF_PEER;
	control->http = evhttp_new(loop_base(loop));
	control->admission = event_new(loop_base(loop), -1, 0, on_admission, control);
	control->pace = event_new(loop_base(loop), -1, 0, on_pace, control);
	control->listener = evconnlistener_new(
		loop_base(loop), NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (control->listener == NULL) {
		close(fd);
		return -ENOMEM;
	}
	if (control->http == NULL || control->admission == NULL || control->pace == NULL ||
		evhttp_bind_listener(control->http, control->listener) == NULL) {
		evconnlistener_free(control->listener);
		control->listener = NULL;
		return -ENOMEM;
	}
	evconnlistener_set_error_cb(control->listener, on_accept_error);
	evhttp_set_allowed_methods(control->http,
		is_public(control) ? EVHTTP_REQ_GET : EVHTTP_REQ_GET | EVHTTP_REQ_POST);
	evhttp_set_max_headers_size(control->http, HEADERS_MOST);
	evhttp_set_max_body_size(control->http, CONTROL_BODY_MOST);
	evhttp_set_timeout(
		control->http, is_public(control) ? CONTROL_PUBLIC_IDLE_S : CONTROL_IDLE_S);
	evhttp_set_gencb(control->http, on_request, control);
	evhttp_set_bevcb(control->http, make_stream, control);
	return 0;
}

/* path: what to remove in the end, "" at an address.  fd: becomes ours; below 0, why there is none.
 */
static int open_at(struct loop *loop, const char *path, int fd,
	const struct control_handler *handler, struct control **control)
{
	if (fd < 0)
		return fd;
	struct control *made = calloc(1, sizeof *made);
	if (made == NULL) {
		close(fd);
		return -ENOMEM;
	}
	made->handler = *handler;
	snprintf(made->path, sizeof made->path, "%s", path);
	int error = make_server(made, loop, fd);
	if (error != 0) {
		control_close(made);
		return error;
	}
	*control = made;
	return 0;
}

int control_open(struct loop *loop, const char *path, const struct control_handler *handler,
	struct control **control)
{
	return open_at(loop, path, control_listen_unix(path), handler, control);
}

int control_open_public(struct loop *loop, const char *address,
	const struct control_handler *handler, struct control **control)
{
	struct sockaddr_storage parsed = {0};
	int length = sizeof parsed;
	/* It takes numbers only, and asks nobody for a name. */
	if (evutil_parse_sockaddr_port(address, (struct sockaddr *)&parsed, &length) != 0)
		return -EINVAL;
	int fd = control_listen_tcp((const struct sockaddr *)&parsed, (socklen_t)length);
	return open_at(loop, "", fd, handler, control);
}

void control_close(struct control *control)
{
	if (control == NULL)
		return;
	struct control_request *next;
	for (struct control_request *request = control->requests; request != NULL; request = next) {
		next = request->next;
		let_go(request);
		request_free(request);
	}
	if (!is_public(control))
		unlink(control->path);
	if (control->newcomer != NULL)
		bufferevent_decref(control->newcomer);
	if (control->admission != NULL)
		event_free(control->admission);
	if (control->pace != NULL)
		event_free(control->pace);
	if (control->http != NULL)
		evhttp_free(control->http); /* with the listener */
	free(control);
}
