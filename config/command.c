/* Splits a command line into words, and KEY=value lists into entries. */
#include "config/command.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t"

static const char out_of_memory[] = "out of memory";

/* At least capacity - 1 entries and the NULL; text bounds how many there can be. */
static char **list_new(size_t capacity)
{
	return calloc(capacity, sizeof(char *));
}

void command_free(char **list)
{
	if (list == NULL)
		return;
	for (size_t i = 0; list[i] != NULL; i++)
		free(list[i]);
	free(list);
}

/* How supervisord differs from a shell: Python's shlex. */
struct dialect {
	const char *escaped; /* what a backslash within "..." takes as it is */
	bool has_backslash;  /* outside of quotes */
	bool is_plain; /* a word may begin with any character, and a later pair replaces one */
};

static const struct dialect shell = {.escaped = "\"\\$`", .has_backslash = true};
static const struct dialect plain_command = {
	.escaped = "\"\\", .has_backslash = true, .is_plain = true};
static const struct dialect plain_pairs = {.escaped = "", .is_plain = true};

/* Inside "...": *text is behind the opening quote, and then behind the closing one. */
static int double_quoted_take(
	const struct dialect *dialect, const char **text, char **out, const char **why)
{
	const char *at = *text;

	while (*at != '"') {
		if (at[0] == '\\' && at[1] != '\0' && strchr(dialect->escaped, at[1]) != NULL)
			at++;
		if (*at == '\0') {
			*why = "a \" without its second \"";
			return -EINVAL;
		}
		*(*out)++ = *at++;
	}
	*text = at + 1;
	return 0;
}

static int single_quoted_take(const char **text, char **out, const char **why)
{
	const char *end = strchr(*text, '\'');

	if (end == NULL) {
		*why = "a ' without its second '";
		return -EINVAL;
	}
	memcpy(*out, *text, (size_t)(end - *text));
	*out += end - *text;
	*text = end + 1;
	return 0;
}

/* Appends the word at *text to *out, up to an unquoted character of stops. */
static int word_take(const struct dialect *dialect, const char **text, const char *stops,
	char **out, const char **why)
{
	int error = 0;

	while (error == 0 && **text != '\0' && strchr(stops, **text) == NULL) {
		char c = *(*text)++;
		if (c == '"') {
			error = double_quoted_take(dialect, text, out, why);
		} else if (c == '\'') {
			error = single_quoted_take(text, out, why);
		} else if (c != '\\' || !dialect->has_backslash) {
			*(*out)++ = c;
		} else if (**text == '\0') {
			*why = "a backslash with nothing behind it";
			error = -EINVAL;
		} else {
			*(*out)++ = *(*text)++;
		}
	}
	return error;
}

static const char *blanks_skip(const char *text)
{
	return text + strspn(text, BLANKS);
}

static int append(char **list, size_t *count, const char *word, size_t length, const char **why)
{
	char *copy = strndup(word, length);

	if (copy == NULL) {
		*why = out_of_memory;
		return -ENOMEM;
	}
	list[(*count)++] = copy;
	return 0;
}

static int split(const struct dialect *dialect, const char *text, char ***words, const char **why)
{
	size_t size = strlen(text) + 1;
	char *word = malloc(size);
	char **list = list_new(size / 2 + 2);
	size_t count = 0;
	int error = -ENOMEM;

	*why = out_of_memory;
	if (word == NULL || list == NULL)
		goto out;
	error = 0;
	for (text = blanks_skip(text); error == 0 && *text != '\0'; text = blanks_skip(text)) {
		char *out = word;
		if (!dialect->is_plain && strchr(";#|&<>", *text) != NULL) {
			*why = "a word that starts with one of ; # | & < > and is not quoted "
			       "(no shell reads this, and a comment needs a line of its own)";
			error = -EINVAL;
		} else {
			error = word_take(dialect, &text, BLANKS, &out, why);
		}
		if (error == 0)
			error = append(list, &count, word, (size_t)(out - word), why);
	}
	if (error == 0 && (count == 0 || list[0][0] == '\0')) {
		*why = "no program to run";
		error = -EINVAL;
	}
	if (error == 0) {
		*words = list;
		list = NULL;
	}
out:
	free(word);
	command_free(list);
	return error;
}

int command_split(const char *text, char ***words, const char **why)
{
	return split(&shell, text, words, why);
}

int command_split_plain(const char *text, char ***words, const char **why)
{
	return split(&plain_command, text, words, why);
}

static bool has_key(char **list, const char *pair, size_t key_length)
{
	for (; *list != NULL; list++)
		if (strncmp(*list, pair, key_length + 1) == 0)
			return true;
	return false;
}

/* KEY and the = behind it. */
static int key_take(const char **text, char **out, const char **why)
{
	const char *start = *text;
	const char *at = start;

	while (isalnum((unsigned char)*at) || *at == '_')
		at++;
	if (at == start || isdigit((unsigned char)*start)) {
		*why = "no name (letters, digits, _, not starting with a digit) where one must be";
		return -EINVAL;
	}
	if (*at != '=') {
		*why = "a name without = behind it";
		return -EINVAL;
	}
	at++;
	memcpy(*out, start, (size_t)(at - start));
	*out += at - start;
	*text = at;
	return 0;
}

/* One KEY=VALUE and the comma behind it. */
static int pair_take(const struct dialect *dialect, const char **text, char **list, size_t *count,
	char *pair, const char **why)
{
	char *out = pair;
	size_t key_length;
	int error = key_take(text, &out, why);

	if (error != 0)
		return error;
	key_length = (size_t)(out - pair) - 1;
	error = word_take(dialect, text, BLANKS ",", &out, why);
	if (error != 0)
		return error;
	*text = blanks_skip(*text);
	if (**text != ',' && **text != '\0') {
		*why = "text behind a value: a value with blanks must be quoted, and a comma must "
		       "follow it";
		return -EINVAL;
	}
	if (**text == ',')
		*text = blanks_skip(*text + 1);
	if (!dialect->is_plain && has_key(list, pair, key_length)) {
		*why = "the same name twice";
		return -EINVAL;
	}
	return append(list, count, pair, (size_t)(out - pair), why);
}

static int environment(
	const struct dialect *dialect, const char *text, char ***pairs, const char **why)
{
	size_t size = strlen(text) + 1;
	char *pair = malloc(size);
	char **list = list_new(size / 2 + 2);
	size_t count = 0;
	int error = -ENOMEM;

	*why = out_of_memory;
	if (pair == NULL || list == NULL)
		goto out;
	error = 0;
	text = blanks_skip(text);
	while (error == 0 && *text != '\0')
		error = pair_take(dialect, &text, list, &count, pair, why);
	if (error == 0) {
		*pairs = list;
		list = NULL;
	}
out:
	free(pair);
	command_free(list);
	return error;
}

int command_environment(const char *text, char ***pairs, const char **why)
{
	return environment(&shell, text, pairs, why);
}

int command_environment_plain(const char *text, char ***pairs, const char **why)
{
	return environment(&plain_pairs, text, pairs, why);
}
