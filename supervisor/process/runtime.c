/* Recognises language runtimes, and gives them limits in their environment. */
#include "supervisor/process/runtime.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARKS_MAX 3
#define DECIDED_MAX 5
#define LISTS_MAX 2
#define RUNTIME_VALUE_BYTES 64
#define ARENAS_LEAST 2U
/* Of options in a variable; the colon is that of GLIBC_TUNABLES. */
#define SEPARATORS " \t\n:"

/* How a runtime is known. */
struct known {
	const char *names[MARKS_MAX];   /* of its program's file; a version may follow */
	const char *strings[MARKS_MAX]; /* that a dynamic string begins with */
};

static const struct known known[CONFIG_RUNTIMES] = {
	[CONFIG_RUNTIME_NODE] = {{"node", "nodejs"}, {"node_module_register", "libnode.so."}},
	[CONFIG_RUNTIME_JAVA] = {{"java"}, {"libjli.so", "libjvm.so"}},
	/* The second two are exported by programs that have .NET linked in. */
	[CONFIG_RUNTIME_DOTNET] = {{"dotnet"}, {"DotNetRuntimeInfo", "DotNetRuntimeDebugHeader"}},
	[CONFIG_RUNTIME_PYTHON] = {{"python"}, {"Py_BytesMain", "libpython3"}},
	[CONFIG_RUNTIME_PHP] = {{NULL}, {"zend_register_functions"}},
	[CONFIG_RUNTIME_RUBY] = {{"ruby"}, {"ruby_run_node", "libruby"}},
};

static bool is_name(const char *name, const char *wanted)
{
	size_t length = strlen(wanted);
	return strncmp(name, wanted, length) == 0 &&
	       name[length + strspn(name + length, "0123456789.")] == '\0';
}

enum config_runtime runtime_of_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	for (size_t i = 0; i < CONFIG_RUNTIMES; i++)
		for (size_t j = 0; j < MARKS_MAX && known[i].names[j] != NULL; j++)
			if (is_name(name, known[i].names[j]))
				return (enum config_runtime)i;
	return CONFIG_RUNTIME_AUTO;
}

static bool has_string(const char *strings, size_t bytes, const char *wanted)
{
	const char *found = memmem(strings, bytes, wanted, strlen(wanted));
	/* Names start after the NUL of the one before. */
	return found != NULL && (found == strings || found[-1] == '\0');
}

enum config_runtime runtime_of_strings(const char *strings, size_t bytes)
{
	for (size_t i = 0; i < CONFIG_RUNTIMES; i++)
		for (size_t j = 0; j < MARKS_MAX && known[i].strings[j] != NULL; j++)
			if (has_string(strings, bytes, known[i].strings[j]))
				return (enum config_runtime)i;
	return CONFIG_RUNTIME_AUTO;
}

enum config_runtime runtime_of_note(const char *owner, size_t bytes)
{
	return bytes >= 3 && memcmp(owner, "Go", 3) == 0 ? CONFIG_RUNTIME_GO : CONFIG_RUNTIME_AUTO;
}

enum value { VALUE_NONE, VALUE_MIB, VALUE_BYTES, VALUE_BYTES_HEX, VALUE_ARENAS };

enum condition { IF_LIMITED, IF_HEAP_AND_LIMITED, IF_NO_HEAP };

struct row {
	enum condition condition;
	const char *variable;
	bool is_list; /* of options, which ours are appended to */
	const char *before;
	enum value value;
	const char *after;
	uint32_t permille; /* of the limit */
	/* By these the user has decided: a set variable, or an option that begins so. */
	const char *decided[DECIDED_MAX];
	const char *lists[LISTS_MAX]; /* further variables that hold options */
};

static const struct row rows[CONFIG_RUNTIMES] = {
	[CONFIG_RUNTIME_NODE] = {.condition = IF_LIMITED,
		.variable = "NODE_OPTIONS",
		.is_list = true,
		.before = "--max-old-space-size=",
		.value = VALUE_MIB,
		.after = "",
		.permille = 750,
		.decided = {"--max-old-space-size", "--max_old_space_size", "--max-heap-size",
			"--max_heap_size"}},
	/* The share is of MaxRAM, and gives way to -Xmx on the command line. */
	[CONFIG_RUNTIME_JAVA] = {.condition = IF_LIMITED,
		.variable = "JAVA_TOOL_OPTIONS",
		.is_list = true,
		.before = "-XX:MaxRAM=",
		.value = VALUE_BYTES,
		.after = " -XX:MaxRAMPercentage=70",
		.permille = 1000,
		.decided = {"-Xmx", "-XX:MaxRAM", "-XX:MaxHeapSize",
			"-XX:Flags=", "-XX:VMOptionsFile="},
		.lists = {"JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"}},
	[CONFIG_RUNTIME_GO] = {.condition = IF_LIMITED,
		.variable = "GOMEMLIMIT",
		.before = "",
		.value = VALUE_MIB,
		.after = "MiB",
		.permille = 900},
	[CONFIG_RUNTIME_DOTNET] = {.condition = IF_LIMITED,
		.variable = "DOTNET_GCHeapHardLimit",
		.before = "0x",
		.value = VALUE_BYTES_HEX,
		.after = "",
		.permille = 750,
		.decided = {"DOTNET_GCHeapHardLimitPercent", "COMPlus_GCHeapHardLimit",
			"COMPlus_GCHeapHardLimitPercent"}},
	[CONFIG_RUNTIME_PYTHON] = {.condition = IF_HEAP_AND_LIMITED,
		.variable = "PYTHONMALLOC",
		.before = "malloc",
		.after = "",
		.decided = {"PYTHONDEVMODE"}},
};

