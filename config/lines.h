#ifndef CONFIG_LINES_H
#define CONFIG_LINES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The lines of an INI text, each told what it is before the INI parser sees it.
 *
 * The parser behind load.c cuts what does not fit its buffers, ignores what
 * follows a ], and reads an indented line as more of the value above.  All
 * that is refused here, with the line's number, so that the parser only ever
 * gets lines that it can read in one way.  In this dialect
 *   - a comment is a line of its own that starts with ; or #;
 *   - ; and # within a value are part of the value;
 *   - a value ends with its line, which is up to LINES_BYTES_MAX long;
 *   - a key starts in the first column.
 *
 * Sections of supervisord's are read as supervisord reads them (Python's configparser):
 *   - what follows a blank and a ; or # is a comment;
 *   - lines that are indented more than the key continue its value: all of it comes as one line,
 *     a blank in place of each line's end;
 *   - keys are in lower case, whatever was written, and they and sections may be indented;
 *   - what follows a section's ] is not looked at.
 */

#define LINES_BYTES_MAX 8192
#define LINES_KEY_CHARS_MAX 48
#define LINES_SECTION_CHARS_MAX 64

struct lines {
	const char *next;
	const char *end;
	unsigned number;      /* of the line last taken; the first is 1 */
	bool is_supervisords; /* the section that it is in */
};

enum line_kind {
	LINE_END,
	LINE_BLANK, /* or a comment */
	LINE_SECTION,
	LINE_KEY,
	LINE_BAD
};

struct line {
	enum line_kind kind;
	unsigned number;                           /* of the first, where there are several */
	const char *problem;                       /* LINE_BAD: what is wrong with it */
	bool starts_section;                       /* even where it is LINE_BAD */
	char section[LINES_SECTION_CHARS_MAX + 1]; /* LINE_SECTION: what stands in [] */
	const char *value;                         /* LINE_KEY: within text */
	char text[LINES_BYTES_MAX + 1];            /* without the line's end and trailing blanks */
};

/* Whether a section with that in its [] is one of supervisord's. */
bool lines_supervisords(const char *section);

void lines_init(struct lines *lines, const char *text, size_t length);
void lines_take(struct lines *lines, struct line *line);

#endif
