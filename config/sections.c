/* Our own sections: where their keys go, and what must hold when all are read. */
#include "config/sections.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/defaults.h"
#include "config/errors.h"
#include "config/names.h"
#include "config/order.h"
#include "config/supervisord.h"

static void note_unknown_section(struct loader *loader, const char *kind)
{
	struct names_nearest nearest = {.wanted = kind};
	char quoted[ERRORS_QUOTE_BYTES];
	const char *header = NULL;

	for (size_t i = 0; i < SECTION_KINDS; i++) {
		names_offer(&nearest, section_keys[i].kind);
		if (nearest.best == section_keys[i].kind)
			header = section_keys[i].header;
	}
	errors_quote(quoted, loader->line.section);
	if (header != NULL)
		errors_note(loader->errors, loader_place(loader),
			"unknown section %s: did you mean %s?", quoted, header);
	else
		errors_note(loader->errors, loader_place(loader),
			"unknown section %s: expected [supervisor], [service:NAME] or "
			"[policy:NAME]",
			quoted);
}

static struct section_lines *section_lines(struct loader *loader)
{
	if (loader->section == SECTION_SERVICE)
		return &loader->at.service[loader->index];
	if (loader->section == SECTION_POLICY)
		return &loader->at.policy[loader->index];
	return &loader->at.supervisor;
}

static void *section_struct(struct loader *loader)
{
	if (loader->section == SECTION_SERVICE)
		return &loader->config->services[loader->index];
	if (loader->section == SECTION_POLICY)
		return &loader->config->policies[loader->index];
	return &loader->config->supervisor;
}

static bool policy_find(const struct config *config, const char *name, size_t *index)
{
	for (size_t i = 0; i < config->policy_count; i++) {
		if (strcmp(config->policies[i].name, name) == 0) {
			*index = i;
			return true;
		}
	}
	return false;
}

/* The place of the policy of that name, a new one where there is none yet; -ENOSPC when there is no
 * place left.  Whatever the file says about the default one, another
 * starts from what is built in. */
static int policy_place(struct config *config, const char *name, size_t *index)
{
	if (policy_find(config, name, index))
		return 0;
	if (config->policy_count == CONFIG_POLICIES_MAX)
		return -ENOSPC;
	*index = config->policy_count++;
	config->policies[*index] = default_policy;
	memcpy(config->policies[*index].name, name, strlen(name) + 1);
	return 0;
}

/* What is noted of each service beside its settings; room as config_service_add() has it. */
static int notes_grow(struct loader *loader)
{
	size_t count = loader->config->service_count;
	size_t room = count == 0 ? 1 : 2 * count;

	if ((count & (count - 1)) == 0) {
		struct section_lines *at =
			realloc(loader->at.service, room * sizeof *loader->at.service);
		if (at == NULL)
			return -ENOMEM;
		loader->at.service = at;
		struct service_note *notes = realloc(loader->note, room * sizeof *loader->note);
		if (notes == NULL)
			return -ENOMEM;
		loader->note = notes;
	}
	loader->at.service[count] = (struct section_lines){0};
	loader->note[count] = (struct service_note){.group_priority = CONFIG_PRIORITY_USUAL};
	return 0;
}

static bool service_find(const struct config *config, const char *name, size_t *index)
{
	for (size_t i = 0; i < config->service_count; i++) {
		if (strcmp(config->services[i].name, name) == 0) {
			*index = i;
			return true;
		}
	}
	return false;
}

int sections_service_new(struct loader *loader, const char *name, size_t *index)
{
	struct config *config = loader->config;
	struct config_service *service;

	if (service_find(config, name, index))
		return -EEXIST;
	*index = config->service_count;
	if (notes_grow(loader) != 0)
		return -ENOMEM;
	service = config_service_add(config);
	if (service == NULL)
		return -ENOMEM;
	memcpy(service->name, name, strlen(name) + 1);
	return 0;
}

static int service_place(struct loader *loader, const char *name, size_t *index)
{
	int error = sections_service_new(loader, name, index);

	return error == -EEXIST ? 0 : error;
}

