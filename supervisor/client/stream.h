#ifndef SUPERVISOR_CLIENT_STREAM_H
#define SUPERVISOR_CLIENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/*
 * A request whose answer is read as it comes, for who must not wait: a supervisor that is stopped
 * answers nobody.  The same HTTP as client.h's.
 *
 *	open, then, whenever fd is readable, read; take lines or, once it has ended, the whole body;
 *	close
 */

struct stream {
	int fd;     /* -1 = closed */
	int status; /* of HTTP; 0 = not known yet */
	bool ended; /* there is no more to come */
	char *text; /* what came of the body and was not taken; ends in '\0' */
	size_t length;
	size_t room;
};

#define STREAM_CLOSED ((struct stream){.fd = -1})

/* body NULL: GET, else POST with it, whose reference is taken.  0 or -errno, and it is closed. */
int stream_open(struct stream *stream, const char *path, const char *target, json_t *body);

/* Takes in what there is.  A broken answer, or one of over CLIENT_ANSWER_MOST bytes that nobody
 * takes, is one that has ended, with status 0. */
void stream_read(struct stream *stream);

/* The next whole line, for the caller to release; NULL = there is none, or it is no JSON. */
json_t *stream_line(struct stream *stream);

/* Once it has ended: all that is left.  The caller's to release; NULL = it is no JSON. */
json_t *stream_body(const struct stream *stream);

void stream_close(struct stream *stream);

#endif
