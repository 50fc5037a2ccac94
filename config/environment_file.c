/* Reads files of variables for a service's environment. */
#include "config/environment_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/command.h"
#include "config/text_file.h"

#define EXPORT "export "

/* Of a line: its end, without blanks before it. */
static const char *trim(const char *from, const char *end)
{
	while (end > from && isspace((unsigned char)end[-1]))
		end--;
	return end;
}

/* The value in quotes, into pair from at on.  false: there is no end of it, or something behind. */
static bool take_quoted(const char *from, const char *end, char *pair, size_t at)
{
	char quote = *from++;
	for (; from < end && *from != quote; from++) {
		if (quote == '"' && *from == '\\' && from + 1 < end)
			from++;
		pair[at++] = *from;
	}
	pair[at] = '\0';
	return from + 1 == end;
}

/* NULL with *problem: what is wrong; NULL without: no memory. */
static char *pair_of(const char *from, const char *end, const char **problem)
{
	size_t name = 0;
	size_t rest;
	char *pair;

	if ((size_t)(end - from) > strlen(EXPORT) && strncmp(from, EXPORT, strlen(EXPORT)) == 0)
		from += strlen(EXPORT);
	while (from < end && isspace((unsigned char)*from))
		from++;
	while (from + name < end && (isalnum((unsigned char)from[name]) || from[name] == '_'))
		name++;
	if (name == 0 || isdigit((unsigned char)from[0]) || from + name == end ||
		from[name] != '=') {
		*problem = "not understood: expected NAME=value";
		return NULL;
	}
	pair = malloc((size_t)(end - from) + 1);
	if (pair == NULL)
		return NULL;
	memcpy(pair, from, name + 1);
	from += name + 1;
	while (from < end && isspace((unsigned char)*from))
		from++;
	rest = (size_t)(end - from);
	if (rest > 0 && (*from == '"' || *from == '\'')) {
		if (take_quoted(from, end, pair, name + 1))
			return pair;
		*problem = "a quote without its end, or with something behind it: expected "
			   "NAME=\"value\"";
		free(pair);
		return NULL;
	}
	memcpy(pair + name + 1, from, rest);
	pair[name + 1 + rest] = '\0';
	return pair;
}

int environment_file_parse(const char *path, const char *text, size_t length, char ***pairs,
	char why[static ENVIRONMENT_FILE_WHY_BYTES])
{
	size_t room = 2;
	size_t count = 0;
	unsigned line = 0;

	for (size_t i = 0; i < length; i++)
		room += text[i] == '\n';
	char **list = calloc(room, sizeof *list);
	for (size_t at = 0; list != NULL && at < length;) {
		const char *newline = memchr(text + at, '\n', length - at);
		size_t bytes = newline != NULL ? (size_t)(newline - text) - at : length - at;
		const char *from = text + at;
		const char *end = trim(from, from + bytes);
		const char *problem = NULL;
		line++;
		at += bytes + 1;
		while (from < end && isspace((unsigned char)*from))
			from++;
		if (from == end || *from == '#' || *from == ';')
			continue;
		if (memchr(from, '\0', (size_t)(end - from)) != NULL)
			problem = "a NUL: expected text";
		else
			list[count] = pair_of(from, end, &problem);
		if (list[count] != NULL) {
			count++;
			continue;
		}
		snprintf(why, ENVIRONMENT_FILE_WHY_BYTES, "%s:%u: %s", path, line,
			problem != NULL ? problem : "out of memory");
		command_free(list);
		return problem != NULL ? -EINVAL : -ENOMEM;
	}
	if (list == NULL) {
		snprintf(why, ENVIRONMENT_FILE_WHY_BYTES, "%s: out of memory", path);
		return -ENOMEM;
	}
	*pairs = list;
	return 0;
}

int environment_file_read(
	const char *path, char ***pairs, char why[static ENVIRONMENT_FILE_WHY_BYTES])
{
	char *text = NULL;
	size_t length = 0;
	int error = text_file_read(path, &text, &length);

	if (error != 0) {
		snprintf(why, ENVIRONMENT_FILE_WHY_BYTES,
			"%s: %s: expected a readable file of at most 1 MiB", path,
			error == -ENOTSUP ? "Not a regular file" : strerror(-error));
		return error;
	}
	error = environment_file_parse(path, text, length, pairs, why);
	free(text);
	return error;
}
