/* supervisord's sections: kept as they are written, and read when all files are. */
#include "config/supervisord.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/command.h"
#include "config/errors.h"
#include "config/program.h"
#include "config/sections.h"
#include "config/units.h"

#define BLANKS " \t"

enum fate { FATE_READ, FATE_IGNORED, FATE_REFUSED };

static const struct {
	const char *kind;
	enum fate fate;
	const char *why;
} kinds[] = {
	{"supervisord", FATE_READ, NULL},
	{"program", FATE_READ, NULL},
	{"group", FATE_READ, NULL},
	{"include", FATE_READ, NULL},
	{"unix_http_server", FATE_IGNORED,
		"spillctl has a socket of its own, control in [supervisor]"},
	{"inet_http_server", FATE_IGNORED, "nothing listens on a port"},
	{"rpcinterface", FATE_IGNORED, "there is no XML-RPC; spillctl speaks JSON"},
	{"supervisorctl", FATE_IGNORED, "spillctl has no settings"},
	{"eventlistener", FATE_REFUSED,
		"supervisord's events are not sent. Remove it: what a memory monitor restarts "
		"memory_max keeps, and spillctl events tells what happens"},
	{"fcgi-program", FATE_REFUSED,
		"no socket is made for it. Make it a [program:x] that listens itself, as php-fpm "
		"and spawn-fcgi -n do, or have systemd hand the socket over"},
};

/* Sections ------------------------------------------------------------------------ */

static struct raw_section *raw_find(const struct loader *loader, const char *kind, const char *name)
{
	struct raw_section *section = loader->raw;

	while (section != NULL &&
		(strcmp(section->kind, kind) != 0 || strcmp(section->name, name) != 0))
		section = section->next;
	return section;
}

/* KIND and NAME of [KIND:NAME], without blanks around them. */
static void parts_split(struct raw_section *section)
{
	char *name;
	size_t length;

	memcpy(section->parts, section->text, sizeof section->parts);
	section->kind = section->parts;
	name = strchr(section->parts, ':');
	if (name == NULL) {
		section->name = "";
		return;
	}
	*name++ = '\0';
	name += strspn(name, BLANKS);
	length = strlen(name);
	while (length > 0 && strchr(BLANKS, name[length - 1]) != NULL)
		name[--length] = '\0';
	section->name = name;
}

/* The section of that name, which may have begun before.  NULL = no memory. */
static struct raw_section *raw_open(struct loader *loader)
{
	struct raw_section *made = calloc(1, sizeof *made);
	struct raw_section **link = &loader->raw;
	struct raw_section *found;

	if (made == NULL)
		return NULL;
	made->place = loader_place(loader);
	memcpy(made->text, loader->line.section, sizeof made->text);
	parts_split(made);
	found = raw_find(loader, made->kind, made->name);
	if (found != NULL) {
		free(made);
		return found;
	}
	while (*link != NULL)
		link = &(*link)->next;
	*link = made;
	return made;
}

void supervisord_open(struct loader *loader)
{
	const char *section = loader->line.section;
	size_t length = strcspn(section, ":");
	size_t i = 0;

	while (strlen(kinds[i].kind) != length || strncmp(kinds[i].kind, section, length) != 0)
		i++;
	loader->section = SECTION_IGNORED;
	if (kinds[i].fate == FATE_IGNORED) {
		errors_remark(loader->errors, loader_place(loader), "[%s] has no effect: %s",
			section, kinds[i].why);
		return;
	}
	if (kinds[i].fate == FATE_REFUSED) {
		errors_note(
			loader->errors, loader_place(loader), "[%s]: %s", section, kinds[i].why);
		return;
	}
	loader->raw_now = raw_open(loader);
	if (loader->raw_now == NULL)
		loader_out_of_memory(loader, loader_place(loader));
	else
		loader->section = SECTION_RAW;
}

void supervisord_key(struct loader *loader, const char *name, const char *value)
{
	struct raw_key *key = calloc(1, sizeof *key);
	struct raw_key **link = &loader->raw_now->keys;

	if (key != NULL)
		key->value = strdup(value);
	if (key == NULL || key->value == NULL) {
		free(key);
		loader_out_of_memory(loader, loader_place(loader));
		return;
	}
	key->place = loader_place(loader);
	snprintf(key->name, sizeof key->name, "%s", name);
	while (*link != NULL)
		link = &(*link)->next;
	*link = key;
}

void supervisord_free(struct loader *loader)
{
	while (loader->raw != NULL) {
		struct raw_section *section = loader->raw;
		loader->raw = section->next;
		while (section->keys != NULL) {
			struct raw_key *key = section->keys;
			section->keys = key->next;
			free(key->value);
			free(key);
		}
		free(section);
	}
}

