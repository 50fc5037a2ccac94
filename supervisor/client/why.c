/* spillctl why: what a cgroup's memory was when the kernel killed in it. */
#include "supervisor/client/why.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "supervisor/base/size.h"
#include "supervisor/client/preloaded.h"
#include "supervisor/client/why_cgroup.h"
#include "supervisor/client/why_gather.h"
#include "supervisor/client/why_rules.h"

#define WHEN_BYTES 32

/* Of which cgroup ---------------------------------------------------------------- */

struct wanted_pid {
	uint64_t pid;
	char *path;
};

static void match_dead(const struct preloaded_dead *dead, void *with)
{
	const struct wanted_pid *wanted = with;
	if (dead->figures.pid == wanted->pid)
		snprintf(wanted->path, WHY_PATH_BYTES, "%.*s", WHY_PATH_BYTES - 1,
			dead->figures.cgroup);
}

static bool find_pid(const char *text, char path[WHY_PATH_BYTES])
{
	size_t digits = strspn(text, "0123456789");
	if (text[digits] != '\0' || digits > 9)
		return false;
	struct wanted_pid wanted = {strtoull(text, NULL, 10), path};
	preloaded_cgroup((int)wanted.pid, path);
	if (path[0] == '\0')
		preloaded_each_dead(match_dead, &wanted);
	return path[0] != '\0';
}

/* Nothing is said where no supervisor answers: the text may mean something else. */
static bool find_service(const struct request *request, const char *text, char path[WHY_PATH_BYTES])
{
	char error[CLIENT_ERROR_BYTES];
	char found[CLIENT_PATH_BYTES];
	const char *socket = request->socket != NULL ? request->socket : getenv("SPILLWAY_SOCKET");
	json_t *status = NULL;
	const json_t *service;
	size_t index;
	if (socket == NULL && client_find(found, error) == 0)
		socket = found;
	if (socket == NULL || client_ask(socket, "/v1/status", NULL, &status) != 200)
		return false;
	path[0] = '\0';
	json_array_foreach(json_object_get(status, "services"), index, service)
	{
		const char *name = json_string_value(json_object_get(service, "name"));
		json_int_t pid = json_integer_value(json_object_get(service, "pid"));
		if (name != NULL && strcmp(name, text) == 0 && pid > 0)
			preloaded_cgroup((int)pid, path);
	}
	json_decref(status);
	return path[0] != '\0';
}

/* path "": no such cgroup is there any more. */
static int find(const struct request *request, const char *text, char path[WHY_PATH_BYTES])
{
	path[0] = '\0';
	if (find_pid(text, path) || find_service(request, text, path))
		return 0;
	int error = why_cgroup_find(text, path);
	if (error != 0)
		path[0] = '\0';
	return error;
}

/* What is said ------------------------------------------------------------------- */

static const char *when_text(uint64_t at_ms, char text[WHEN_BYTES])
{
	time_t seconds = (time_t)(at_ms / 1000);
	struct tm parts;
	localtime_r(&seconds, &parts);
	strftime(text, WHEN_BYTES, "%F %T", &parts);
	return text;
}

/* A name from the kernel's log or a page, as a terminal may have it. */
static void print_name(const char *name)
{
	for (; *name != '\0'; name++)
		putchar((unsigned char)*name < ' ' || *name == 127 ? '?' : *name);
}

static void print_what(const struct why_facts *facts)
{
	char when[WHEN_BYTES];
	fputs(facts->end == WHY_KILLED ? "killed: " : "near its limit: ", stdout);
	if (facts->victim[0] != '\0') {
		print_name(facts->victim);
		printf(" (pid %" PRIu64 ") ", facts->victim_pid);
	}
	printf("%s %s, in ", facts->end == WHY_KILLED && facts->victim[0] == '\0' ? "before" : "at",
		when_text(facts->at_ms, when));
	print_name(facts->cgroup[0] != '\0' ? facts->cgroup : "a cgroup that is gone");
	printf(": %s of %s used", size_text(facts->usage_bytes).text,
		size_text(facts->limit_bytes).text);
	if (facts->kills > 1)
		printf(", %" PRIu64 " kills so far", facts->kills);
	putchar('\n');
}

