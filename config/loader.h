#ifndef CONFIG_LOADER_H
#define CONFIG_LOADER_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "config/keys.h"
#include "config/lines.h"
#include "config/place.h"

/* What the files of the loader share while texts are read (load.c, sections.c, supervisord.c,
 * program.c).  For nobody else. */

/* Where keys belong, beside the kinds of our own sections: */
#define SECTION_NONE SECTION_KINDS          /* before the first section */
#define SECTION_REFUSED (SECTION_KINDS + 1) /* it has been said what is wrong with it */
#define SECTION_RAW (SECTION_KINDS + 2)     /* supervisord's: raw_now */
#define SECTION_IGNORED (SECTION_KINDS + 3)

/* What is noted of each service beside its settings. */
struct service_note {
	char policy[CONFIG_NAME_BYTES]; /* "" = default */
	int group_priority;             /* goes before its own */
	const char *program;            /* of whose processes it is one; NULL = of none */
};

/* A section of supervisord's as it is written; what it means is known when all is read. */
struct raw_key {
	struct raw_key *next;
	unsigned place;
	char *value; /* owned */
	char name[LINES_KEY_CHARS_MAX + 1];
};

struct raw_section {
	struct raw_section *next;
	unsigned place;
	struct raw_key *keys; /* owned; in the order of the file */
	char text[LINES_SECTION_CHARS_MAX + 1];
	const char *kind; /* these two are parts of text */
	const char *name; /* "" where it has none */
	char parts[LINES_SECTION_CHARS_MAX + 1];
};

struct loader {
	struct config *config; /* being filled */
	struct config_errors *errors;
	int error; /* the first that is none of the file's, such as -ENOMEM */

	/* What was read, the included files too, and in which folder that is; NULL = it is a text
	 * without one. */
	char **file;
	char **folder;
	unsigned file_count;

	struct lines lines; /* what inih has not seen */
	struct line line;   /* what it sees now */
	bool waiting;       /* for its call about this key line */
	int section;
	size_t index; /* into services[] or policies[], and their lines */
	struct config_lines at;
	struct service_note *note; /* of services */

	struct raw_section *raw; /* owned; in the order of the files */
	struct raw_section *raw_now;
};

/* Where the line stands that is being read. */
static inline unsigned loader_place(const struct loader *loader)
{
	return place_of(loader->file_count - 1, loader->line.number);
}

/* Keeps -ENOMEM, and notes it once. */
void loader_out_of_memory(struct loader *loader, unsigned place);

#endif