/* [include] ----------------------------------------------------------------------- */

/* One pattern of the list; a relative one is beside the file that names it. */
static void pattern_read(struct loader *loader, const struct raw_key *key, const char *pattern,
	void (*read)(void *context, const char *path, unsigned place), void *context)
{
	const char *folder = loader->folder[place_file(key->place)];
	glob_t found = {0};
	char *whole = NULL;
	int error;

	if (pattern[0] != '/' && folder == NULL) {
		errors_note(loader->errors, key->place, "files: %s: expected an absolute path",
			pattern);
		return;
	}
	if (asprintf(&whole, "%s%s%s", pattern[0] == '/' ? "" : folder,
		    pattern[0] == '/' ? "" : "/", pattern) < 0) {
		loader_out_of_memory(loader, key->place);
		return;
	}
	error = glob(whole, 0, NULL, &found);
	if (error == GLOB_NOMATCH)
		errors_remark(loader->errors, key->place, "files: %s: there is none", pattern);
	else if (error == GLOB_NOSPACE)
		loader_out_of_memory(loader, key->place);
	else if (error != 0)
		errors_note(loader->errors, key->place, "files: %s: cannot be read: expected files",
			pattern);
	for (size_t i = 0; error == 0 && i < found.gl_pathc && loader->error == 0; i++)
		read(context, found.gl_pathv[i], key->place);
	globfree(&found);
	free(whole);
}

/* The host's name for %(host_node_name)s. */
static void host_find(struct program_common *common)
{
	if (gethostname(common->host, sizeof common->host - 1) != 0)
		common->host[0] = '\0';
}

void supervisord_include(struct loader *loader,
	void (*read)(void *context, const char *path, unsigned place), void *context)
{
	const struct raw_section *section = raw_find(loader, "include", "");
	const struct raw_key *key = section != NULL ? program_key(section, "files") : NULL;
	struct program_common common = {0};
	char *rest;
	char *patterns;
	char *pattern;

	if (key == NULL)
		return;
	host_find(&common);
	patterns = program_expand(loader, &common, key);
	rest = patterns;
	while ((pattern = strsep(&rest, BLANKS)) != NULL)
		if (*pattern != '\0' && loader->error == 0)
			pattern_read(loader, key, pattern, read, context);
	free(patterns);
}

/* [supervisord] ------------------------------------------------------------------- */

/* What has no twin here. */
static const struct {
	const char *name;
	const char *none; /* with this value nothing is lost; NULL = never anything to say */
	const char *why;
} settings[] = {
	{"environment", NULL, NULL},
	{"user", NULL, NULL},
	{"directory", NULL, NULL},
	{"umask", NULL, NULL},
	{"childlogdir", NULL, NULL},
	{"identifier", NULL, NULL},
	{"logfile", "/dev/null", "our log goes to stderr"},
	{"logfile_maxbytes", NULL, NULL},
	{"logfile_backups", NULL, NULL},
	{"loglevel", "info", "-v and -q say how much is logged"},
	{"pidfile", "", "none is written"},
	{"nodaemon", "true", "it stays in the foreground"},
	{"silent", "false", "our log goes to stderr"},
	{"nocleanup", "false", "AUTO logs begin anew"},
	{"strip_ansi", "false", "what is written is kept as it is"},
	{"minfds", "1024", "programs have the limit that we were started with (ulimit -n)"},
	{"minprocs", "200", "programs have the limit that we were started with (ulimit -u)"},
};

static bool is_same(const char *value, const char *none)
{
	bool a;
	bool b;

	if (none == NULL || strcmp(value, none) == 0)
		return true;
	return units_parse_boolean(value, &a) == 0 && units_parse_boolean(none, &b) == 0 && a == b;
}

static bool is_standard_stream(const char *path)
{
	return strcmp(path, "/dev/stdout") == 0 || strcmp(path, "/dev/stderr") == 0 ||
	       strncmp(path, "/dev/fd/", 8) == 0 || strncmp(path, "/proc/self/fd/", 14) == 0;
}

static void setting_remark(struct loader *loader, const struct raw_key *key)
{
	size_t i = 0;

	while (i < sizeof settings / sizeof settings[0] && strcmp(settings[i].name, key->name) != 0)
		i++;
	if (i == sizeof settings / sizeof settings[0])
		errors_remark(loader->errors, key->place,
			"%s in [supervisord] is not known: no effect", key->name);
	else if (!is_same(key->value, settings[i].none) && !is_standard_stream(key->value))
		errors_remark(loader->errors, key->place, "%s in [supervisord] has no effect: %s",
			key->name, settings[i].why);
}

