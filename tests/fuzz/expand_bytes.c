/* Bytes as a value in which %(NAME)s stands. */
#include "tests/fuzz/targets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/expand.h"

static const struct expand_name names[] = {
	{"program_name", "web"},
	{"process_num", "7"},
	{"numprocs", "12"},
	{"here", "/etc/app"},
	{"empty", ""},
	{NULL, NULL},
};

static const char *judge_failure(
	const char *text, int error, const char *why, const char *unknown, size_t unknown_bytes)
{
	if (error == -ENOMEM)
		return NULL;
	if (error != -EINVAL)
		return "an error of its own";
	if (unknown == NULL)
		return why != NULL && why[0] != '\0' ? NULL : "nobody says why";
	if (unknown < text || unknown + unknown_bytes > text + strlen(text))
		return "the unknown name is not in the text";
	return NULL;
}

const char *expand_bytes_play(const uint8_t *bytes, size_t count)
{
	const char *why = NULL;
	const char *unknown = NULL;
	size_t unknown_bytes = 0;
	char *expanded = NULL;
	char *text = strndup((const char *)bytes, count);
	if (text == NULL)
		return NULL;
	int error = expand_text(text, names, &expanded, &why, &unknown, &unknown_bytes);
	const char *wrong =
		error == 0 ? NULL : judge_failure(text, error, why, unknown, unknown_bytes);
	if (error == 0 && strchr(text, '%') == NULL && strcmp(text, expanded) != 0)
		wrong = "what has no % in it has changed";
	if (error == 0)
		free(expanded);
	free(text);
	return wrong;
}
