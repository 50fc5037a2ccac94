/* Makes services of a [program:x] of supervisord's. */
#include "config/program.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/command.h"
#include "config/errors.h"
#include "config/expand.h"
#include "config/names.h"
#include "config/pairs.h"
#include "config/sections.h"
#include "config/units.h"

#define PROCESSES_MOST 4096
#define NAMES 7

/* What supervisord has where a [program:x] says nothing, and a service something else. */
#define STARTSECS_MS 1000
#define STARTRETRIES 3

/* One process of a program in the making. */
struct program {
	struct loader *loader;
	const struct program_common *common;
	const struct raw_section *section;
	const struct program_group *group;
	size_t index; /* of the service */
	bool is_first;
	int count; /* numprocs */
	char number_text[16];
	char count_text[16];
	char *environment; /* owned: the text, expanded */
	unsigned environment_place;
};

const struct raw_key *program_key(const struct raw_section *section, const char *name)
{
	const struct raw_key *found = NULL;

	for (const struct raw_key *key = section->keys; key != NULL; key = key->next)
		if (strcmp(key->name, name) == 0)
			found = key;
	return found;
}

/* NULL, and noted: it cannot be. */
static char *expand(struct loader *loader, const struct expand_name *names,
	const struct raw_key *key, const char *value)
{
	char quoted[ERRORS_QUOTE_BYTES];
	const char *unknown;
	size_t unknown_bytes;
	const char *why;
	char *expanded;
	int error = expand_text(value, names, &expanded, &why, &unknown, &unknown_bytes);

	if (error == 0)
		return expanded;
	if (error == -ENOMEM)
		loader_out_of_memory(loader, key->place);
	else if (unknown != NULL)
		errors_note(loader->errors, key->place,
			"%s: %%(%.*s)s is not known: expected program_name, process_num, numprocs, "
			"group_name, here, host_node_name, or ENV_X for a variable X that is set",
			key->name, (int)unknown_bytes, unknown);
	else
		errors_note(loader->errors, key->place,
			"%s: %s: %s: expected %%(NAME)s, %%(NAME)02d, or %%%% for one %%",
			key->name, errors_quote(quoted, value), why);
	return NULL;
}

static const char *folder_of(const struct loader *loader, const struct raw_key *key)
{
	return loader->folder[place_file(key->place)];
}

char *program_expand(
	struct loader *loader, const struct program_common *common, const struct raw_key *key)
{
	const struct expand_name names[] = {
		{"here", folder_of(loader, key)},
		{"host_node_name", common->host},
		{NULL, NULL},
	};

	return expand(loader, names, key, key->value);
}

static char *expand_for(struct program *program, const struct raw_key *key, const char *value)
{
	const struct expand_name names[NAMES] = {
		{"program_name", program->section->name},
		{"group_name", program->group->name},
		{"process_num", program->number_text},
		{"numprocs", program->count_text},
		{"host_node_name", program->common->host},
		{"here", folder_of(program->loader, key)},
		{NULL, NULL},
	};

	return expand(program->loader, names, key, value);
}

/* A number of the section; 0, or -EINVAL, which was noted. */
static int number_read(struct program *program, const char *name, int least, int most, int *value)
{
	const struct raw_key *key = program_key(program->section, name);
	char quoted[ERRORS_QUOTE_BYTES];
	char *text;
	int error;

	if (key == NULL)
		return 0;
	text = expand_for(program, key, key->value);
	if (text == NULL)
		return -EINVAL;
	error = units_parse_integer(text, least, most, value);
	if (error != 0)
		errors_note(program->loader->errors, key->place,
			"%s: %s: %s: expected a number from %d to %d", name,
			errors_quote(quoted, text),
			error == -ERANGE ? "out of range" : "not understood", least, most);
	free(text);
	return error;
}

/* Names --------------------------------------------------------------------------- */

/* Services have one name and not two as supervisord's processes (GROUP:PROCESS): that of the
 * process, and the program's before it where it is not part of that anyway. */
