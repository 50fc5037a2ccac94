/* spillctl logs: finds the files of a service, and shows them. */
#include "supervisor/client/logs_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "supervisor/client/logs.h"

/* What has no file is not kept anywhere. */
static int complain_unkept(const char *service, const char *stream, const char *path)
{
	fprintf(stderr,
		"spillctl: logs: %s writes its %s to %s: expected %s_logfile = FILE in its section "
		"(or AUTO)\n",
		service, stream, strcmp(path, "NONE") == 0 ? "nowhere" : "the supervisor's own",
		stream);
	return EXIT_REFUSED;
}

static const char *const stream_keys[LOGS_STREAMS] = {"stdout_logfile", "stderr_logfile"};
static const char *const stream_names[LOGS_STREAMS] = {"stdout", "stderr"};

/* wanted: NULL = every stream that has a file of its own. */
static int show_logs(
	const struct request *request, const json_t *service, const char *name, const char *wanted)
{
	const char *path[LOGS_STREAMS] = {NULL};
	size_t failed = 0;
	size_t kept = 0;
	for (size_t i = 0; i < LOGS_STREAMS; i++) {
		const char *to = json_string_value(json_object_get(service, stream_keys[i]));
		bool is_kept = to != NULL && to[0] == '/' && strcmp(to, "/dev/stdout") != 0 &&
			       strcmp(to, "/dev/stderr") != 0;
		if (wanted != NULL && strcmp(wanted, stream_names[i]) != 0)
			continue;
		if (!is_kept && (wanted != NULL || (i + 1 == LOGS_STREAMS && kept == 0)))
			return complain_unkept(
				name, wanted != NULL ? wanted : "stdout", to != NULL ? to : "NONE");
		bool is_joined = kept > 0 && is_kept && strcmp(path[0], to) == 0;
		path[i] = is_kept && !is_joined ? to : NULL;
		kept += is_kept;
	}
	int error = logs_run(path, request->lines, request->follow, &failed);
	if (error == 0 || error == -EPIPE)
		return EXIT_DONE;
	return request_complain(EXIT_REFUSED, path[failed],
		error == -ENOTSUP ? "no regular file, so there is nothing to read back"
				  : strerror(-error));
}

int logs_command(struct request *request)
{
	char target[REQUEST_TARGET_BYTES];
	json_t *service;
	int code = EXIT_DONE;
	const char *wanted = request->count > 1 ? request->names[1] : NULL;
	if (wanted != NULL && strcmp(wanted, "stdout") != 0 && strcmp(wanted, "stderr") != 0)
		return request_complain(EXIT_USAGE, wanted, "expected stdout or stderr");
	char **names = request_names(request, 1, false, &code);
	if (names == NULL)
		return code;
	if (names[0] == NULL || names[1] != NULL) {
		free(names);
		return request_complain(EXIT_USAGE, request->names[0], "expected one service");
	}
	snprintf(target, sizeof target, "/v1/services/%s", names[0]);
	code = request_ask(request, target, NULL, &service);
	if (code == EXIT_DONE) {
		code = show_logs(request, service, names[0], wanted);
		json_decref(service);
	}
	free(names);
	return code;
}