/* Goes to the section of that kind and name, where the keys that follow belong. */
static void section_enter(struct loader *loader, int kind, const char *name)
{
	unsigned line = loader_place(loader);
	int error = 0;
	struct section_lines *at;

	if (kind == SECTION_SERVICE)
		error = service_place(loader, name, &loader->index);
	else if (kind == SECTION_POLICY)
		error = policy_place(loader->config, name, &loader->index);
	if (error == -ENOSPC)
		errors_note(loader->errors, line,
			"[%s]: too many sections: expected at most %d of that kind",
			loader->line.section, CONFIG_POLICIES_MAX);
	if (error == -ENOMEM)
		loader_out_of_memory(loader, line);
	if (error != 0)
		return;
	loader->section = kind;
	at = section_lines(loader);
	if (at->header != 0) {
		errors_note(loader->errors, line,
			"[%s] stands twice: expected once, the first one is on line %u%s%s",
			loader->line.section, place_line(at->header),
			place_file(at->header) == place_file(line) ? "" : " of ",
			place_file(at->header) == place_file(line)
				? ""
				: loader->file[place_file(at->header)]);
		loader->section = SECTION_REFUSED;
		return;
	}
	at->header = line;
}

void sections_open(struct loader *loader)
{
	char kind[LINES_SECTION_CHARS_MAX + 1];
	char quoted[ERRORS_QUOTE_BYTES];
	char *name = kind;
	int found = 0;
	bool named;

	loader->section = SECTION_REFUSED;
	if (lines_supervisords(loader->line.section)) {
		supervisord_open(loader);
		return;
	}
	memcpy(kind, loader->line.section, sizeof kind);
	strsep(&name, ":");
	named = name != NULL;
	if (name == NULL)
		name = kind;
	while (found < SECTION_KINDS && strcmp(section_keys[found].kind, kind) != 0)
		found++;
	if (found == SECTION_KINDS)
		note_unknown_section(loader, kind);
	else if (section_keys[found].named != named)
		errors_note(loader->errors, loader_place(loader), "section %s: expected %s",
			errors_quote(quoted, loader->line.section), section_keys[found].header);
	else if (!names_valid(name))
		errors_note(loader->errors, loader_place(loader),
			"%s is not a name: expected 1 to %d of A-Z a-z 0-9 _ . -",
			errors_quote(quoted, name), NAMES_CHARS_MAX);
	else
		section_enter(loader, found, name);
}

size_t sections_key_find(const struct section_keys *keys, const char *name)
{
	size_t i = 0;

	while (i < keys->count && strcmp(keys->keys[i].name, name) != 0)
		i++;
	return i;
}

static void note_unknown_key(struct loader *loader, const char *name)
{
	const struct section_keys *keys = &section_keys[loader->section];
	struct names_nearest nearest = {.wanted = name};
	unsigned line = loader_place(loader);
	char quoted[ERRORS_QUOTE_BYTES];
	char known[CONFIG_ERROR_BYTES] = "";
	size_t length = 0;

	errors_quote(quoted, name);
	for (size_t i = 0; i < SECTION_KINDS; i++) {
		if (sections_key_find(&section_keys[i], name) == section_keys[i].count)
			continue;
		errors_note(loader->errors, line, "unknown key %s in %s: expected in %s", quoted,
			keys->header, section_keys[i].header);
		return;
	}
	for (size_t i = 0; i < keys->count; i++) {
		names_offer(&nearest, keys->keys[i].name);
		if (length < sizeof known)
			length += (size_t)snprintf(known + length, sizeof known - length, "%s%s",
				i == 0 ? "" : ", ", keys->keys[i].name);
	}
	if (nearest.best != NULL)
		errors_note(loader->errors, line, "unknown key %s in %s: did you mean %s?", quoted,
			keys->header, nearest.best);
	else
		errors_note(loader->errors, line, "unknown key %s in %s: expected %s", quoted,
			keys->header, known);
}

