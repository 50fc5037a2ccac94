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
#include "supervisor/client/logs.h"
#include "supervisor/client/logs_command.h"
#include "supervisor/client/names.h"
#include "supervisor/client/ps.h"
#include "supervisor/client/request.h"
#include "supervisor/client/status.h"
#include "supervisor/client/top.h"
#include "supervisor/client/why.h"

/* As tail(1) has it. */
#define LINES_USUAL 10

static const char help[] =
	"usage: spillctl [--socket=PATH] COMMAND\n"
	"\n"
	"  status [--json | -v] [SERVICE...]  what runs, and where its memory is; -v: and\n"
	"                                     its allocator and language runtime\n"
	"  release SERVICE... [--level=lazy|eager|full] [--target=SIZE] [--no-wait]\n"
	"                                     gives idle memory back, and says how much\n"
	"  start, stop, restart SERVICE... [--no-wait]\n"
	"  signal SERVICE SIGNAL              sends a signal to its main process\n"
	"  limit SERVICE SIZE|SHARE|off       its memory_max, until the next reload\n"
	"  logs [-f] [-n LINES|all] SERVICE [stdout|stderr]\n"
	"                                     the end of its log files; -f: as it grows\n"
	"  reload                             reads the configuration file again\n"
	"  events [--json]                    tells what happens, until it is interrupted\n"
	"  top                                shows all of it live; q leaves\n"
	"  ps [--json|--metrics]              every preloaded process of the machine\n"
	"  why [--json] POD|CGROUP|PID|SERVICE\n"
	"                                     why it was killed for memory, or nearly was\n"
	"  check FILE                         says whether a configuration file is right\n"
	"\n"
	"  SERVICE is a name, GROUP:*, GROUP:NAME, or all.\n"
	"\n"
	"  -s, --socket=PATH   the supervisor's control socket, or SPILLWAY_SOCKET; else\n"
	"                      that of the one supervisor that runs as this user\n"
	"  -h, --help; -V, --version\n"
	"\n"
	"Exit status: 0 done, 1 refused, 2 usage, 4 not allowed, 5 no such service,\n"
	"7 no supervisor runs.  status: 0 all run, 3 not all, 4 unknown.\n"
	"why: 0 explained, 1 nothing is known.\n";

/* Commands --------------------------------------------------------------------------- */

static int print_status(const struct request *request, json_t *status)
{
	const char *unknown = NULL;
	static char all[] = "all";
	char *everything[] = {all, NULL};
	char **names = names_expand(
		status, request->count > 0 ? request->names : everything, false, &unknown);
	if (names == NULL) {
		if (unknown != NULL)
			request_complain(0, unknown, "no such service");
		return EXIT_STATUS_UNKNOWN;
	}
	status_select(status, names);
	free(names);
	if (request->json) {
		json_dumpf(status, stdout, JSON_INDENT(2));
		putchar('\n');
	} else {
		status_print(status, request->verbose);
	}
	return status_all_run(status) ? EXIT_DONE : EXIT_STATUS_DOWN;
}

static int do_status(struct request *request)
{
	json_t *status;
	if (request_ask(request, "/v1/status", NULL, &status) != EXIT_DONE)
		return EXIT_STATUS_UNKNOWN;
	int code = print_status(request, status);
	json_decref(status);
	return code;
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
	char target[REQUEST_TARGET_BYTES] = "/v1/release";
	json_t *answer;
	if (service != NULL)
		snprintf(target, sizeof target, "/v1/services/%s/release", service);
	int code = request_ask(request, target, body, &answer);
	if (code != EXIT_DONE)
		return code;
	if (request->json)
		json_dumpf(answer, stdout, JSON_INDENT(2));
	else
		print_returned(answer);
	json_decref(answer);
	return EXIT_DONE;
}

static json_t *release_body(const struct request *request)
{
	return json_pack("{s:s, s:I, s:b}", "level",
		request->level != NULL ? request->level : "full", "target_bytes",
		(json_int_t)request->target_bytes, "wait", request->wait);
}

static int release_named(struct request *request, const char *service)
{
	return release_one(request, service, release_body(request));
}

static int do_release(struct request *request)
{
	if (request->target != NULL &&
		units_parse_size(request->target, &request->target_bytes) != 0)
		return request_complain(EXIT_USAGE, request->target, "expected a size such as 64M");
	/* All at once, so that all give at the same time. */
	if (request->count == 1 && strcmp(request->names[0], "all") == 0)
		return release_one(request, NULL, release_body(request));
	return request_for_each(request, request->count, false, release_named);
}

static int post(struct request *request, const char *service, json_t *body)
{
	char target[REQUEST_TARGET_BYTES];
	json_t *answer;
	snprintf(target, sizeof target, "/v1/services/%s/%s", service, request->command);
	int code = request_ask(request, target, body, &answer);
	if (code == EXIT_DONE)
		json_decref(answer);
	return code;
}

