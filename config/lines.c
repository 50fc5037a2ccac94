/* Cuts a text into sections, keys and values. */
#include "config/lines.h"

#include <string.h>

#define BLANKS " \t"

void lines_init(struct lines *lines, const char *text, size_t length)
{
	static const char byte_order_mark[] = "\xEF\xBB\xBF";
	const size_t mark_bytes = sizeof byte_order_mark - 1;

	lines->next = text;
	lines->end = text + length;
	lines->number = 0;
	if (length >= mark_bytes && memcmp(text, byte_order_mark, mark_bytes) == 0)
		lines->next += mark_bytes;
}

static void refuse(struct line *line, const char *problem)
{
	line->kind = LINE_BAD;
	line->problem = problem;
}

/* Copies the line's bytes; false where the parser could not read them as they are. */
static bool bytes_copy(struct line *line, const char *start, size_t length)
{
	while (length > 0 && strchr(BLANKS "\r", start[length - 1]) != NULL &&
		start[length - 1] != '\0')
		length--;
	if (length > LINES_BYTES_MAX) {
		refuse(line, "the line is too long: expected at most 8192 bytes");
		return false;
	}
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)start[i];
		if (c == '\0') {
			refuse(line, "a NUL byte in the line: expected text");
			return false;
		}
		if ((c < ' ' && c != '\t') || c == 0x7F) {
			refuse(line, "a control character in the line: expected text");
			return false;
		}
	}
	memcpy(line->text, start, length);
	line->text[length] = '\0';
	return true;
}

static void section_read(struct line *line)
{
	const char *start = line->text + 1;
	const char *end = strchr(start, ']');

	if (end == NULL) {
		refuse(line, "a section without its ]: expected [KIND:NAME]");
	} else if (end[1] != '\0') {
		refuse(line, "text after the ]: expected [KIND:NAME] alone, a comment needs a line "
			     "of its own");
	} else if (end - start > LINES_SECTION_CHARS_MAX) {
		refuse(line, "the section's name is too long: expected at most 48 characters");
	} else {
		line->kind = LINE_SECTION;
		memcpy(line->section, start, (size_t)(end - start));
		line->section[end - start] = '\0';
	}
}

static void key_read(struct line *line)
{
	size_t length = strcspn(line->text, "=:");
	const char *separator = line->text + length;

	while (length > 0 && strchr(BLANKS, line->text[length - 1]) != NULL)
		length--;
	if (*separator == '\0') {
		refuse(line, "a line without =: expected KEY = VALUE");
	} else if (length == 0) {
		refuse(line, "no key before the =: expected KEY = VALUE");
	} else if (length > LINES_KEY_CHARS_MAX) {
		refuse(line, "the key is too long: expected at most 48 characters");
	} else {
		line->kind = LINE_KEY;
		line->value = separator + 1 + strspn(separator + 1, BLANKS);
	}
}

void lines_take(struct lines *lines, struct line *line)
{
	const char *start = lines->next;
	const char *newline;

	line->kind = LINE_END;
	line->starts_section = false;
	line->problem = NULL;
	line->section[0] = '\0';
	line->text[0] = '\0';
	line->value = line->text;
	if (start == lines->end)
		return;
	newline = memchr(start, '\n', (size_t)(lines->end - start));
	lines->next = newline != NULL ? newline + 1 : lines->end;
	lines->number++;
	line->starts_section = *start == '[';
	line->kind = LINE_BLANK;
	if (!bytes_copy(line, start, (size_t)((newline != NULL ? newline : lines->end) - start)))
		return;
	start = line->text + strspn(line->text, BLANKS);
	if (*start == '\0' || *start == ';' || *start == '#')
		return;
	if (start != line->text)
		refuse(line,
			"an indented line: expected a key in the first column, and every value "
			"on one line");
	else if (*start == '[')
		section_read(line);
	else
		key_read(line);
}
