#include "tests/bench/demo/spillway_log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 1200

/* "12.3M" at *text, which moves past it. */
static uint64_t size_read(char **text)
{
	static const char units[] = "KMGT";
	double value = strtod(*text, text);
	const char *unit = **text ? strchr(units, **text) : NULL;

	if (!unit)
		return (uint64_t)value;
	*text += 1;
	return (uint64_t)(value * (double)(1ULL << (10 * (unit - units + 1))));
}

static int line_add(char *text, struct record_totals *totals)
{
	const struct {
		const char *after;
		uint64_t *total;
	} parts[] = {
		{" in the background, ", &totals->released_background_bytes},
		{" for growth, ", &totals->released_growth_bytes},
		{" at lazy, ", &totals->released_lazy_bytes},
		{" at eager, ", &totals->released_eager_bytes},
		{" at full;", &totals->released_full_bytes},
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		*parts[i].total += size_read(&text);
		if (strncmp(text, parts[i].after, strlen(parts[i].after)) != 0)
			return -EPROTO;
		text += strlen(parts[i].after);
	}
	return 0;
}

int spillway_log_totals(const char *path, struct record_totals *totals)
{
	static const char mark[] = ": in all: returned ";
	FILE *file = fopen(path, "re");
	char line[LINE_BYTES];
	int rc = -ENOENT;

	if (!file)
		return -errno;
	while (rc != -EPROTO && fgets(line, sizeof(line), file)) {
		char *found = strstr(line, mark);

		if (found)
			rc = line_add(found + sizeof(mark) - 1, totals);
	}
	(void)fclose(file);
	return rc;
}
