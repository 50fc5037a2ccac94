/* What the commands of spillctl begin with: the socket, asking there, the services that are meant.
 */
#include "supervisor/client/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/client/names.h"

int request_complain(int code, const char *subject, const char *what)
{
	fprintf(stderr, "spillctl: %s: %s\n", subject, what);
	return code;
}

static int code_of(int status)
{
	switch (status) {
	case 200:
		return EXIT_DONE;
	case 400:
	case 405:
		return EXIT_USAGE;
	case 403:
		return EXIT_PRIVILEGE;
	case 404:
		return EXIT_NO_SERVICE;
	default:
		return EXIT_REFUSED;
	}
}

/* What the supervisor said, with the lines that belong to it. */
static void print_refusal(const char *subject, const json_t *answer)
{
	const char *error = json_string_value(json_object_get(answer, "error"));
	const json_t *line;
	size_t index;
	request_complain(0, subject, error != NULL ? error : "refused");
	json_array_foreach(json_object_get(answer, "errors"), index, line)
		fprintf(stderr, "  %s\n", json_string_value(line));
}

int request_ask(struct request *request, const char *target, json_t *body, json_t **answer)
{
	int status = client_ask(request->path, target, body, answer);
	if (status < 0) {
		bool denied = status == -EACCES || status == -EPERM;
		return request_complain(denied ? EXIT_PRIVILEGE : EXIT_NOT_RUNNING, request->path,
			strerror(-status));
	}
	int code = code_of(status);
	if (code != EXIT_DONE) {
		print_refusal(request->command, *answer);
		json_decref(*answer);
		*answer = NULL;
	}
	return code;
}

int request_find_socket(struct request *request)
{
	char error[CLIENT_ERROR_BYTES];
	if (request->socket == NULL)
		request->socket = getenv("SPILLWAY_SOCKET");
	if (request->socket != NULL) {
		if (strlen(request->socket) >= sizeof request->path)
			return request_complain(
				EXIT_USAGE, request->socket, "longer than a socket's path");
		snprintf(request->path, sizeof request->path, "%s", request->socket);
		return EXIT_DONE;
	}
	int found = client_find(request->path, error);
	if (found == 0)
		return EXIT_DONE;
	fprintf(stderr, "spillctl: %s\n", error);
	return found == -ENOENT ? EXIT_NOT_RUNNING : EXIT_USAGE;
}

char **request_names(struct request *request, int count, bool backwards, int *code)
{
	bool plain = true;
	char **words = calloc((size_t)count + 1, sizeof *words);
	for (int i = 0; words != NULL && i < count; i++) {
		words[i] = request->names[i];
		plain = plain && !names_is_pattern(words[i]);
	}
	if (plain && words != NULL)
		return words;
	json_t *status = NULL;
	const char *unknown = NULL;
	char **names = NULL;
	*code = words != NULL ? request_ask(request, "/v1/status", NULL, &status) : EXIT_REFUSED;
	if (status != NULL)
		names = names_expand(status, words, backwards, &unknown);
	if (names == NULL && *code == EXIT_DONE)
		*code = unknown != NULL
				? request_complain(EXIT_NO_SERVICE, unknown, "no such service")
				: request_complain(EXIT_REFUSED, request->command, "out of memory");
	request->status = status;
	free(words);
	return names;
}

int request_for_each(struct request *request, int count, bool backwards,
	int (*act)(struct request *request, const char *service))
{
	int code = EXIT_DONE;
	char **names = request_names(request, count, backwards, &code);
	for (char **name = names; name != NULL && *name != NULL; name++) {
		int one = act(request, *name);
		if (code == EXIT_DONE)
			code = one;
	}
	free(names);
	return code;
}