static const struct row glibc_row = {.condition = IF_NO_HEAP,
	.variable = "MALLOC_ARENA_MAX",
	.before = "",
	.value = VALUE_ARENAS,
	.after = "",
	.decided = {"glibc.malloc.arena_max"},
	.lists = {"GLIBC_TUNABLES"}};

/* Whether an option of the list begins so. */
static bool list_has(const char *list, const char *option)
{
	size_t length = strlen(option);
	for (const char *at = list; at != NULL; at = strpbrk(at, SEPARATORS)) {
		at += strspn(at, SEPARATORS "\"'");
		if (strncmp(at, option, length) == 0)
			return true;
	}
	return false;
}

static bool argv_has(char *const *argv, const char *option)
{
	for (; *argv != NULL; argv++)
		if (strncmp(*argv, option, strlen(option)) == 0)
			return true;
	return false;
}

static bool is_decided(const struct row *row, const struct runtime_start *start,
	const struct environment *environment)
{
	const char *set = environment_get(environment, row->variable);
	if (set != NULL && !row->is_list)
		return true;
	for (size_t i = 0; i < DECIDED_MAX && row->decided[i] != NULL; i++) {
		const char *decided = row->decided[i];
		if (environment_get(environment, decided) != NULL ||
			(set != NULL && list_has(set, decided)) || argv_has(start->argv, decided))
			return true;
		for (size_t j = 0; j < LISTS_MAX && row->lists[j] != NULL; j++) {
			const char *list = environment_get(environment, row->lists[j]);
			if (list != NULL && list_has(list, decided))
				return true;
		}
	}
	return false;
}

static bool applies(const struct row *row, const struct runtime_start *start)
{
	bool has_limit = start->limit_bytes != UINT64_MAX;
	if (row->variable == NULL)
		return false;
	switch (row->condition) {
	case IF_LIMITED:
		return start->limits && has_limit;
	case IF_HEAP_AND_LIMITED:
		return start->limits && start->has_heap && has_limit;
	case IF_NO_HEAP:
		return start->limits && has_limit && !start->has_heap && start->has_libc_heap;
	}
	return false;
}

static uint64_t value_of(const struct row *row, const struct runtime_start *start)
{
	uint64_t limit = start->limit_bytes;
	uint64_t bytes = limit / 1000 * row->permille + limit % 1000 * row->permille / 1000;
	switch (row->value) {
	case VALUE_MIB:
		return bytes >> 20 > 0 ? bytes >> 20 : 1;
	case VALUE_BYTES:
	case VALUE_BYTES_HEX:
		return bytes;
	case VALUE_ARENAS:
		return start->cpus > ARENAS_LEAST ? start->cpus : ARENAS_LEAST;
	case VALUE_NONE:
		break;
	}
	return 0;
}

static void write_number(const struct row *row, const struct runtime_start *start, char number[24])
{
	number[0] = '\0';
	if (row->value == VALUE_BYTES_HEX)
		snprintf(number, 24, "%" PRIx64, value_of(row, start));
	else if (row->value != VALUE_NONE)
		snprintf(number, 24, "%" PRIu64, value_of(row, start));
}

static int set_row(const struct row *row, const char *value, struct environment *environment)
{
	const char *before = row->is_list ? environment_get(environment, row->variable) : NULL;
	char *joined;
	if (before == NULL || before[0] == '\0')
		return environment_set(environment, row->variable, value);
	if (asprintf(&joined, "%s %s", before, value) < 0)
		return -ENOMEM;
	int error = environment_set(environment, row->variable, joined);
	free(joined);
	return error;
}

static int give(const struct row *row, const struct runtime_start *start,
	struct environment *environment, struct runtime_given *given)
{
	char number[24];
	char value[RUNTIME_VALUE_BYTES];
	if (!applies(row, start) || is_decided(row, start, environment))
		return 0;
	write_number(row, start, number);
	snprintf(value, sizeof value, "%s%s%s", row->before, number, row->after);
	int error = set_row(row, value, environment);
	if (error == 0)
		snprintf(given->text[given->count++], RUNTIME_GIVEN_BYTES, "%s=%s", row->variable,
			value);
	return error;
}

int runtime_give(const struct runtime_start *start, struct environment *environment,
	struct runtime_given *given)
{
	*given = (struct runtime_given){0};
	int error = give(&rows[start->runtime], start, environment, given);
	return error != 0 ? error : give(&glibc_row, start, environment, given);
}
