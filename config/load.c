/* Reads a file or a text into settings, or says all that is wrong with it. */
#include "config/config.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "config/check.h"
#include "config/defaults.h"
#include "config/errors.h"
#include "config/keys.h"
#include "config/lines.h"
#include "config/names.h"
#include "config/text_file.h"

/*
 * An INI text to a struct config.
 *
 * inih pulls lines through reader_take(), which shows it only those that
 * lines.c found sound and blanks for all others, so that one bad line hides no
 * later one.  Sections are followed here: inih would cut their names and stay
 * silent about empty ones.  Of a sound key line inih must make exactly one call
 * with the value that lines.c saw; `waiting` holds it to that.
 */

/* Keys before the first section, or below a section that was refused. */
#define SECTION_NONE SECTION_KINDS
#define SECTION_REFUSED (SECTION_KINDS + 1)

/* "" = default */
struct policy_name {
	char text[CONFIG_NAME_BYTES];
};

struct loader {
	struct config *config; /* being filled */
	struct config_errors *errors;
	int error;          /* the first that is none of the file's, such as -ENOMEM */
	struct lines lines; /* what inih has not seen */
	struct line line;   /* what it sees now */
	bool waiting;       /* for its call about this key line */
	int section;
	size_t index; /* into services[] or policies[], and their lines */
	struct config_lines at;
	struct policy_name *policy_name; /* of services */
};

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
	/* What supervisord calls a service. */
	if (strcmp(kind, "program") == 0)
		header = section_keys[SECTION_SERVICE].header;
	errors_quote(quoted, loader->line.section);
	if (header != NULL)
		errors_note(loader->errors, loader->lines.number,
			"unknown section %s: did you mean %s?", quoted, header);
	else
		errors_note(loader->errors, loader->lines.number,
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
static int service_notes_grow(struct loader *loader)
{
	size_t count = loader->config->service_count;
	size_t room = count == 0 ? 1 : 2 * count;

	if ((count & (count - 1)) == 0) {
		struct section_lines *at =
			realloc(loader->at.service, room * sizeof *loader->at.service);
		if (at == NULL)
			return -ENOMEM;
		loader->at.service = at;
		struct policy_name *names =
			realloc(loader->policy_name, room * sizeof *loader->policy_name);
		if (names == NULL)
			return -ENOMEM;
		loader->policy_name = names;
	}
	loader->at.service[count] = (struct section_lines){0};
	loader->policy_name[count] = (struct policy_name){""};
	return 0;
}

static int service_place(struct loader *loader, const char *name, size_t *index)
{
	struct config *config = loader->config;
	struct config_service *service;

	for (size_t i = 0; i < config->service_count; i++) {
		if (strcmp(config->services[i].name, name) == 0) {
			*index = i;
			return 0;
		}
	}
	*index = config->service_count;
	if (service_notes_grow(loader) != 0)
		return -ENOMEM;
	service = config_service_add(config);
	if (service == NULL)
		return -ENOMEM;
	memcpy(service->name, name, strlen(name) + 1);
	return 0;
}

/* Goes to the section of that kind and name, where the keys that follow belong. */
static void section_enter(struct loader *loader, int kind, const char *name)
{
	unsigned line = loader->lines.number;
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
	if (error == -ENOMEM) {
		loader->error = error;
		errors_note(loader->errors, line, "[%s]: out of memory", loader->line.section);
	}
	if (error != 0)
		return;
	loader->section = kind;
	at = section_lines(loader);
	if (at->header != 0) {
		errors_note(loader->errors, line,
			"[%s] stands twice: expected once, the first one is on line %u",
			loader->line.section, at->header);
		loader->section = SECTION_REFUSED;
		return;
	}
	at->header = line;
}

static void section_open(struct loader *loader)
{
	char kind[LINES_SECTION_CHARS_MAX + 1];
	char quoted[ERRORS_QUOTE_BYTES];
	char *name = kind;
	int found = 0;
	bool named;

	loader->section = SECTION_REFUSED;
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
		errors_note(loader->errors, loader->lines.number, "section %s: expected %s",
			errors_quote(quoted, loader->line.section), section_keys[found].header);
	else if (!names_valid(name))
		errors_note(loader->errors, loader->lines.number,
			"%s is not a name: expected 1 to %d of A-Z a-z 0-9 _ . -",
			errors_quote(quoted, name), NAMES_CHARS_MAX);
	else
		section_enter(loader, found, name);
}

/* inih's reader: the next line that it may see, '\n' and all. */
static char *reader_take(char *buffer, int buffer_bytes, void *stream)
{
	struct loader *loader = stream;
	const char *shown = "";
	size_t length;

	if (loader->waiting)
		errors_note(loader->errors, loader->lines.number,
			"the INI parser passed over this line");
	loader->waiting = false;
	lines_take(&loader->lines, &loader->line);
	switch (loader->line.kind) {
	case LINE_END:
		return NULL;
	case LINE_BLANK:
		break;
	case LINE_BAD:
		errors_note(loader->errors, loader->lines.number, "%s", loader->line.problem);
		if (loader->line.starts_section)
			loader->section = SECTION_REFUSED;
		break;
	case LINE_SECTION:
		section_open(loader);
		break;
	case LINE_KEY:
		shown = loader->line.text;
		loader->waiting = true;
		break;
	}
	length = strlen(shown);
	if (length + 2 > (size_t)buffer_bytes) {
		shown = "";
		length = 0;
	}
	memcpy(buffer, shown, length);
	memcpy(buffer + length, "\n", 2);
	return buffer;
}

static size_t key_find(const struct section_keys *keys, const char *name)
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
	unsigned line = loader->lines.number;
	char quoted[ERRORS_QUOTE_BYTES];
	char known[CONFIG_ERROR_BYTES] = "";
	size_t length = 0;

	errors_quote(quoted, name);
	for (size_t i = 0; i < SECTION_KINDS; i++) {
		if (key_find(&section_keys[i], name) == section_keys[i].count)
			continue;
		errors_note(loader->errors, line, "unknown key %s in %s: expected in %s", quoted,
			keys->header, section_keys[i].header);
		return;
	}
	for (size_t i = 0; i < keys->count; i++) {
		names_offer(&nearest, keys->keys[i].name);
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

static void note_value(
	struct loader *loader, const struct key *key, const char *value, int error, const char *why)
{
	char quoted[ERRORS_QUOTE_BYTES];

	const char *hint = "";

	if (error == -ENOMEM) {
		loader->error = error;
		errors_note(loader->errors, loader->lines.number, "%s: %s", key->name, why);
		return;
	}
	if (why == NULL && (strstr(value, " ;") != NULL || strstr(value, " #") != NULL))
		hint = " (a comment needs a line of its own)";
	if (why == NULL)
		why = error == -ERANGE ? "out of range" : "not understood";
	errors_note(loader->errors, loader->lines.number, "%s: %s: %s: expected %s%s", key->name,
		errors_quote(quoted, value), why, key->expected, hint);
}

/* The policy key: the name is kept until all policies are known. */
static int policy_name_keep(struct loader *loader, const char *value)
{
	if (!names_valid(value))
		return -EINVAL;
	memcpy(loader->policy_name[loader->index].text, value, strlen(value) + 1);
	return 0;
}

static void key_read(struct loader *loader, const char *name, const char *value)
{
	const struct section_keys *keys = &section_keys[loader->section];
	struct section_lines *at = section_lines(loader);
	size_t index = key_find(keys, name);
	const struct key *key = &keys->keys[index];
	const char *why = NULL;
	int error;

	if (index == keys->count) {
		note_unknown_key(loader, name);
		return;
	}
	if (at->key[index] != 0) {
		errors_note(loader->errors, loader->lines.number,
			"%s stands twice: expected once, the first one is on line %u", name,
			at->key[index]);
		return;
	}
	at->key[index] = loader->lines.number;
	if (key->parse == NULL)
		error = policy_name_keep(loader, value);
	else
		error = key->parse(value, (char *)section_struct(loader) + key->offset, &why);
	if (error != 0) {
		at->broken = true;
		note_value(loader, key, value, error, why);
	}
}

/* inih's handler.  The section is the one that reader_take() saw. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct loader *loader = user;
	unsigned line = loader->lines.number;

	(void)section;
	if (!loader->waiting || strcmp(value, loader->line.value) != 0)
		errors_note(loader->errors, line, "the INI parser changed this line");
	else if (loader->section == SECTION_NONE)
		errors_note(loader->errors, line,
			"a key before the first section: expected [supervisor], [service:NAME] or "
			"[policy:NAME]");
	else if (loader->section != SECTION_REFUSED)
		key_read(loader, name, value);
	loader->waiting = false;
	return 1;
}

static void policies_resolve(struct loader *loader)
{
	struct config *config = loader->config;

	for (size_t i = 0; i < config->service_count; i++) {
		const char *wanted = loader->policy_name[i].text;
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

static void commands_require(struct loader *loader)
{
	for (size_t i = 0; i < loader->config->service_count; i++)
		if (loader->at.service[i].key[KEY_COMMAND] == 0)
			errors_note(loader->errors, loader->at.service[i].header,
				"[service:%s] has no command: expected command = PROGRAM ARGUMENTS",
				loader->config->services[i].name);
}

/* Debian's inih takes these at run time.  Its own line buffer is never the one that
 * decides: it holds what lines.c lets through, the line's end and a NUL. */
static void inih_prepare(void)
{
	ini_use_stack = false;
	ini_allow_realloc = false;
	ini_initial_alloc = LINES_BYTES_MAX + 3;
	ini_max_line = LINES_BYTES_MAX + 3;
	ini_allow_multiline = false;
	ini_allow_inline_comments = false;
	ini_allow_no_value = false;
	ini_stop_on_first_error = false;
}

int config_load_text(
	const char *text, size_t length, struct config *config, struct config_errors *errors)
{
	struct config *filled = malloc(sizeof *filled);
	struct loader *loader = calloc(1, sizeof *loader);
	int error = 0;

	errors->count = 0;
	if (filled == NULL || loader == NULL) {
		error = -ENOMEM;
		errors_note(errors, 0, "out of memory");
		goto out;
	}
	config_defaults(filled);
	loader->config = filled;
	loader->errors = errors;
	loader->section = SECTION_NONE;
	lines_init(&loader->lines, text, length);
	inih_prepare();
	if (ini_parse_stream(reader_take, loader, on_key, loader) == -2) {
		error = -ENOMEM;
		errors_note(errors, 0, "out of memory");
	}
	policies_resolve(loader);
	dry_runs_inherit(loader);
	commands_require(loader);
	check_config(filled, &loader->at, errors);
	errors_sort(errors);
	if (error == 0)
		error = loader->error;
	if (error == 0 && errors->count != 0)
		error = -EINVAL;
	if (error == 0)
		*config = *filled;
	else
		config_free(filled);
out:
	if (loader != NULL) {
		free(loader->at.service);
		free(loader->policy_name);
	}
	free(loader);
	free(filled);
	return error;
}

int config_load(const char *path, struct config *config, struct config_errors *errors)
{
	char *text = NULL;
	size_t length = 0;
	int error = text_file_read(path, &text, &length);

	if (error != 0) {
		errors->count = 0;
		errors_note(errors, 0,
			"cannot read it: %s: expected a readable file of at most 1 MiB",
			error == -ENOTSUP ? "Not a regular file" : strerror(-error));
		return error;
	}
	error = config_load_text(text, length, config, errors);
	free(text);
	return error;
}
