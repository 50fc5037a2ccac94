#ifndef SUPERVISOR_CLIENT_CLIENT_H
#define SUPERVISOR_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/*
 * The client's end of the control socket: one HTTP/1.0 request a connection, whose answer ends with
 * the connection, so neither lengths nor chunks have to be read.
 *
 * An answer has CLIENT_ANSWER_MOST bytes at most.
 */

#define CLIENT_PATH_BYTES 108 /* of struct sockaddr_un */
#define CLIENT_ANSWER_MOST ((size_t)16 << 20)

/* The socket of the one supervisor that answers in the usual directory (control/control.h).  0, or
 * -errno and one line in error: -ENOENT where there is none, -E2BIG where there are several, which
 * are named. */
#define CLIENT_ERROR_BYTES 512
int client_find(char path[CLIENT_PATH_BYTES], char error[CLIENT_ERROR_BYTES]);

/* Connects and sends a request, GET where body is NULL.  A descriptor from which to read the
 * answer, or -errno.  waits: for a supervisor to which more connect than it takes, as when it is
 * stopped; else that is -EAGAIN, and nothing of the descriptor waits. */
int client_request(const char *path, const char *target, const json_t *body, bool waits);

/* body NULL: GET, else POST with it, whose reference is taken.  The status of HTTP, with *answer
 * what came with it (NULL = no JSON), or -errno: the supervisor cannot be reached, or left. */
int client_ask(const char *path, const char *target, json_t *body, json_t **answer);

/* GET of a stream: hear is called for each line until the stream or hear ends (true), 0 or -errno.
 */
int client_follow(const char *path, const char *target, bool (*hear)(const json_t *line));

#endif