static void print_where(const struct why_facts *facts)
{
	uint64_t cache = facts->file_bytes > facts->shared_bytes
				 ? facts->file_bytes - facts->shared_bytes
				 : 0;
	if (facts->heaps == 0)
		fputs("no heap of libspillway is known", stdout);
	else
		printf("live %s, idle %s, lazy %s in %zu heap%s (%.1f s before)",
			size_text(facts->live_bytes).text, size_text(facts->idle_bytes).text,
			size_text(facts->lazy_bytes).text, facts->heaps,
			facts->heaps == 1 ? "" : "s", (double)facts->heap_age_ms / 1000);
	printf("; file cache %s, shared memory %s, kernel %s", size_text(cache).text,
		size_text(facts->shared_bytes).text, size_text(facts->slab_bytes).text);
	printf(", foreign %s, other processes %s\n", size_text(facts->foreign_bytes).text,
		size_text(facts->stranger_bytes).text);
}

static json_t *number(uint64_t value)
{
	return json_integer(value < INT64_MAX ? (json_int_t)value : INT64_MAX);
}

/* NULL's place is taken where a name is not UTF-8. */
static json_t *string(const char *text)
{
	json_t *made = json_string(text);
	return made != NULL ? made : json_string("?");
}

static json_t *advice_json(const struct why_advice *advice, size_t count)
{
	json_t *list = json_array();
	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_pack("{s:s, s:o}", "rule", advice[i].rule, "text",
						    string(advice[i].text)));
	return list;
}

static void print_json(
	const struct why_facts *facts, const struct why_advice *advice, size_t count, int log_error)
{
	static const char *const ends[] = {"nothing", "near", "killed"};
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {
		{"at_ms", facts->at_ms},
		{"kills", facts->kills},
		{"pid", facts->victim_pid},
		{"used_bytes", facts->usage_bytes},
		{"heaps", facts->heaps},
		{"live_bytes", facts->live_bytes},
		{"idle_bytes", facts->idle_bytes},
		{"lazy_bytes", facts->lazy_bytes},
		{"heap_age_ms", facts->heap_age_ms},
		{"file_bytes", facts->file_bytes},
		{"shared_bytes", facts->shared_bytes},
		{"kernel_bytes", facts->slab_bytes},
		{"foreign_bytes", facts->foreign_bytes},
		{"other_processes_bytes", facts->stranger_bytes},
		{"needed_bytes", why_needed_bytes(facts)},
	};
	json_t *object = json_pack("{s:s, s:o, s:o, s:b, s:o}", "end", ends[facts->end], "cgroup",
		string(facts->cgroup), "command", string(facts->victim), "kernel_log",
		log_error == 0 || log_error == -ENOENT, "advice", advice_json(advice, count));
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		json_object_set_new(object, numbers[i].key, number(numbers[i].value));
	if (facts->limit_bytes != WHY_NO_LIMIT)
		json_object_set_new(object, "limit_bytes", number(facts->limit_bytes));
	json_dumpf(object, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(object);
}

int why_command(struct request *request)
{
	const char *text = request->names[0];
	char path[WHY_PATH_BYTES];
	struct why_facts facts;
	struct why_advice advice[WHY_RULES_MAX];
	int log_error;
	if (text[0] == '\0')
		return request_complain(
			EXIT_USAGE, "why", "expected a pod, cgroup, pid or service");
	if (find(request, text, path) == -E2BIG)
		return request_complain(EXIT_USAGE, text,
			"several cgroups have that in their name; give more of it, or a path");
	why_gather(path, text, &facts, &log_error);
	size_t count = facts.end != WHY_NOTHING ? why_rules(&facts, advice) : 0;
	if (request->json) {
		print_json(&facts, advice, count, log_error);
	} else if (facts.end != WHY_NOTHING) {
		print_what(&facts);
		print_where(&facts);
		printf("would have helped: %s\n", advice[0].text);
	}
	if (facts.end != WHY_NOTHING)
		return EXIT_DONE;
	return request_complain(EXIT_REFUSED, text,
		log_error == -EPERM || log_error == -EACCES
			? "nothing is known; the kernel's log may not be read here"
			: "nothing is known of a kill, or of one that was near");
}
