/* The environment's variables, before libc is ready, and what is said of bad ones. */
#include "shim/environment.h"

#include "shim/kernel.h"

#include <string.h>
#include <unistd.h>

#define LINE_BYTES 320U
#define VALUE_CHARS 60U

struct line {
	char text[LINE_BYTES];
	size_t length;
};

/* As much as there is room for, a character of a terminal's control as a question mark. */
static void line_add(struct line *line, const char *text, size_t chars_max)
{
	for (size_t i = 0; i < chars_max && text[i] != '\0'; i++)
		if (line->length < LINE_BYTES)
			line->text[line->length++] = text[i] < ' ' || text[i] > '~' ? '?' : text[i];
}

const char *environment_find(char **environment, const char *name)
{
	size_t length = strlen(name);

	for (; *environment != NULL; environment++)
		if (strncmp(*environment, name, length) == 0 && (*environment)[length] == '=')
			return *environment + length + 1;
	return NULL;
}

void environment_complain(const char *name, const char *value, const char *expected)
{
	struct line line = {.length = 0};

	line_add(&line, "spillway: bad ", LINE_BYTES);
	line_add(&line, name, LINE_BYTES);
	line_add(&line, " '", LINE_BYTES);
	line_add(&line, value, VALUE_CHARS);
	line_add(&line, strnlen(value, VALUE_CHARS + 1) > VALUE_CHARS ? "...'" : "'", LINE_BYTES);
	line_add(&line, ": expected ", LINE_BYTES);
	line_add(&line, expected, LINE_BYTES);
	line_add(&line, "; using the default", LINE_BYTES - 1 - line.length);
	if (line.length == LINE_BYTES)
		line.length--;
	line.text[line.length++] = '\n';
	(void)kernel_write(STDERR_FILENO, line.text, line.length);
}
