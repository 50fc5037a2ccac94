#ifndef SUPERVISOR_CONTROL_CONTROL_H
#define SUPERVISOR_CONTROL_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "supervisor/base/loop.h"

/*
 * The control socket: HTTP/1.1 with JSON over a Unix socket, on the loop.
 *
 * Whose it is: the socket has mode 0600, and every request is checked against the credentials that
 * the kernel kept of who connected: root and our own user are answered, everybody else is
 * told 403.  What comes in is untrusted all the same: a request has CONTROL_BODY_MOST bytes at
 * most, and a connection CONTROL_IDLE_S seconds without a byte.  There are CONTROL_MOST connections
 * at most, and CONTROL_MOST_OF_PEER of one user; control_peers.h says which one goes for a
 * newcomer.  Where no descriptor is left for a connection, the socket rests for CONTROL_REST_MS.
 *
 * Only the transport is here.  What a request means is the handler's, who answers each with
 * control_reply(), at once or later, or makes it a stream of lines with control_stream().  A
 * request whose client has left is reported by gone(), and must not be answered any more.
 * Nothing here waits: a client that reads too slowly for CONTROL_UNREAD_MOST bytes of a stream is
 * disconnected.
 *
 * Errors are JSON too: {"error": "one line"}.
 *
 * The same over TCP is for whoever reaches the address, with no credentials of anybody: what is
 * asked there can only be read, with GET, and a connection has CONTROL_PUBLIC_IDLE_S.  One address
 * has CONTROL_PUBLIC_MOST_OF_PEER connections, of CONTROL_PUBLIC_MOST in all: Prometheus keeps one
 * open, a browser up to six.  Within CONTROL_PACE_MS it accepts CONTROL_PACE_ACCEPTS connections
 * and hands over CONTROL_PACE_REQUESTS requests; those beyond wait until that time is over.  So who
 * asks without end takes a few hundredths of a CPU.
 *
 * libevent's evhttp is seen by control.c and nobody else.
 */

#define CONTROL_BODY_MOST 4096
#define CONTROL_IDLE_S 60
#define CONTROL_MOST 64
#define CONTROL_MOST_OF_PEER 48
#define CONTROL_PUBLIC_MOST 32
#define CONTROL_PUBLIC_MOST_OF_PEER 8
#define CONTROL_PUBLIC_IDLE_S 5
#define CONTROL_REST_MS 1000
#define CONTROL_PACE_MS 250
#define CONTROL_PACE_ACCEPTS 32
#define CONTROL_PACE_REQUESTS 16
#define CONTROL_UNREAD_MOST ((size_t)256 << 10)
#define CONTROL_PATH_BYTES 108 /* of struct sockaddr_un */

struct control;
struct control_request;

struct control_handler {
	void (*request)(void *context, struct control_request *request);
	void (*gone)(void *context, struct control_request *request);
	void *context;
};

/* Where the socket of the supervisor that runs this file is, unless told otherwise: the file's name
 * without its ending, in /run/spillway for root, in $XDG_RUNTIME_DIR/spillway for others.  0, or
 * -ENOENT where there is no such directory for this user, -ENAMETOOLONG. */
int control_default_path(const char *file, char path[CONTROL_PATH_BYTES]);

/* Makes the directory if its parent is there.  A socket that nobody listens at any more is
 * replaced; -EADDRINUSE where somebody does.  0 or -errno. */
int control_open(struct loop *loop, const char *path, const struct control_handler *handler,
	struct control **control);

/* The same at a TCP address, "127.0.0.1:9464" or "[::1]:9464".  0, -EINVAL for what is none, or
 * another -errno. */
int control_open_public(struct loop *loop, const char *address,
	const struct control_handler *handler, struct control **control);

/* Once the loop has ended.  Requests that are open are dropped without an answer or a call of
 * gone(). */
void control_close(struct control *control);

/* Of a request. */
bool control_is_post(const struct control_request *request);
/* Path without query, not decoded: names of services need none. */
const char *control_target(const struct control_request *request);
/* Its body, an object; an empty one where there is none.  Lives as long as the request. */
const json_t *control_body(const struct control_request *request);
/* For the handler, NULL at first. */
void **control_data(struct control_request *request);

/* Answers and ends the request.  Takes the reference of body. */
void control_reply(struct control_request *request, int status, json_t *body);
/* Likewise, 200. */
void control_reply_text(struct control_request *request, const char *type, const char *text);
void control_refuse(struct control_request *request, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* From now on the answer is a stream of lines, each a JSON value, until the client leaves. */
void control_stream(struct control_request *request);
void control_stream_line(struct control_request *request, const json_t *value);

#endif