void sections_note_value(struct loader *loader, unsigned place, const struct key *key,
	const char *value, int error, const char *why)
{
	char quoted[ERRORS_QUOTE_BYTES];
	const char *hint = "";

	if (error == -ENOMEM) {
		loader_out_of_memory(loader, place);
		return;
	}
	if (why == NULL && (strstr(value, " ;") != NULL || strstr(value, " #") != NULL))
		hint = " (a comment needs a line of its own)";
	if (why == NULL)
		why = error == -ERANGE ? "out of range" : "not understood";
	errors_note(loader->errors, place, "%s: %s: %s: expected %s%s", key->name,
		errors_quote(quoted, value), why, key->expected, hint);
}

/* The policy key: the name is kept until all policies are known. */
int sections_policy_keep(struct loader *loader, size_t index, const char *value)
{
	if (!names_valid(value))
		return -EINVAL;
	memcpy(loader->note[index].policy, value, strlen(value) + 1);
	return 0;
}

void sections_key(struct loader *loader, const char *name, const char *value)
{
	const struct section_keys *keys = &section_keys[loader->section];
	struct section_lines *at = section_lines(loader);
	size_t index = sections_key_find(keys, name);
	const struct key *key = &keys->keys[index];
	const char *why = NULL;
	int error;

	if (index == keys->count) {
		note_unknown_key(loader, name);
		return;
	}
	if (at->key[index] != 0) {
		errors_note(loader->errors, loader_place(loader),
			"%s stands twice: expected once, the first one is on line %u", name,
			place_line(at->key[index]));
		return;
	}
	at->key[index] = loader_place(loader);
	if (key->parse == NULL)
		error = sections_policy_keep(loader, loader->index, value);
	else
		error = key->parse(value, (char *)section_struct(loader) + key->offset, &why);
	if (error != 0) {
		at->broken = true;
		sections_note_value(loader, loader_place(loader), key, value, error, why);
	}
}

static void policies_resolve(struct loader *loader)
{
	struct config *config = loader->config;

	for (size_t i = 0; i < config->service_count; i++) {
		const char *wanted = loader->note[i].policy;
		struct names_nearest nearest = {.wanted = wanted};
		unsigned line = loader->at.service[i].key[KEY_POLICY];

		if (wanted[0] == '\0' || policy_find(config, wanted, &config->services[i].policy))
			continue;
		for (size_t j = 0; j < config->policy_count; j++)
			names_offer(&nearest, config->policies[j].name);
		if (nearest.best != NULL)
			errors_note(loader->errors, line,
				"policy: there is no [policy:%s]: did you mean %s?", wanted,
				nearest.best);
		else
			errors_note(loader->errors, line,
				"policy: there is no [policy:%s]: expected %s", wanted,
				section_keys[SECTION_SERVICE].keys[KEY_POLICY].expected);
	}
}

static void dry_runs_inherit(struct loader *loader)
{
	for (size_t i = 0; i < loader->config->service_count; i++)
		if (loader->at.service[i].key[KEY_DRY_RUN] == 0)
			loader->config->services[i].dry_run = loader->config->supervisor.dry_run;
}

/* What is to end may take its time, unless the file says otherwise. */
static void oneshots_take_their_time(struct loader *loader)
{
	for (size_t i = 0; i < loader->config->service_count; i++)
		if (loader->config->services[i].is_oneshot &&
			loader->at.service[i].key[KEY_START_TIMEOUT] == 0)
			loader->config->services[i].start_timeout_ms = 0;
}

static void commands_require(struct loader *loader)
{
	for (size_t i = 0; i < loader->config->service_count; i++)
		if (loader->at.service[i].key[KEY_COMMAND] == 0 &&
			!loader->config->services[i].is_program)
			errors_note(loader->errors, loader->at.service[i].header,
				"[service:%s] has no command: expected command = PROGRAM ARGUMENTS",
				loader->config->services[i].name);
}

void sections_finish(struct loader *loader)
{
	policies_resolve(loader);
	dry_runs_inherit(loader);
	commands_require(loader);
	oneshots_take_their_time(loader);
	check_config(loader->config, &loader->at, loader->errors);
	order_services(loader);
}
