/* Reads a file or a text into settings, or says all that is wrong with it. */
#include "config/config.h"

#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/errors.h"
#include "config/loader.h"
#include "config/sections.h"
#include "config/supervisord.h"
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

void loader_out_of_memory(struct loader *loader, unsigned place)
{
	if (loader->error == 0)
		errors_note(loader->errors, place, "out of memory");
	loader->error = -ENOMEM;
}

/* inih's reader: the next line that it may see, '\n' and all. */
static char *reader_take(char *buffer, int buffer_bytes, void *stream)
{
	struct loader *loader = stream;
	const char *shown = "";
	size_t length;

	if (loader->waiting)
		errors_note(loader->errors, loader_place(loader),
			"the INI parser passed over this line");
	loader->waiting = false;
	lines_take(&loader->lines, &loader->line);
	switch (loader->line.kind) {
	case LINE_END:
		return NULL;
	case LINE_BLANK:
		break;
	case LINE_BAD:
		errors_note(loader->errors, loader_place(loader), "%s", loader->line.problem);
		if (loader->line.starts_section)
			loader->section = SECTION_REFUSED;
		break;
	case LINE_SECTION:
		sections_open(loader);
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

/* inih's handler.  The section is the one that reader_take() saw. */
static int on_key(void *user, const char *section, const char *name, const char *value)
{
	struct loader *loader = user;
	unsigned line = loader_place(loader);

	(void)section;
	if (!loader->waiting || strcmp(value, loader->line.value) != 0)
		errors_note(loader->errors, line, "the INI parser changed this line");
	else if (loader->section == SECTION_NONE)
		errors_note(loader->errors, line,
			"a key before the first section: expected [supervisor], [service:NAME] or "
			"[policy:NAME]");
	else if (loader->section == SECTION_RAW)
		supervisord_key(loader, name, value);
	else if (loader->section < SECTION_KINDS)
		sections_key(loader, name, value);
	loader->waiting = false;
	return 1;
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

/* Takes path, which may be NULL.  0 or -ENOMEM. */
static int file_add(struct loader *loader, char *path)
{
	char *slash = path != NULL ? strrchr(path, '/') : NULL;
	char *folder = slash != NULL ? strndup(path, (size_t)(slash - path)) : NULL;
	size_t room = loader->file_count + 1;
	char **files = realloc(loader->file, room * sizeof *files);
	char **folders = files != NULL ? realloc(loader->folder, room * sizeof *folders) : NULL;

	if (files != NULL)
		loader->file = files;
	if (folders != NULL)
		loader->folder = folders;
	if (folders == NULL || (slash != NULL && folder == NULL)) {
		free(folder);
		free(path);
		return -ENOMEM;
	}
	files[loader->file_count] = path;
	folders[loader->file_count++] = folder;
	return 0;
}

/* Takes path. */
static void text_read(struct loader *loader, char *path, const char *text, size_t length)
{
	if (file_add(loader, path) != 0) {
		loader_out_of_memory(loader, 0);
		return;
	}
	loader->section = SECTION_NONE;
	loader->waiting = false;
	lines_init(&loader->lines, text, length);
	if (ini_parse_stream(reader_take, loader, on_key, loader) == -2)
		loader_out_of_memory(loader, 0);
}

/* Links are not resolved: what a file is beside is where it is named.  NULL = no memory. */
static char *whole_path(const char *path)
{
	char folder[PATH_MAX];
	char *whole = NULL;

	if (path[0] == '/' || getcwd(folder, sizeof folder) == NULL)
		return strdup(path);
	if (asprintf(&whole, "%s/%s", folder, path) < 0)
		return NULL;
	return whole;
}

static void included_read(void *context, const char *path, unsigned place)
{
	struct loader *loader = context;
	char *copy = strdup(path);
	char *text = NULL;
	size_t length = 0;
	int error = copy != NULL ? text_file_read(path, &text, &length) : -ENOMEM;

	if (error == -ENOMEM)
		loader_out_of_memory(loader, place);
	else if (error != 0)
		errors_note(loader->errors, place,
			"cannot read %s: %s: expected a readable file of at most 1 MiB", path,
			error == -ENOTSUP ? "Not a regular file" : strerror(-error));
	else if (loader->file_count == PLACE_FILES_MAX)
		errors_note(loader->errors, place, "too many files: expected at most %d",
			PLACE_FILES_MAX);
	else {
		text_read(loader, copy, text, length);
		copy = NULL;
	}
	free(copy);
	free(text);
}

static void loader_free(struct loader *loader)
{
	for (unsigned i = 0; i < loader->file_count; i++) {
		free(loader->file[i]);
		free(loader->folder[i]);
	}
	free(loader->file);
	free(loader->folder);
	free(loader->at.service);
	free(loader->note);
	supervisord_free(loader);
	free(loader);
}

/* path NULL: the text has none. */
static int load(const char *path, const char *text, size_t length, struct config *config,
	struct config_errors *errors)
{
	struct config *filled = malloc(sizeof *filled);
	struct loader *loader = calloc(1, sizeof *loader);
	char *whole = path != NULL ? whole_path(path) : NULL;
	int error;

	errors->count = 0;
	errors->note_count = 0;
	if (filled == NULL || loader == NULL || (path != NULL && whole == NULL)) {
		errors_note(errors, 0, "out of memory");
		free(whole);
		free(loader);
		free(filled);
		return -ENOMEM;
	}
	config_defaults(filled);
	loader->config = filled;
	loader->errors = errors;
	inih_prepare();
	text_read(loader, whole, text, length);
	if (loader->error == 0)
		supervisord_include(loader, included_read, loader);
	if (loader->error == 0)
		supervisord_finish(loader);
	if (loader->error == 0)
		sections_finish(loader);
	errors_sort(errors);
	errors_settle(errors, loader->file);
	error = loader->error;
	if (error == 0 && errors->count != 0)
		error = -EINVAL;
	if (error == 0)
		*config = *filled;
	else
		config_free(filled);
	loader_free(loader);
	free(filled);
	return error;
}

int config_load_text(
	const char *text, size_t length, struct config *config, struct config_errors *errors)
{
	return load(NULL, text, length, config, errors);
}

int config_load(const char *path, struct config *config, struct config_errors *errors)
{
	char *text = NULL;
	size_t length = 0;
	int error = text_file_read(path, &text, &length);

	if (error != 0) {
		errors->count = 0;
		errors->note_count = 0;
		errors_note(errors, 0,
			"cannot read it: %s: expected a readable file of at most 1 MiB",
			error == -ENOTSUP ? "Not a regular file" : strerror(-error));
		return error;
	}
	error = load(path, text, length, config, errors);
	free(text);
	return error;
}
