/* Collects what is wrong with a file, for one report. */
#include "config/errors.h"

#include <stdarg.h>
#include <string.h>

#include "config/place.h"

static void note(struct config_error *list, size_t *count, unsigned place, const char *format,
	va_list arguments)
{
	size_t index = (*count)++;

	if (index >= CONFIG_ERRORS_MAX)
		return;
	list[index].file[0] = '\0';
	list[index].line = place;
	vsnprintf(list[index].text, CONFIG_ERROR_BYTES, format, arguments);
}

void errors_note(struct config_errors *errors, unsigned place, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	note(errors->error, &errors->count, place, format, arguments);
	va_end(arguments);
}

void errors_remark(struct config_errors *errors, unsigned place, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	note(errors->note, &errors->note_count, place, format, arguments);
	va_end(arguments);
}

static size_t kept(size_t count)
{
	return count < CONFIG_ERRORS_MAX ? count : CONFIG_ERRORS_MAX;
}

/* Insertion sort: few, nearly sorted, and it must be stable. */
static void sort(struct config_error *list, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct config_error moving = list[i];
		size_t at = i;
		for (; at > 0 && list[at - 1].line > moving.line; at--)
			list[at] = list[at - 1];
		list[at] = moving;
	}
}

void errors_sort(struct config_errors *errors)
{
	sort(errors->error, kept(errors->count));
	sort(errors->note, kept(errors->note_count));
}

static void settle(struct config_error *list, size_t count, char *const *files)
{
	for (size_t i = 0; i < count; i++) {
		unsigned place = list[i].line;
		list[i].line = place_line(place);
		if (place_file(place) != 0)
			snprintf(list[i].file, CONFIG_FILE_BYTES, "%s", files[place_file(place)]);
	}
}

void errors_settle(struct config_errors *errors, char *const *files)
{
	settle(errors->error, kept(errors->count), files);
	settle(errors->note, kept(errors->note_count), files);
}

const char *errors_quote(char quoted[ERRORS_QUOTE_BYTES], const char *text)
{
	size_t length = strlen(text);
	const size_t most = ERRORS_QUOTE_BYTES - sizeof "\"...\"";

	if (length <= most) {
		snprintf(quoted, ERRORS_QUOTE_BYTES, "\"%s\"", text);
		return quoted;
	}
	length = most;
	while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
		length--;
	snprintf(quoted, ERRORS_QUOTE_BYTES, "\"%.*s...\"", (int)length, text);
	return quoted;
}

void config_error_format(
	const char *path, const struct config_error *error, char *text, size_t text_bytes)
{
	if (error->file[0] != '\0')
		path = error->file;
	if (error->line == 0)
		snprintf(text, text_bytes, "%s: %s", path, error->text);
	else
		snprintf(text, text_bytes, "%s:%u: %s", path, error->line, error->text);
}

static void print(const char *path, const struct config_error *list, size_t count, FILE *stream)
{
	char text[CONFIG_ERROR_BYTES + CONFIG_FILE_BYTES + 32];

	for (size_t i = 0; i < kept(count); i++) {
		config_error_format(path, &list[i], text, sizeof text);
		fprintf(stream, "%s\n", text);
	}
	if (count > CONFIG_ERRORS_MAX)
		fprintf(stream, "%s: and %zu more\n", path, count - CONFIG_ERRORS_MAX);
}

void config_errors_print(const char *path, const struct config_errors *errors, FILE *stream)
{
	print(path, errors->error, errors->count, stream);
}

void config_notes_print(const char *path, const struct config_errors *errors, FILE *stream)
{
	print(path, errors->note, errors->note_count, stream);
}