static void name_make(struct program *program)
{
	const struct raw_key default_key = {.place = program->section->place};
	const struct raw_key *key = program_key(program->section, "process_name");
	struct loader *loader = program->loader;
	const char *program_name = program->section->name;
	const char *value = key != NULL ? key->value : "%(program_name)s";
	char quoted[ERRORS_QUOTE_BYTES];
	char name[CONFIG_NAME_BYTES];
	char *process;
	int length;
	int error;

	if (key == NULL)
		key = &default_key;
	if (program->count > 1 && strstr(value, "%(process_num)") == NULL) {
		errors_note(loader->errors, key->place,
			"[%s] has numprocs = %d: expected process_name with %%(process_num), such "
			"as %%(program_name)s_%%(process_num)02d",
			program->section->text, program->count);
		return;
	}
	process = expand_for(program, key, value);
	if (process == NULL)
		return;
	if (strstr(process, program_name) != NULL)
		length = snprintf(name, sizeof name, "%s", process);
	else
		length = snprintf(name, sizeof name, "%s.%s", program_name, process);
	if (length >= (int)sizeof name || !names_valid(name)) {
		errors_note(loader->errors, key->place,
			"%s is not a name: expected 1 to %d of A-Z a-z 0-9 _ . -",
			errors_quote(quoted, process), NAMES_CHARS_MAX);
		free(process);
		return;
	}
	error = sections_service_new(loader, name, &program->index);
	if (error == -ENOMEM)
		loader_out_of_memory(loader, key->place);
	else if (error != 0)
		errors_note(loader->errors, key->place,
			"[%s] makes a service %s, which is there already: expected another name",
			program->section->text, name);
	free(process);
}

/* Keys ---------------------------------------------------------------------------- */

static struct config_service *service_of(const struct program *program)
{
	return &program->loader->config->services[program->index];
}

/* Of supervisord's keys those that no service of ours has. */
static const struct {
	const char *name;
	const char *none;    /* the value that asks for nothing, beside false and 0; NULL = any */
	const char *refused; /* NULL = it has no effect */
} others[] = {
	{"process_name", NULL, NULL},
	{"numprocs", NULL, NULL},
	{"numprocs_start", NULL, NULL},
	{"killasgroup", NULL, NULL},
	{"stdout_capture_maxbytes", "0", NULL},
	{"stderr_capture_maxbytes", "0", NULL},
	{"stdout_events_enabled", "false", NULL},
	{"stderr_events_enabled", "false", NULL},
	{"serverurl", "AUTO", NULL},
	{"stdout_syslog", "false",
		"expected false: write to /dev/stdout and let who runs spillway collect it"},
	{"stderr_syslog", "false",
		"expected false: write to /dev/stderr and let who runs spillway collect it"},
};

static bool asks_for_nothing(const char *value, const char *none)
{
	bool is_on;
	uint64_t bytes;

	return none == NULL || strcmp(value, none) == 0 ||
	       (units_parse_boolean(value, &is_on) == 0 && !is_on) ||
	       (units_parse_size(value, &bytes) == 0 && bytes == 0);
}

static void note_unknown(struct program *program, const struct raw_key *key)
{
	const struct section_keys *keys = &section_keys[SECTION_SERVICE];
	struct names_nearest nearest = {.wanted = key->name};

	for (size_t i = 0; i < keys->count; i++)
		names_offer(&nearest, keys->keys[i].name);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		names_offer(&nearest, others[i].name);
	errors_remark(program->loader->errors, key->place, "%s in [%s] is not known: no effect%s%s",
		key->name, program->section->text, nearest.best != NULL ? "; did you mean " : "",
		nearest.best != NULL ? nearest.best : "");
}

static void other_key(struct program *program, const struct raw_key *key)
{
	size_t i = 0;

	while (i < sizeof others / sizeof others[0] && strcmp(others[i].name, key->name) != 0)
		i++;
	if (i == sizeof others / sizeof others[0])
		note_unknown(program, key);
	else if (asks_for_nothing(key->value, others[i].none))
		return;
	else if (others[i].refused != NULL)
		errors_note(program->loader->errors, key->place, "%s: %s", key->name,
			others[i].refused);
	else
		errors_remark(program->loader->errors, key->place,
			"%s has no effect: there are no events of supervisord's", key->name);
}

