/* Cuts a text into sections, keys and values. */
#include "config/lines.h"

#include <ctype.h>
#include <string.h>

#define BLANKS " \t"

void lines_init(struct lines *lines, const char *text, size_t length)
{
	static const char byte_order_mark[] = "\xEF\xBB\xBF";
	const size_t mark_bytes = sizeof byte_order_mark - 1;

	lines->next = text;
	lines->end = text + length;
	lines->number = 0;
	lines->is_supervisords = false;
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

bool lines_supervisords(const char *section)
{
	static const char *const kinds[] = {"supervisord", "program", "group", "include",
		"unix_http_server", "inet_http_server", "supervisorctl", "rpcinterface",
		"eventlistener", "fcgi-program"};
	size_t length = strcspn(section, ":");

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strlen(kinds[i]) == length && strncmp(kinds[i], section, length) == 0)
			return true;
	return false;
}

static void section_read(struct lines *lines, struct line *line)
{
	const char *start = line->text + 1;
	const char *end = strchr(start, ']');

	lines->is_supervisords = false;
	if (end == NULL) {
		refuse(line, "a section without its ]: expected [KIND:NAME]");
		return;
	}
	if (end - start > LINES_SECTION_CHARS_MAX) {
		refuse(line, "the section's name is too long: expected at most 48 characters");
		return;
	}
	memcpy(line->section, start, (size_t)(end - start));
	line->section[end - start] = '\0';
	lines->is_supervisords = lines_supervisords(line->section);
	if (end[1] != '\0' && !lines->is_supervisords)
		refuse(line, "text after the ]: expected [KIND:NAME] alone, a comment needs a line "
			     "of its own");
	else
		line->kind = LINE_SECTION;
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

static const char *line_end(const struct lines *lines, const char *start)
{
	const char *newline = memchr(start, '\n', (size_t)(lines->end - start));

	return newline != NULL ? newline : lines->end;
}

static size_t indent_of(const char *start, const char *end)
{
	size_t indent = 0;

	while (start + indent < end && (start[indent] == ' ' || start[indent] == '\t'))
		indent++;
	return indent;
}

static bool is_blank_or_comment(const char *start, const char *end)
{
	start += indent_of(start, end);
	return start == end || *start == ';' || *start == '#' || *start == '\r';
}

/* Where a comment begins that follows a blank; where there is none, the end. */
static const char *comment_find(const char *start, const char *end)
{
	for (const char *at = start; at + 1 < end; at++)
		if ((*at == ' ' || *at == '\t') && (at[1] == ';' || at[1] == '#'))
			return at;
	return end;
}

/* The next line that continues the value of a key so far indented; NULL where there is none. */
static const char *continuation_find(const struct lines *lines, size_t indent, unsigned *skipped)
{
	const char *start = lines->next;

	for (*skipped = 0; start < lines->end; (*skipped)++) {
		const char *end = line_end(lines, start);
		if (!is_blank_or_comment(start, end))
			return indent_of(start, end) > indent ? start : NULL;
		start = end < lines->end ? end + 1 : end;
	}
	return NULL;
}

/* Appends the lines that continue this one.  The text so far is sound. */
static bool continuations_take(struct lines *lines, struct line *line, size_t indent)
{
	static struct line more;
	const char *start;
	unsigned skipped;

	while ((start = continuation_find(lines, indent, &skipped)) != NULL) {
		const char *end = line_end(lines, start);
		size_t length = strlen(line->text);
		lines->number += skipped + 1;
		lines->next = end < lines->end ? end + 1 : end;
		start += indent_of(start, end);
		if (!bytes_copy(&more, start, (size_t)(comment_find(start, end) - start))) {
			refuse(line, more.problem);
			return false;
		}
		if (length + 1 + strlen(more.text) > LINES_BYTES_MAX) {
			refuse(line, "the value is too long: expected at most 8192 bytes");
			return false;
		}
		line->text[length] = ' ';
		memcpy(line->text + length + 1, more.text, strlen(more.text) + 1);
	}
	return true;
}

/* A line that is neither blank nor a comment, within a section of supervisord's. */
static void supervisords_line_read(
	struct lines *lines, struct line *line, const char *start, const char *end)
{
	size_t indent = indent_of(start, end);

	start += indent;
	line->starts_section = *start == '[';
	if (!bytes_copy(line, start, (size_t)(comment_find(start, end) - start)))
		return;
	if (*start == '[') {
		section_read(lines, line);
		return;
	}
	if (!continuations_take(lines, line, indent))
		return;
	key_read(line);
	for (char *at = line->text; line->kind == LINE_KEY && *at != '=' && *at != ':'; at++)
		*at = (char)tolower((unsigned char)*at);
}

void lines_take(struct lines *lines, struct line *line)
{
	const char *start = lines->next;
	const char *end;

	line->kind = LINE_END;
	line->starts_section = false;
	line->problem = NULL;
	line->section[0] = '\0';
	line->text[0] = '\0';
	line->value = line->text;
	line->number = lines->number;
	if (start == lines->end)
		return;
	end = line_end(lines, start);
	lines->next = end < lines->end ? end + 1 : end;
	line->number = ++lines->number;
	line->starts_section = *start == '[';
	line->kind = LINE_BLANK;
	if (lines->is_supervisords && !is_blank_or_comment(start, end)) {
		supervisords_line_read(lines, line, start, end);
		return;
	}
	if (!bytes_copy(line, start, (size_t)(end - start)))
		return;
	start = line->text + strspn(line->text, BLANKS);
	if (*start == '\0' || *start == ';' || *start == '#')
		return;
	if (start != line->text)
		refuse(line,
			"an indented line: expected a key in the first column, and every value "
			"on one line");
	else if (*start == '[')
		section_read(lines, line);
	else
		key_read(line);
}
