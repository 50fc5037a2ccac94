/* The table of spillctl ps. */
#include "supervisor/client/ps.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "supervisor/base/size.h"
#include "supervisor/client/preloaded.h"

#define CELL_BYTES 24

static const char *const level_names[] = {"calm", "lazy", "eager", "full"};

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* From the file alone: a program without shared libraries has no other source. */
static const char *user_name(uint32_t uid, char cell[CELL_BYTES])
{
	FILE *users = fopen("/etc/passwd", "re");
	const struct passwd *user = NULL;
	snprintf(cell, CELL_BYTES, "%" PRIu32, uid);
	while (users != NULL && (user = fgetpwent(users)) != NULL && user->pw_uid != uid)
		;
	if (user != NULL)
		snprintf(cell, CELL_BYTES, "%s", user->pw_name);
	if (users != NULL)
		fclose(users);
	return cell;
}

/* JSON's numbers are signed. */
static void put_number(json_t *object, const char *key, uint64_t value)
{
	json_object_set_new(
		object, key, json_integer(value < INT64_MAX ? (json_int_t)value : INT64_MAX));
}

static void put_text(json_t *object, const char *key, const char *text)
{
	json_t *string = json_string(text);
	json_object_set_new(object, key, string != NULL ? string : json_string("?"));
}

static void put_figures(json_t *object, const struct share_figures *figures)
{
	uint64_t now = now_ms();
	put_text(object, "level", level_names[figures->level]);
	put_number(object, "live_bytes", share_live_bytes(figures));
	put_number(object, "idle_bytes", share_idle_bytes(figures));
	put_number(object, "lazy_bytes", figures->lazy_bytes);
	put_number(object, "released_bytes", share_released_bytes(figures));
	put_number(object, "refault_bytes", figures->refault_bytes);
	put_number(object, "price_ns", figures->price_ns);
	put_number(object, "age_ms", now > figures->updated_ms ? now - figures->updated_ms : 0);
	if (figures->walls_ms == 0)
		return;
	put_number(object, "used_bytes", figures->usage_bytes);
	if (figures->limit_bytes != UINT64_MAX)
		put_number(object, "limit_bytes", figures->limit_bytes);
}

static void add(const struct preloaded *process, void *with)
{
	char user[CELL_BYTES];
	json_t *object = json_object();
	put_number(object, "pid", (uint64_t)process->pid);
	put_text(object, "user", user_name(process->uid, user));
	put_text(object, "command", process->command);
	put_text(object, "cgroup", process->cgroup);
	if (process->has_figures)
		put_figures(object, &process->figures);
	json_array_append_new(with, object);
}

/* "-" where it is not known. */
static void bytes_cell(char cell[CELL_BYTES], const json_t *process, const char *key)
{
	const json_t *number = json_object_get(process, key);
	if (number == NULL)
		snprintf(cell, CELL_BYTES, "-");
	else
		snprintf(cell, CELL_BYTES, "%s",
			size_text((uint64_t)json_integer_value(number)).text);
}

static void age_cell(char cell[CELL_BYTES], const json_t *process)
{
	const json_t *age = json_object_get(process, "age_ms");
	json_int_t ms = json_integer_value(age);
	if (age == NULL)
		snprintf(cell, CELL_BYTES, "-");
	else if (ms < 10000)
		snprintf(cell, CELL_BYTES, "%.1fs", (double)ms / 1000);
	else if (ms < 600000)
		snprintf(cell, CELL_BYTES, "%llds", (long long)ms / 1000);
	else
		snprintf(cell, CELL_BYTES, "%lldm", (long long)ms / 60000);
}

static const char *text_of(const json_t *process, const char *key)
{
	const char *text = json_string_value(json_object_get(process, key));
	return text != NULL ? text : "-";
}

static void print_line(const json_t *process)
{
	char cells[7][CELL_BYTES];
	static const char *const keys[] = {"live_bytes", "idle_bytes", "lazy_bytes",
		"released_bytes", "used_bytes", "limit_bytes"};
	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
		bytes_cell(cells[i], process, keys[i]);
	age_cell(cells[6], process);
	printf("%7lld  %-8s  %-15s  %-5s  %7s  %7s  %7s  %8s  %7s  %7s  %5s  %s\n",
		(long long)json_integer_value(json_object_get(process, "pid")),
		text_of(process, "user"), text_of(process, "command"), text_of(process, "level"),
		cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6],
		text_of(process, "cgroup"));
}