/* As supervisord splits it: a word may begin with | or ; and has no special meaning for it. */
static int command_read(const char *text, struct config_service *service, const char **why)
{
	char **words;
	int error = command_split_plain(text, &words, why);

	if (error != 0)
		return error;
	command_free(service->argv);
	service->argv = words;
	return 0;
}

/* Takes value. */
static void value_read(
	struct program *program, const struct raw_key *raw, size_t index, char *value)
{
	struct loader *loader = program->loader;
	const struct key *key = &section_keys[SECTION_SERVICE].keys[index];
	struct config_service *service = service_of(program);
	const char *why = NULL;
	int error;

	loader->at.service[program->index].key[index] = raw->place;
	if (index == KEY_ENVIRONMENT) {
		free(program->environment);
		program->environment = value;
		program->environment_place = raw->place;
		return;
	}
	if (index == KEY_COMMAND)
		error = command_read(value, service, &why);
	else if (key->parse == NULL)
		error = sections_policy_keep(loader, program->index, value);
	else
		error = key->parse(value, (char *)service + key->offset, &why);
	if (error != 0) {
		loader->at.service[program->index].broken = true;
		sections_note_value(loader, raw->place, key, value, error, why);
	}
	free(value);
}

static void keys_read(struct program *program, const struct raw_section *section)
{
	const struct section_keys *keys = &section_keys[SECTION_SERVICE];

	for (const struct raw_key *key = section->keys; key != NULL; key = key->next) {
		size_t index = sections_key_find(keys, key->name);
		bool is_last = program_key(section, key->name) == key;
		char *value;
		if (!is_last || program->loader->error != 0)
			continue;
		if (index == keys->count) {
			if (program->is_first)
				other_key(program, key);
			continue;
		}
		value = expand_for(program, key, key->value);
		if (value != NULL)
			value_read(program, key, index, value);
	}
}

/* [supervisord]'s, where the program says nothing. */
static void common_read(struct program *program)
{
	static const int common[] = {KEY_USER, KEY_DIRECTORY, KEY_UMASK};
	const struct raw_section *from = program->common->supervisord;

	for (size_t i = 0; from != NULL && i < sizeof common / sizeof common[0]; i++) {
		const char *name = section_keys[SECTION_SERVICE].keys[common[i]].name;
		const struct raw_key *key = program_key(from, name);
		char *value;
		/* root is what runs it. */
		if (key == NULL || program_key(program->section, name) != NULL ||
			(common[i] == KEY_USER && strcmp(key->value, "root") == 0))
			continue;
		value = expand_for(program, key, key->value);
		if (value != NULL)
			value_read(program, key, (size_t)common[i], value);
	}
}

/* The environment ----------------------------------------------------------------- */

static char *supervisors_pair(const char *name, const char *value)
{
	char *pair;

	return asprintf(&pair, "%s=%s", name, value) < 0 ? NULL : pair;
}

/* What supervisord tells its programs, what it is told to, and the program's own. */
static int environment_join(struct program *program, char *const *own)
{
	char *const *common = program->common->environment;
	struct config_service *service = service_of(program);
	char **list = calloc(4 + pairs_count(common) + pairs_count(own), sizeof *list);
	size_t count = 0;
	int error = list != NULL ? 0 : -ENOMEM;

	if (error == 0)
		error = pairs_put(list, &count, supervisors_pair("SUPERVISOR_ENABLED", "1"));
	if (error == 0)
		error = pairs_put(
			list, &count, supervisors_pair("SUPERVISOR_PROCESS_NAME", service->name));
	if (error == 0)
		error = pairs_put(list, &count,
			supervisors_pair("SUPERVISOR_GROUP_NAME", program->group->name));
	if (error == 0)
		error = pairs_put_all(list, &count, common);
	if (error == 0)
		error = pairs_put_all(list, &count, own);
	if (error != 0) {
		command_free(list);
		return error;
	}
	command_free(service->environment);
	service->environment = list;
	return 0;
}

static void environment_make(struct program *program)
{
	const struct key *key = &section_keys[SECTION_SERVICE].keys[KEY_ENVIRONMENT];
	const char *text = program->environment;
	const char *why = NULL;
	char **own = NULL;
	int error = text != NULL ? command_environment_plain(text, &own, &why) : 0;

	if (error == 0)
		error = environment_join(program, own);
	if (error != 0)
		sections_note_value(
			program->loader, program->environment_place, key, text, error, why);
	command_free(own);
	free(program->environment);
	program->environment = NULL;
}

