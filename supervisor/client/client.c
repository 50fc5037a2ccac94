/* Asks a supervisor over its control socket. */
#include "supervisor/client/client.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUEST_BYTES 1024

/* flags: SOCK_NONBLOCK or none.  A descriptor or -errno. */
static int connect_to(const char *path, int flags)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	int error = -errno;
	close(fd);
	return error;
}

/* Which one ---------------------------------------------------------------------- */

static bool is_answered(const char *path)
{
	int fd = connect_to(path, 0);
	if (fd < 0)
		/* Somebody is there whom we may not ask: to be told when we do. */
		return fd == -EACCES;
	close(fd);
	return true;
}

static bool is_socket_name(const char *name)
{
	size_t length = strlen(name);
	return length > 5 && strcmp(name + length - 5, ".sock") == 0;
}

/* How many there are; all are named in `list`, the last one is in path. */
static size_t look_into(
	const char *directory, char path[CLIENT_PATH_BYTES], char *list, size_t size)
{
	size_t count = 0;
	size_t used = 0;
	DIR *entries = opendir(directory);
	const struct dirent *entry;
	list[0] = '\0';
	while (entries != NULL && (entry = readdir(entries)) != NULL) {
		char candidate[CLIENT_PATH_BYTES];
		if (!is_socket_name(entry->d_name) ||
			snprintf(candidate, sizeof candidate, "%s/%s", directory, entry->d_name) >=
				(int)sizeof candidate ||
			!is_answered(candidate))
			continue;
		memcpy(path, candidate, sizeof candidate);
		count++;
		if (used < size)
			used += (size_t)snprintf(list + used, size - used, " %s", candidate);
	}
	if (entries != NULL)
		closedir(entries);
	return count;
}

int client_find(char path[CLIENT_PATH_BYTES], char error[CLIENT_ERROR_BYTES])
{
	char directory[CLIENT_PATH_BYTES];
	char list[CLIENT_ERROR_BYTES / 2];
	const char *runtime = geteuid() == 0 ? "/run" : getenv("XDG_RUNTIME_DIR");
	if (runtime == NULL || snprintf(directory, sizeof directory, "%s/spillway", runtime) >=
				       (int)sizeof directory) {
		snprintf(error, CLIENT_ERROR_BYTES,
			"no XDG_RUNTIME_DIR to look into; name the socket with --socket");
		return -ENOENT;
	}
	size_t count = look_into(directory, path, list, sizeof list);
	if (count == 1)
		return 0;
	if (count == 0)
		snprintf(error, CLIENT_ERROR_BYTES, "no supervisor answers in %s", directory);
	else
		snprintf(error, CLIENT_ERROR_BYTES,
			"several supervisors run here; choose one with --socket:%s", list);
	return count == 0 ? -ENOENT : -E2BIG;
}

/* Request and answer --------------------------------------------------------------- */

static int send_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t sent = send(fd, text, length, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -errno;
		text += sent;
		length -= (size_t)sent;
	}
	return 0;
}

static int send_request(int fd, const char *target, const json_t *body)
{
	char head[REQUEST_BYTES];
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	size_t length = text != NULL ? strlen(text) : 0;
	int written = snprintf(head, sizeof head,
		"%s %s HTTP/1.0\r\nHost: spillway\r\nContent-Length: %zu\r\n\r\n",
		body != NULL ? "POST" : "GET", target, length);
	int error = -ENAMETOOLONG;
	if (body != NULL && text == NULL)
		error = -ENOMEM;
	else if (written < (int)sizeof head)
		error = send_all(fd, head, (size_t)written);
	if (error == 0 && text != NULL)
		error = send_all(fd, text, length);
	free(text);
	return error;
}

/* The status, or -EPROTO; the rest of the head is passed over. */
static int read_head(FILE *stream)
{
	char line[REQUEST_BYTES];
	int status = -EPROTO;
	if (fgets(line, sizeof line, stream) != NULL && strncmp(line, "HTTP/1.", 7) == 0) {
		const char *number = strchr(line, ' ');
		status = number != NULL ? (int)strtol(number, NULL, 10) : -EPROTO;
	}
	if (status < 100)
		return -EPROTO;
	while (fgets(line, sizeof line, stream) != NULL)
		if (strcmp(line, "\r\n") == 0 || strcmp(line, "\n") == 0)
			return status;
	return -EPROTO;
}

int client_request(const char *path, const char *target, const json_t *body, bool waits)
{
	int fd = connect_to(path, waits ? 0 : SOCK_NONBLOCK);
	if (fd < 0)
		return fd;
	int error = send_request(fd, target, body);
	if (error == 0)
		return fd;
	close(fd);
	return error;
}

/* A stream of the answer, whose head is to be read; NULL with *error. */
static FILE *open_answer(const char *path, const char *target, const json_t *body, int *error)
{
	int fd = client_request(path, target, body, true);
	FILE *stream = fd >= 0 ? fdopen(fd, "r") : NULL;
	*error = fd < 0 ? fd : 0;
	if (stream == NULL && fd >= 0) {
		*error = -errno;
		close(fd);
	}
	return stream;
}

static json_t *read_body(FILE *stream)
{
	char *text = malloc(CLIENT_ANSWER_MOST);
	size_t length = text != NULL ? fread(text, 1, CLIENT_ANSWER_MOST, stream) : 0;
	json_t *body = length > 0 ? json_loadb(text, length, 0, NULL) : NULL;
	free(text);
	return body;
}

int client_ask(const char *path, const char *target, json_t *body, json_t **answer)
{
	int error;
	FILE *stream = open_answer(path, target, body, &error);
	json_decref(body);
	*answer = NULL;
	if (stream == NULL)
		return error;
	int status = read_head(stream);
	if (status > 0)
		*answer = read_body(stream);
	fclose(stream);
	return status;
}

int client_follow(const char *path, const char *target, bool (*hear)(const json_t *line))
{
	int error;
	char *text = NULL;
	size_t size = 0;
	FILE *stream = open_answer(path, target, NULL, &error);
	if (stream == NULL)
		return error;
	error = read_head(stream) == 200 ? 0 : -EPROTO;
	bool ended = error != 0;
	while (!ended && getline(&text, &size, stream) > 0) {
		json_t *line = json_loads(text, 0, NULL);
		ended = line != NULL && hear(line);
		json_decref(line);
	}
	free(text);
	fclose(stream);
	return error;
}
