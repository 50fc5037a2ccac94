/* Puts values in place of %(NAME)s. */
#include "config/expand.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH_MOST 64

static const char *lookup(const struct expand_name *names, const char *name, size_t length)
{
	for (; names->name != NULL; names++)
		if (strlen(names->name) == length && strncmp(names->name, name, length) == 0)
			return names->value;
	if (length > 4 && strncmp(name, "ENV_", 4) == 0) {
		char *variable = strndup(name + 4, length - 4);
		const char *value = variable != NULL ? getenv(variable) : NULL;
		free(variable);
		return value;
	}
	return NULL;
}

/* What stands between ) and the conversion: at is behind it then. */
static int width_take(const char **at, int *width, bool *zeros)
{
	char *end;
	long value;

	*zeros = **at == '0';
	value = strtol(*at, &end, 10);
	if (value > WIDTH_MOST || !(isdigit((unsigned char)**at) || end == *at))
		return -EINVAL;
	*width = (int)value;
	*at = end;
	return 0;
}

/* One of %(NAME)...; *text is behind the ( and then behind all of it. */
static int name_put(const char **text, const struct expand_name *names, FILE *to, const char **why,
	const char **unknown, size_t *unknown_bytes)
{
	size_t length = strcspn(*text, ")");
	const char *at = *text + length;
	const char *value = lookup(names, *text, length);
	bool zeros = false;
	int width = 0;

	if (*at == '\0') {
		*why = "%( without its )";
		return -EINVAL;
	}
	at++;
	if (width_take(&at, &width, &zeros) != 0 || (*at != 's' && *at != 'd')) {
		*why = "%(NAME) without an s or d behind it";
		return -EINVAL;
	}
	if (value == NULL) {
		*unknown = *text;
		*unknown_bytes = length;
		return -EINVAL;
	}
	if (*at == 'd' && (value[0] == '\0' || value[strspn(value, "0123456789")] != '\0')) {
		*why = "%(NAME)d of what is no number";
		return -EINVAL;
	}
	if (*at == 'd' && zeros)
		fprintf(to, "%0*d", width, atoi(value));
	else
		fprintf(to, "%*s", width, value);
	*text = at + 1;
	return 0;
}

int expand_text(const char *text, const struct expand_name *names, char **expanded,
	const char **why, const char **unknown, size_t *unknown_bytes)
{
	size_t size = 0;
	char *result = NULL;
	FILE *to = open_memstream(&result, &size);
	int error = 0;

	*why = "out of memory";
	*unknown = NULL;
	if (to == NULL)
		return -ENOMEM;
	while (error == 0 && *text != '\0') {
		size_t plain = strcspn(text, "%");
		fwrite(text, 1, plain, to);
		text += plain;
		if (text[0] == '\0')
			break;
		if (text[1] == '(') {
			text += 2;
			error = name_put(&text, names, to, why, unknown, unknown_bytes);
			continue;
		}
		fputc('%', to);
		text += text[1] == '%' ? 2 : 1;
	}
	if (error == 0 && ferror(to))
		error = -ENOMEM;
	/* Without memory for its last step glibc says 0, and leaves nothing. */
	if ((fclose(to) != 0 || result == NULL) && error == 0)
		error = -ENOMEM;
	if (error == 0)
		*expanded = result;
	else
		free(result);
	return error;
}
