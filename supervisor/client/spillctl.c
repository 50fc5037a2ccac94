/* spillctl: asks a running supervisor what there is, and to do something. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config/units.h"
#include "supervisor/base/size.h"
#include "supervisor/client/client.h"
#include "supervisor/client/status.h"
#include "supervisor/client/top.h"

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

#define TARGET_BYTES 256

struct request {
	const char *socket; /* NULL = to be found */
	const char *command;
	bool json;
	bool wait;
	const char *level;
	const char *target;
	char **names; /* what follows the command; NULL-terminated */
	int count;
	char path[CLIENT_PATH_BYTES]; /* the socket's */
};

static const char help[] =
	"usage: spillctl [--socket=PATH] COMMAND\n"
	"\n"
	"  status [--json] [SERVICE...]       what runs, and where its memory is\n"
	"  release SERVICE...|all [--level=lazy|eager|full] [--target=SIZE] [--no-wait]\n"
	"                                     gives idle memory back, and says how much\n"
	"  start, stop, restart SERVICE... [--no-wait]\n"
	"  signal SERVICE SIGNAL              sends a signal to its main process\n"
	"  limit SERVICE SIZE|SHARE|off       its memory_max, until the next reload\n"
	"  reload                             reads the configuration file again\n"
	"  events [--json]                    tells what happens, until it is interrupted\n"
	"  top                                shows all of it live; q leaves\n"
	"  check FILE                         says whether a configuration file is right\n"
	"\n"
	"  -s, --socket=PATH   the supervisor's control socket, or SPILLWAY_SOCKET; else\n"
	"                      that of the one supervisor that runs as this user\n"
	"  -h, --help; -V, --version\n"
	"\n"
	"Exit status: 0 done, 1 refused, 2 usage, 4 not allowed, 5 no such service,\n"
	"7 no supervisor runs.  status: 0 all run, 3 not all, 4 unknown.\n";

static int complain(int code, const char *subject, const char *what)
{
	fprintf(stderr, "spillctl: %s: %s\n", subject, what);
	return code;
}

/* Asking ----------------------------------------------------------------------------- */

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
	complain(0, subject, error != NULL ? error : "refused");
	json_array_foreach(json_object_get(answer, "errors"), index, line)
		fprintf(stderr, "  %s\n", json_string_value(line));
}

