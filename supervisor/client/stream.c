/* Requests whose answers are read as they come. */
#include "supervisor/client/stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "supervisor/client/client.h"

#define ROOM_FIRST 4096U

int stream_open(struct stream *stream, const char *path, const char *target, json_t *body)
{
	*stream = STREAM_CLOSED;
	int fd = client_request(path, target, body, false);
	json_decref(body);
	if (fd < 0)
		return fd;
	stream->fd = fd;
	return 0;
}

static void fail(struct stream *stream)
{
	stream->status = 0;
	stream->ended = true;
}

static bool make_room(struct stream *stream)
{
	if (stream->room - stream->length > ROOM_FIRST / 2)
		return true;
	size_t room = stream->room != 0 ? 2 * stream->room : ROOM_FIRST;
	char *text = room <= CLIENT_ANSWER_MOST ? realloc(stream->text, room) : NULL;
	if (text == NULL)
		return false;
	stream->text = text;
	stream->room = room;
	return true;
}

static void drop_front(struct stream *stream, size_t bytes)
{
	stream->length -= bytes;
	memmove(stream->text, stream->text + bytes, stream->length + 1);
}

/* The head, once it is whole. */
static void read_head(struct stream *stream)
{
	char *end = stream->status == 0 ? strstr(stream->text, "\r\n\r\n") : NULL;
	if (end == NULL)
		return;
	int status = 0;
	if (sscanf(stream->text, "HTTP/1.%*d %d", &status) != 1 || status < 100) {
		fail(stream);
		return;
	}
	stream->status = status;
	drop_front(stream, (size_t)(end + 4 - stream->text));
}

void stream_read(struct stream *stream)
{
	while (!stream->ended) {
		if (!make_room(stream)) {
			fail(stream);
			return;
		}
		ssize_t got = recv(stream->fd, stream->text + stream->length,
			stream->room - stream->length - 1, MSG_DONTWAIT);
		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			stream->ended = true;
			return;
		}
		stream->length += (size_t)got;
		stream->text[stream->length] = '\0';
		read_head(stream);
	}
}

json_t *stream_line(struct stream *stream)
{
	const char *end = stream->status != 0 && stream->length > 0
				  ? memchr(stream->text, '\n', stream->length)
				  : NULL;
	if (end == NULL)
		return NULL;
	size_t bytes = (size_t)(end - stream->text);
	json_t *line = json_loadb(stream->text, bytes, 0, NULL);
	drop_front(stream, bytes + 1);
	return line;
}

json_t *stream_body(const struct stream *stream)
{
	if (stream->status == 0 || stream->length == 0)
		return NULL;
	return json_loadb(stream->text, stream->length, 0, NULL);
}

void stream_close(struct stream *stream)
{
	if (stream->fd >= 0)
		close(stream->fd);
	free(stream->text);
	*stream = STREAM_CLOSED;
}