static void print_table(const json_t *processes)
{
	const json_t *process;
	size_t index;
	printf("%7s  %-8s  %-15s  %-5s  %7s  %7s  %7s  %8s  %7s  %7s  %5s  %s\n", "PID", "USER",
		"COMMAND", "LEVEL", "LIVE", "IDLE", "LAZY", "RETURNED", "USED", "LIMIT", "AGE",
		"CGROUP");
	json_array_foreach(processes, index, process) print_line(process);
}

/* Metrics ----------------------------------------------------------------------- */

static const struct metric {
	const char *name;
	const char *kind;
	const char *help;
	const char *key;
} metrics[] = {
	{"spillway_process_live_bytes", "gauge", "Memory that the program holds.", "live_bytes"},
	{"spillway_process_idle_bytes", "gauge", "Resident in the heap and not in use.",
		"idle_bytes"},
	{"spillway_process_lazy_bytes", "gauge", "Given to the kernel, which may take it.",
		"lazy_bytes"},
	{"spillway_process_released_bytes_total", "counter", "Given back so far.",
		"released_bytes"},
	{"spillway_process_refault_bytes_total", "counter",
		"Given back and handed out again so far.", "refault_bytes"},
	{"spillway_process_used_bytes", "gauge", "Usage at the tightest limit, as last seen.",
		"used_bytes"},
	{"spillway_process_limit_bytes", "gauge", "The tightest limit above it, as last seen.",
		"limit_bytes"},
};

static void print_label(const char *name, const char *value, const char *before)
{
	printf("%s%s=\"", before, name);
	for (; *value != '\0'; value++) {
		if (*value == '\n') {
			fputs("\\n", stdout);
			continue;
		}
		if (*value == '"' || *value == '\\')
			putchar('\\');
		putchar(*value);
	}
	putchar('"');
}

static void print_labels(const json_t *process)
{
	char pid[CELL_BYTES];
	snprintf(pid, sizeof pid, "%lld",
		(long long)json_integer_value(json_object_get(process, "pid")));
	print_label("pid", pid, "{");
	print_label("command", text_of(process, "command"), ",");
	print_label("cgroup", text_of(process, "cgroup"), ",");
	putchar('}');
}

static void print_head(const char *name, const char *kind, const char *help)
{
	printf("# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

/* A time is in seconds there. */
static void print_ages(const json_t *processes)
{
	static const char name[] = "spillway_process_figures_age_seconds";
	const json_t *process;
	size_t index;
	print_head(name, "gauge", "How old the process's figures are.");
	json_array_foreach(processes, index, process)
	{
		const json_t *age = json_object_get(process, "age_ms");
		if (age == NULL)
			continue;
		fputs(name, stdout);
		print_labels(process);
		printf(" %.3f\n", (double)json_integer_value(age) / 1000);
	}
}

static void print_metrics(const json_t *processes)
{
	const json_t *process;
	size_t index;
	print_head("spillway_process_up", "gauge", "1 for each process that runs on libspillway.");
	json_array_foreach(processes, index, process)
	{
		fputs("spillway_process_up", stdout);
		print_labels(process);
		puts(" 1");
	}
	for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
		print_head(metrics[i].name, metrics[i].kind, metrics[i].help);
		json_array_foreach(processes, index, process)
		{
			const json_t *value = json_object_get(process, metrics[i].key);
			if (value == NULL)
				continue;
			fputs(metrics[i].name, stdout);
			print_labels(process);
			printf(" %lld\n", (long long)json_integer_value(value));
		}
	}
	print_ages(processes);
}

static void print_json(const json_t *processes)
{
	json_dumpf(processes, stdout, JSON_INDENT(2));
	putchar('\n');
}

int ps_command(struct request *request)
{
	json_t *processes = json_array();
	int error = preloaded_each(add, processes);
	if (error == 0 && request->metrics)
		print_metrics(processes);
	else if (error == 0 && request->json)
		print_json(processes);
	else if (error == 0)
		print_table(processes);
	json_decref(processes);
	return error == 0 ? EXIT_DONE : request_complain(EXIT_REFUSED, "/proc", strerror(-error));
}
