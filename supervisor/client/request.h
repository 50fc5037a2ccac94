#ifndef SUPERVISOR_CLIENT_REQUEST_H
#define SUPERVISOR_CLIENT_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "supervisor/client/client.h"

/*
 * One run of spillctl: its words and options, and what its commands have in common.  Whatever fails
 * is said here, in a line on stderr, and comes back as the exit code.
 */

/* As the Linux Standard Base has them for init scripts; status has numbers of its own. */
enum exit_code {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1,
	EXIT_USAGE = 2,
	EXIT_PRIVILEGE = 4,
	EXIT_NO_SERVICE = 5,
	EXIT_NOT_RUNNING = 7,
	EXIT_STATUS_DOWN = 3,
	EXIT_STATUS_UNKNOWN = 4
};

#define REQUEST_TARGET_BYTES 256

struct request {
	const char *socket; /* NULL = to be found */
	const char *command;
	bool json;
	bool verbose;
	bool metrics; /* for Prometheus */
	bool wait;
	const char *level;
	const char *target;
	uint64_t target_bytes;
	uint64_t lines;
	bool follow;
	char **names; /* what follows the command; NULL-terminated */
	int count;
	char path[CLIENT_PATH_BYTES]; /* the socket's */
	json_t *status;               /* what request_names() has asked for */
};

/* Says it, and returns code. */
int request_complain(int code, const char *subject, const char *what);

/* The socket's path, where it is not given. */
int request_find_socket(struct request *request);

/* EXIT_DONE and *answer, for the caller to release.  Takes the reference of body (client_ask). */
int request_ask(struct request *request, const char *target, json_t *body, json_t **answer);

/* The names that the first `count` words mean (names.h), for the caller to free; they live as long
 * as the request.  Nobody is asked where all are plain.  NULL, with *code. */
char **request_names(struct request *request, int count, bool backwards, int *code);

/* Does it to each of the services that the first `count` words mean, also after one was refused.
 * The code of the first that was. */
int request_for_each(struct request *request, int count, bool backwards,
	int (*act)(struct request *request, const char *service));

#endif