/* EXIT_DONE and *answer, or it was said what is wrong. */
static int ask(struct request *request, const char *target, json_t *body, json_t **answer)
{
	int status = client_ask(request->path, target, body, answer);
	if (status < 0) {
		bool denied = status == -EACCES || status == -EPERM;
		return complain(denied ? EXIT_PRIVILEGE : EXIT_NOT_RUNNING, request->path,
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

static int find_socket(struct request *request)
{
	char error[CLIENT_ERROR_BYTES];
	if (request->socket == NULL)
		request->socket = getenv("SPILLWAY_SOCKET");
	if (request->socket != NULL) {
		if (strlen(request->socket) >= sizeof request->path)
			return complain(EXIT_USAGE, request->socket, "longer than a socket's path");
		snprintf(request->path, sizeof request->path, "%s", request->socket);
		return EXIT_DONE;
	}
	int found = client_find(request->path, error);
	if (found == 0)
		return EXIT_DONE;
	fprintf(stderr, "spillctl: %s\n", error);
	return found == -ENOENT ? EXIT_NOT_RUNNING : EXIT_USAGE;
}

/* Commands --------------------------------------------------------------------------- */

static int do_status(struct request *request)
{
	json_t *status;
	int code = ask(request, "/v1/status", NULL, &status);
	if (code != EXIT_DONE)
		return EXIT_STATUS_UNKNOWN;
	const char *unknown = status_unknown(status, request->names);
	bool all_run = true;
	if (unknown != NULL)
		complain(0, unknown, "no such service");
	else if (request->json)
		json_dumpf(status, stdout, JSON_INDENT(2));
	else
		all_run = status_print(status, request->names);
	if (request->json && unknown == NULL)
		putchar('\n');
	json_decref(status);
	if (unknown != NULL)
		return EXIT_STATUS_UNKNOWN;
	return all_run ? EXIT_DONE : EXIT_STATUS_DOWN;
}

static void print_returned(const json_t *answer)
{
	const json_t *service;
	size_t index;
	json_array_foreach(json_object_get(answer, "services"), index, service)
	{
		const char *name = json_string_value(json_object_get(service, "name"));
		json_int_t heaps = json_integer_value(json_object_get(service, "heaps"));
		json_int_t bytes = json_integer_value(json_object_get(service, "returned_bytes"));
		bool answered = json_is_true(json_object_get(service, "answered"));
		if (heaps == 0)
			printf("%s: no heap to ask\n", name);
		else
			printf("%s: returned %s%s\n", name, size_text((uint64_t)bytes).text,
				answered ? "" : " so far, not all answered");
	}
}

/* service NULL: of all. */
static int release_one(struct request *request, const char *service, json_t *body)
{
	char target[TARGET_BYTES] = "/v1/release";
	json_t *answer;
	if (service != NULL)
		snprintf(target, sizeof target, "/v1/services/%s/release", service);
	int code = ask(request, target, body, &answer);
	if (code != EXIT_DONE)
		return code;
	if (request->json)
		json_dumpf(answer, stdout, JSON_INDENT(2));
	else
		print_returned(answer);
	json_decref(answer);
	return EXIT_DONE;
}

static json_t *release_body(const struct request *request, uint64_t target_bytes)
{
	return json_pack("{s:s, s:I, s:b}", "level",
		request->level != NULL ? request->level : "full", "target_bytes",
		(json_int_t)target_bytes, "wait", request->wait);
}

static int do_release(struct request *request)
{
	uint64_t target_bytes = 0;
	int code = EXIT_DONE;
	if (request->target != NULL && units_parse_size(request->target, &target_bytes) != 0)
		return complain(EXIT_USAGE, request->target, "expected a size such as 64M");
	if (request->count == 1 && strcmp(request->names[0], "all") == 0)
		return release_one(request, NULL, release_body(request, target_bytes));
	for (int i = 0; code == EXIT_DONE && i < request->count; i++)
		code = release_one(request, request->names[i], release_body(request, target_bytes));
	return code;
}

/* One action on each of the services that were named. */
static int do_action(struct request *request, const char *action)
{
	for (int i = 0; i < request->count; i++) {
		char target[TARGET_BYTES];
		json_t *answer;
		snprintf(target, sizeof target, "/v1/services/%s/%s", request->names[i], action);
		int code = ask(request, target, json_pack("{s:b}", "wait", request->wait), &answer);
		if (code != EXIT_DONE)
			return code;
		json_decref(answer);
	}
	return EXIT_DONE;
}

static int do_start(struct request *request)
{
	return do_action(request, "start");
}

static int do_stop(struct request *request)
{
	return do_action(request, "stop");
}

static int do_restart(struct request *request)
{
	return do_action(request, "restart");
}

static int do_value(struct request *request, const char *action, const char *key)
{
	char target[TARGET_BYTES];
	json_t *answer;
	snprintf(target, sizeof target, "/v1/services/%s/%s", request->names[0], action);
	int code = ask(request, target, json_pack("{s:s}", key, request->names[1]), &answer);
	if (code == EXIT_DONE)
		json_decref(answer);
	return code;
}

static int do_signal(struct request *request)
{
	return do_value(request, "signal", "signal");
}

static int do_limit(struct request *request)
{
	return do_value(request, "limit", "memory_max");
}

static int do_reload(struct request *request)
{
	json_t *answer;
	int code = ask(request, "/v1/reload", json_object(), &answer);
	if (code == EXIT_DONE)
		json_decref(answer);
	return code;
}

static bool print_json(const json_t *event)
{
	json_dumpf(event, stdout, JSON_COMPACT);
	putchar('\n');
	return fflush(stdout) != 0;
}

static bool print_event(const json_t *event)
{
	char when[32];
	time_t seconds = (time_t)json_integer_value(json_object_get(event, "time_s"));
	struct tm parts;
	localtime_r(&seconds, &parts);
	strftime(when, sizeof when, "%F %T", &parts);
	printf("%s %s %s\n", when, json_string_value(json_object_get(event, "level")),
		json_string_value(json_object_get(event, "text")));
	return fflush(stdout) != 0;
}

static int do_events(struct request *request)
{
	int error = client_follow(
		request->path, "/v1/events", request->json ? print_json : print_event);
	if (error == 0)
		return EXIT_DONE;
	return complain(EXIT_NOT_RUNNING, request->path, strerror(-error));
}

static int do_top(struct request *request)
{
	const char *why;
	return top_run(request->path, &why) == 0 ? EXIT_DONE : complain(EXIT_REFUSED, "top", why);
}

/* The supervisor's program, which lies beside us, knows the files. */
static int do_check(struct request *request)
{
	char program[4096];
	ssize_t length = readlink("/proc/self/exe", program, sizeof program - sizeof "spillway");
	char *slash = NULL;
	if (length > 0) {
		program[length] = '\0';
		slash = strrchr(program, '/');
	}
	if (slash == NULL)
		return complain(EXIT_REFUSED, "check", "spillway was not found beside spillctl");
	memcpy(slash + 1, "spillway", sizeof "spillway");
	execl(program, program, "check", request->names[0], (char *)NULL);
	return complain(EXIT_REFUSED, program, strerror(errno));
}

struct command {
	const char *name;
	int least; /* of what follows it */
	int most;
	bool is_local; /* nobody is asked */
	int (*act)(struct request *request);
};

#define ANY 4096

static const struct command commands[] = {
	{"status", 0, ANY, false, do_status},
	{"release", 1, ANY, false, do_release},
	{"start", 1, ANY, false, do_start},
	{"stop", 1, ANY, false, do_stop},
	{"restart", 1, ANY, false, do_restart},
	{"signal", 2, 2, false, do_signal},
	{"limit", 2, 2, false, do_limit},
	{"reload", 0, 0, false, do_reload},
	{"events", 0, 0, false, do_events},
	{"top", 0, 0, false, do_top},
	{"check", 1, 1, true, do_check},
};

static int obey(struct request *request)
{
	const char *name = request->command;
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
		const struct command *command = &commands[i];
		if (strcmp(command->name, name) != 0)
			continue;
		if (request->count < command->least || request->count > command->most)
			return complain(EXIT_USAGE, name,
				request->count < command->least ? "something is missing behind it"
								: "too much behind it");
		int code = command->is_local ? EXIT_DONE : find_socket(request);
		return code == EXIT_DONE ? command->act(request) : code;
	}
	return complain(EXIT_USAGE, name, "no such command; see spillctl --help");
}

enum long_option { OPTION_JSON = 256, OPTION_LEVEL, OPTION_TARGET, OPTION_WAIT, OPTION_NO_WAIT };

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"json", no_argument, NULL, OPTION_JSON},
	{"level", required_argument, NULL, OPTION_LEVEL},
	{"target", required_argument, NULL, OPTION_TARGET},
	{"wait", no_argument, NULL, OPTION_WAIT},
	{"no-wait", no_argument, NULL, OPTION_NO_WAIT},
	{NULL, 0, NULL, 0},
};

/* Options may stand anywhere.  -1: all read; else the exit code. */
static int read_options(int argc, char **argv, struct request *request)
{
	int option;
	while ((option = getopt_long(argc, argv, "s:hV", long_options, NULL)) != -1) {
		switch (option) {
		case 's':
			request->socket = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return EXIT_DONE;
		case 'V':
			puts("spillctl " SPILLWAY_VERSION);
			return EXIT_DONE;
		case OPTION_JSON:
			request->json = true;
			break;
		case OPTION_LEVEL:
			request->level = optarg;
			break;
		case OPTION_TARGET:
			request->target = optarg;
			break;
		case OPTION_WAIT:
			request->wait = true;
			break;
		case OPTION_NO_WAIT:
			request->wait = false;
			break;
		default:
			return EXIT_USAGE;
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	struct request request = {.wait = true};
	int code = read_options(argc, argv, &request);
	if (code >= 0)
		return code;
	if (optind == argc) {
		fputs(help, stderr);
		return EXIT_USAGE;
	}
	request.names = argv + optind + 1;
	request.count = argc - optind - 1;
	request.command = argv[optind];
	return obey(&request);
}