static char *text_of(struct loader *loader, const struct program_common *common, const char *name,
	const char *otherwise)
{
	const struct raw_key *key =
		common->supervisord != NULL ? program_key(common->supervisord, name) : NULL;
	char *text = key != NULL ? program_expand(loader, common, key) : strdup(otherwise);

	if (text == NULL && key == NULL)
		loader_out_of_memory(loader, 0);
	return text;
}

static void environment_read(struct loader *loader, struct program_common *common)
{
	const struct key *key = &section_keys[SECTION_SERVICE].keys[KEY_ENVIRONMENT];
	const struct raw_key *raw = program_key(common->supervisord, "environment");
	const char *why = NULL;
	char *text;
	int error;

	if (raw == NULL)
		return;
	text = program_expand(loader, common, raw);
	if (text == NULL)
		return;
	error = command_environment_plain(text, &common->environment, &why);
	if (error != 0)
		sections_note_value(loader, raw->place, key, text, error, why);
	free(text);
}

static void common_init(struct loader *loader, struct program_common *common)
{
	const char *folder = getenv("TMPDIR");

	host_find(common);
	common->supervisord = raw_find(loader, "supervisord", "");
	common->folder = text_of(loader, common, "childlogdir",
		folder != NULL && folder[0] == '/' ? folder : "/tmp");
	common->identifier = text_of(loader, common, "identifier", "spillway");
	if (common->identifier != NULL && strchr(common->identifier, '/') != NULL)
		errors_note(loader->errors, common->supervisord->place,
			"identifier: expected a name without /");
	if (common->supervisord == NULL)
		return;
	environment_read(loader, common);
	for (const struct raw_key *key = common->supervisord->keys; key != NULL; key = key->next)
		setting_remark(loader, key);
}

static void common_free(struct program_common *common)
{
	command_free(common->environment);
	free(common->folder);
	free(common->identifier);
}

/* [group:x] ----------------------------------------------------------------------- */

/* Whether one of "a, b" is that name. */
static bool list_has(const char *list, const char *name)
{
	size_t length = strlen(name);

	while (*list != '\0') {
		list += strspn(list, BLANKS ",");
		size_t word = strcspn(list, BLANKS ",");
		if (word > 0 && word == length && strncmp(list, name, word) == 0)
			return true;
		list += word;
	}
	return false;
}

static void group_find(struct loader *loader, const char *program, struct program_group *group)
{
	*group = (struct program_group){.priority = CONFIG_PRIORITY_USUAL};
	for (const struct raw_section *at = loader->raw; at != NULL; at = at->next) {
		const struct raw_key *programs;
		if (strcmp(at->kind, "group") != 0)
			continue;
		programs = program_key(at, "programs");
		if (programs == NULL || !list_has(programs->value, program))
			continue;
		const struct raw_key *priority = program_key(at, "priority");
		group->name = at->name;
		if (priority != NULL && units_parse_integer(priority->value, INT_MIN, INT_MAX,
						&group->priority) != 0)
			errors_note(loader->errors, priority->place,
				"priority: not understood: expected a number such as 999");
		return;
	}
}

/* A group whose programs are not there is more likely a slip than meant. */
static void group_check(struct loader *loader, const struct raw_section *group)
{
	const struct raw_key *programs = program_key(group, "programs");
	char *names;
	char *rest;
	char *name;

	if (programs == NULL) {
		errors_note(loader->errors, group->place,
			"[%s] has no programs: expected programs = NAME,NAME", group->text);
		return;
	}
	names = strdup(programs->value);
	if (names == NULL)
		loader_out_of_memory(loader, programs->place);
	rest = names;
	while ((name = strsep(&rest, BLANKS ",")) != NULL)
		if (*name != '\0' && raw_find(loader, "program", name) == NULL)
			errors_note(loader->errors, programs->place,
				"programs: there is no [program:%s]: expected names of programs",
				name);
	free(names);
}

/* Both signals ask for a release unless supervisord's meaning of USR2 is wanted: log files are
 * opened anew. */
static void signals_leave_reopening(struct loader *loader)
{
	if (loader->at.supervisor.key[KEY_PRESSURE_SIGNALS] == 0)
		loader->config->supervisor.pressure_signal_count = 1;
}

void supervisord_finish(struct loader *loader)
{
	struct program_common common = {0};

	if (loader->raw == NULL)
		return;
	loader->config->supervisor.stays = true;
	signals_leave_reopening(loader);
	common_init(loader, &common);
	for (const struct raw_section *at = loader->raw; at != NULL && loader->error == 0;
		at = at->next) {
		struct program_group group;
		if (strcmp(at->kind, "group") == 0)
			group_check(loader, at);
		if (strcmp(at->kind, "program") != 0)
			continue;
		group_find(loader, at->name, &group);
		program_make(loader, &common, at, &group);
	}
	common_free(&common);
}