/* All of it ----------------------------------------------------------------------- */

static void defaults_set(struct config_service *service)
{
	service->is_program = true;
	service->backoff = CONFIG_BACKOFF_LINEAR;
	service->startsecs_ms = STARTSECS_MS;
	service->startretries = STARTRETRIES;
	for (size_t i = 0; i < CONFIG_STREAMS; i++)
		service->log[i].kind = CONFIG_LOG_AUTO;
}

/* FNV-1a of the file's path, so that two supervisors do not have one log. */
static unsigned path_mark(const char *path)
{
	unsigned mark = 0x811c9dc5U;

	for (; path != NULL && *path != '\0'; path++)
		mark = (mark ^ (unsigned char)*path) * 0x01000193U;
	return mark;
}

static void auto_logs_name(struct program *program)
{
	static const char *const streams[] = {
		[CONFIG_STDOUT] = "stdout", [CONFIG_STDERR] = "stderr"};
	const struct program_common *common = program->common;
	struct config_service *service = service_of(program);

	for (size_t i = 0; i < CONFIG_STREAMS; i++) {
		if (service->log[i].kind != CONFIG_LOG_AUTO)
			continue;
		if (asprintf(&service->log[i].path, "%s/%s-%s---%s-%08x.log", common->folder,
			    service->name, streams[i], common->identifier,
			    path_mark(program->loader->file[0])) < 0) {
			service->log[i].path = NULL;
			loader_out_of_memory(program->loader, program->section->place);
		}
	}
}

static void groups_check(struct program *program)
{
	const struct raw_key *key = program_key(program->section, "killasgroup");
	bool kills = true;

	if (key == NULL)
		return;
	if (units_parse_boolean(key->value, &kills) != 0)
		errors_note(program->loader->errors, key->place,
			"killasgroup: not understood: expected true or false");
	else if (!kills && service_of(program)->stopasgroup)
		errors_note(program->loader->errors, key->place,
			"killasgroup = false with stopasgroup = true: expected both, or none");
}

static void process_make(struct program *program)
{
	struct loader *loader = program->loader;
	size_t errors = loader->errors->count;

	name_make(program);
	if (loader->errors->count != errors)
		return;
	loader->at.service[program->index].header = program->section->place;
	defaults_set(service_of(program));
	snprintf(service_of(program)->group, CONFIG_NAME_BYTES, "%s", program->group->name);
	common_read(program);
	keys_read(program, program->section);
	environment_make(program);
	if (program_key(program->section, "command") == NULL)
		errors_note(loader->errors, program->section->place,
			"[%s] has no command: expected command = PROGRAM ARGUMENTS",
			program->section->text);
	groups_check(program);
	if (loader->error == 0)
		auto_logs_name(program);
	loader->note[program->index].group_priority = program->group->priority;
	loader->note[program->index].program = program->section->name;
}

void program_make(struct loader *loader, const struct program_common *common,
	const struct raw_section *section, const struct program_group *group)
{
	struct program_group alone = {.name = section->name, .priority = CONFIG_PRIORITY_USUAL};
	struct program program = {.loader = loader,
		.common = common,
		.section = section,
		.group = group->name != NULL ? group : &alone,
		.count = 1,
		.number_text = "0",
		.count_text = "1"};
	size_t errors = loader->errors->count;
	int first = 0;

	if (number_read(&program, "numprocs", 0, PROCESSES_MOST, &program.count) != 0 ||
		number_read(&program, "numprocs_start", 0, 1000000, &first) != 0)
		return;
	if (program.group == &alone &&
		number_read(&program, "priority", INT_MIN, INT_MAX, &alone.priority) != 0)
		return;
	snprintf(program.count_text, sizeof program.count_text, "%d", program.count);
	/* What is wrong with one is wrong with all. */
	for (int i = 0; i < program.count && loader->errors->count == errors; i++) {
		program.is_first = i == 0;
		snprintf(program.number_text, sizeof program.number_text, "%d", first + i);
		process_make(&program);
	}
}
