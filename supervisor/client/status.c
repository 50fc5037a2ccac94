/* The table of spillctl status. */
#include "supervisor/client/status.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/base/size.h"

#define CELL_BYTES 24

static const char *text_of(const json_t *service, const char *key)
{
	const char *text = json_string_value(json_object_get(service, key));
	return text != NULL ? text : "?";
}

static uint64_t number_of(const json_t *service, const char *key)
{
	json_int_t number = json_integer_value(json_object_get(service, key));
	return number > 0 ? (uint64_t)number : 0;
}

/* "-" where the supervisor does not say. */
static void bytes_cell(char cell[CELL_BYTES], const json_t *service, const char *key)
{
	if (json_object_get(service, key) == NULL)
		snprintf(cell, CELL_BYTES, "-");
	else
		snprintf(cell, CELL_BYTES, "%s", size_text(number_of(service, key)).text);
}

/* "12s", "3m05s", "2h03m", "4d07h". */
static void uptime_cell(char cell[CELL_BYTES], const json_t *service)
{
	unsigned long long seconds = number_of(service, "uptime_ms") / 1000;
	if (json_object_get(service, "uptime_ms") == NULL)
		snprintf(cell, CELL_BYTES, "-");
	else if (seconds < 60)
		snprintf(cell, CELL_BYTES, "%llus", seconds);
	else if (seconds < 3600)
		snprintf(cell, CELL_BYTES, "%llum%02llus", seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(cell, CELL_BYTES, "%lluh%02llum", seconds / 3600, seconds / 60 % 60);
	else
		snprintf(cell, CELL_BYTES, "%llud%02lluh", seconds / 86400, seconds / 3600 % 24);
}

static void number_cell(char cell[CELL_BYTES], const json_t *service, const char *key)
{
	if (json_object_get(service, key) == NULL)
		snprintf(cell, CELL_BYTES, "-");
	else
		snprintf(cell, CELL_BYTES, "%" PRIu64, number_of(service, key));
}

static void print_line(const json_t *service, int width)
{
	char pid[CELL_BYTES];
	char up[CELL_BYTES];
	char used[CELL_BYTES];
	char limit[CELL_BYTES];
	char live[CELL_BYTES];
	char idle[CELL_BYTES];
	char lazy[CELL_BYTES];
	char released[CELL_BYTES];
	number_cell(pid, service, "pid");
	uptime_cell(up, service);
	bytes_cell(used, service, "used_bytes");
	bytes_cell(limit, service, "limit_bytes");
	bytes_cell(live, service, "live_bytes");
	bytes_cell(idle, service, "idle_bytes");
	bytes_cell(lazy, service, "lazy_bytes");
	bytes_cell(released, service, "released_bytes");
	printf("%-*s  %-8s  %7s  %6s  %-5s  %7s  %7s  %7s  %7s  %7s  %8s  %8" PRIu64 "  %9" PRIu64
	       "\n",
		width, text_of(service, "name"), text_of(service, "state"), pid, up,
		text_of(service, "level"), used, limit, live, idle, lazy, released,
		number_of(service, "restarts"), number_of(service, "oom_kills"));
}

static void print_runtime(const json_t *service)
{
	const char *name = json_string_value(json_object_get(service, "runtime"));
	const json_t *given = json_object_get(service, "runtime_given");
	const json_t *text;
	size_t index;
	if (name == NULL && given == NULL)
		return;
	printf("  runtime %s", name != NULL ? name : "unknown");
	json_array_foreach(given, index, text)
	{
		printf("%s%s", index == 0 ? ", given " : " ", json_string_value(text));
	}
	putchar('\n');
}

/* What it allocates with, where the library or the agent says so. */
static void print_allocator(const json_t *service)
{
	const char *name = json_string_value(json_object_get(service, "allocator"));
	if (name != NULL)
		printf("  allocator %s\n", name);
}

static bool is_wanted(const json_t *service, char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, text_of(service, "name")) == 0)
			return true;
	return false;
}

static void print_head(const json_t *status, int width)
{
	const json_t *supervisor = json_object_get(status, "supervisor");
	char used[CELL_BYTES];
	char limit[CELL_BYTES];
	bytes_cell(used, supervisor, "used_bytes");
	bytes_cell(limit, supervisor, "limit_bytes");
	printf("spillway %s, pid %" PRIu64 ", mode %s, %s of %s used, %s\n",
		text_of(supervisor, "version"), number_of(supervisor, "pid"),
		text_of(supervisor, "mode"), used, limit, text_of(supervisor, "file"));
	printf("%-*s  %-8s  %7s  %6s  %-5s  %7s  %7s  %7s  %7s  %7s  %8s  %8s  %9s\n", width,
		"SERVICE", "STATE", "PID", "UP", "LEVEL", "USED", "LIMIT", "LIVE", "IDLE", "LAZY",
		"RETURNED", "RESTARTS", "OOM-KILLS");
}

void status_select(json_t *status, char *const *names)
{
	json_t *services = json_object_get(status, "services");
	for (size_t i = json_array_size(services); i > 0; i--)
		if (!is_wanted(json_array_get(services, i - 1), names))
			json_array_remove(services, i - 1);
}

bool status_all_run(const json_t *status)
{
	const json_t *service;
	size_t index;
	json_array_foreach(json_object_get(status, "services"), index, service)
	{
		bool is_done = json_is_true(json_object_get(service, "ready"));
		if (!is_done && strcmp(text_of(service, "state"), "RUNNING") != 0)
			return false;
	}
	return true;
}

void status_print(const json_t *status, bool verbose)
{
	const json_t *services = json_object_get(status, "services");
	const json_t *service;
	size_t index;
	int width = (int)strlen("SERVICE");
	json_array_foreach(services, index, service)
	{
		int length = (int)strlen(text_of(service, "name"));
		if (length > width)
			width = length;
	}
	print_head(status, width);
	json_array_foreach(services, index, service)
	{
		print_line(service, width);
		if (!verbose)
			continue;
		print_allocator(service);
		print_runtime(service);
	}
}
