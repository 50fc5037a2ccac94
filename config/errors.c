/* Collects what is wrong with a file, for one report. */
#include "config/errors.h"

#include <stdarg.h>
#include <string.h>

void errors_note(struct config_errors *errors, unsigned line, const char *format, ...)
{
	size_t index = errors->count++;
	va_list arguments;

	if (index >= CONFIG_ERRORS_MAX)
		return;
	errors->error[index].line = line;
	va_start(arguments, format);
	vsnprintf(errors->error[index].text, CONFIG_ERROR_BYTES, format, arguments);
	va_end(arguments);
}

static size_t kept(const struct config_errors *errors)
{
	return errors->count < CONFIG_ERRORS_MAX ? errors->count : CONFIG_ERRORS_MAX;
}

/* Insertion sort: few, nearly sorted, and it must be stable. */
void errors_sort(struct config_errors *errors)
{
	for (size_t i = 1; i < kept(errors); i++) {
		struct config_error moving = errors->error[i];
		size_t at = i;
		for (; at > 0 && errors->error[at - 1].line > moving.line; at--)
			errors->error[at] = errors->error[at - 1];
		errors->error[at] = moving;
	}
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

void config_errors_print(const char *path, const struct config_errors *errors, FILE *stream)
{
	for (size_t i = 0; i < kept(errors); i++) {
		const struct config_error *error = &errors->error[i];
		if (error->line == 0)
			fprintf(stream, "%s: %s\n", path, error->text);
		else
			fprintf(stream, "%s:%u: %s\n", path, error->line, error->text);
	}
	if (errors->count > CONFIG_ERRORS_MAX)
		fprintf(stream, "%s: and %zu more\n", path, errors->count - CONFIG_ERRORS_MAX);
}