static int act_on(struct request *request, const char *service)
{
	return post(request, service, json_pack("{s:b}", "wait", request->wait));
}

/* start, stop, restart */
static int do_action(struct request *request)
{
	bool backwards = strcmp(request->command, "stop") == 0;
	return request_for_each(request, request->count, backwards, act_on);
}

static int signal_to(struct request *request, const char *service)
{
	return post(request, service, json_pack("{s:s}", "signal", request->names[1]));
}

static int do_signal(struct request *request)
{
	return request_for_each(request, 1, false, signal_to);
}

static int limit_of(struct request *request, const char *service)
{
	return post(request, service, json_pack("{s:s}", "memory_max", request->names[1]));
}

static int do_limit(struct request *request)
{
	return request_for_each(request, 1, false, limit_of);
}

static int do_reload(struct request *request)
{
	json_t *answer;
	int code = request_ask(request, "/v1/reload", json_object(), &answer);
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
	return request_complain(EXIT_NOT_RUNNING, request->path, strerror(-error));
}

static int do_top(struct request *request)
{
	const char *why;
	return top_run(request->path, &why) == 0 ? EXIT_DONE
						 : request_complain(EXIT_REFUSED, "top", why);
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
		return request_complain(
			EXIT_REFUSED, "check", "spillway was not found beside spillctl");
	memcpy(slash + 1, "spillway", sizeof "spillway");
	execl(program, program, "check", request->names[0], (char *)NULL);
	return request_complain(EXIT_REFUSED, program, strerror(errno));
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
	{"start", 1, ANY, false, do_action},
	{"stop", 1, ANY, false, do_action},
	{"restart", 1, ANY, false, do_action},
	{"signal", 2, 2, false, do_signal},
	{"limit", 2, 2, false, do_limit},
	{"logs", 1, 2, false, logs_command},
	{"reload", 0, 0, false, do_reload},
	{"events", 0, 0, false, do_events},
	{"top", 0, 0, false, do_top},
	{"ps", 0, 0, true, ps_command},
	{"why", 1, 1, true, why_command},
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
			return request_complain(EXIT_USAGE, name,
				request->count < command->least ? "something is missing behind it"
								: "too much behind it");
		int code = command->is_local ? EXIT_DONE : request_find_socket(request);
		return code == EXIT_DONE ? command->act(request) : code;
	}
	return request_complain(EXIT_USAGE, name, "no such command; see spillctl --help");
}

enum long_option {
	OPTION_JSON = 256,
	OPTION_METRICS,
	OPTION_LEVEL,
	OPTION_TARGET,
	OPTION_WAIT,
	OPTION_NO_WAIT
};

static const struct option long_options[] = {
	{"socket", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{"json", no_argument, NULL, OPTION_JSON},
	{"verbose", no_argument, NULL, 'v'},
	{"metrics", no_argument, NULL, OPTION_METRICS},
	{"level", required_argument, NULL, OPTION_LEVEL},
	{"target", required_argument, NULL, OPTION_TARGET},
	{"wait", no_argument, NULL, OPTION_WAIT},
	{"no-wait", no_argument, NULL, OPTION_NO_WAIT},
	{"follow", no_argument, NULL, 'f'},
	{"lines", required_argument, NULL, 'n'},
	{NULL, 0, NULL, 0},
};

static bool read_lines(const char *text, uint64_t *lines)
{
	char *end;
	*lines = LOGS_ALL;
	if (strcmp(text, "all") == 0)
		return true;
	errno = 0;
	*lines = strtoull(text, &end, 10);
	return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0';
}

/* Options may stand anywhere.  -1: all read; else the exit code. */
static int read_options(int argc, char **argv, struct request *request)
{
	int option;
	while ((option = getopt_long(argc, argv, "s:hVvfn:", long_options, NULL)) != -1) {
		switch (option) {
		case 's':
			request->socket = optarg;
			break;
		case 'f':
			request->follow = true;
			break;
		case 'n':
			if (!read_lines(optarg, &request->lines))
				return request_complain(
					EXIT_USAGE, optarg, "expected a number of lines, or all");
			break;
		case 'h':
			fputs(help, stdout);
			return EXIT_DONE;
		case 'V':
			puts("spillctl " SPILLWAY_VERSION);
			return EXIT_DONE;
		case 'v':
			request->verbose = true;
			break;
		case OPTION_JSON:
			request->json = true;
			break;
		case OPTION_METRICS:
			request->metrics = true;
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
	struct request request = {.wait = true, .lines = LINES_USUAL};
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
	code = obey(&request);
	json_decref(request.status);
	return code;
}
