/* The environment of a child, built before the fork. */
#include "supervisor/process/environment.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool entry_is(const char *entry, const char *name, size_t name_bytes)
{
	return strncmp(entry, name, name_bytes) == 0 && entry[name_bytes] == '=';
}

static size_t index_of(const struct environment *environment, const char *name, size_t name_bytes)
{
	size_t i = 0;
	while (i < environment->count && !entry_is(environment->entries[i], name, name_bytes))
		i++;
	return i;
}

/* Takes the entry, which comes from malloc; frees it on failure. */
static int place(struct environment *environment, char *entry, size_t name_bytes)
{
	size_t at = index_of(environment, entry, name_bytes);
	if (at < environment->count) {
		free(environment->entries[at]);
		environment->entries[at] = entry;
		return 0;
	}
	if (environment->count + 1 >= environment->room) {
		size_t room = environment->room * 2 + 16;
		char **grown = realloc(environment->entries, room * sizeof *grown);
		if (grown == NULL) {
			free(entry);
			return -ENOMEM;
		}
		environment->entries = grown;
		environment->room = room;
	}
	environment->entries[environment->count++] = entry;
	environment->entries[environment->count] = NULL;
	return 0;
}

int environment_init(struct environment *environment, char *const *entries)
{
	size_t count = 0;
	while (entries != NULL && entries[count] != NULL)
		count++;
	struct environment made = {.room = count + 16};
	made.entries = calloc(made.room, sizeof *made.entries);
	if (made.entries == NULL)
		return -ENOMEM;
	for (; made.count < count; made.count++) {
		made.entries[made.count] = strdup(entries[made.count]);
		if (made.entries[made.count] == NULL) {
			environment_fini(&made);
			return -ENOMEM;
		}
	}
	*environment = made;
	return 0;
}

void environment_fini(struct environment *environment)
{
	for (size_t i = 0; i < environment->count; i++)
		free(environment->entries[i]);
	free(environment->entries);
	*environment = (struct environment){0};
}

const char *environment_get(const struct environment *environment, const char *name)
{
	size_t name_bytes = strlen(name);
	size_t at = index_of(environment, name, name_bytes);
	return at < environment->count ? environment->entries[at] + name_bytes + 1 : NULL;
}

int environment_set(struct environment *environment, const char *name, const char *value)
{
	char *entry;
	if (asprintf(&entry, "%s=%s", name, value) < 0)
		return -ENOMEM;
	return place(environment, entry, strlen(name));
}

int environment_put(struct environment *environment, const char *entry)
{
	const char *equals = strchr(entry, '=');
	if (equals == NULL)
		return -EINVAL;
	char *copy = strdup(entry);
	if (copy == NULL)
		return -ENOMEM;
	return place(environment, copy, (size_t)(equals - entry));
}

void environment_unset(struct environment *environment, const char *name)
{
	size_t at = index_of(environment, name, strlen(name));
	if (at == environment->count)
		return;
	free(environment->entries[at]);
	memmove(&environment->entries[at], &environment->entries[at + 1],
		(environment->count - at) * sizeof *environment->entries);
	environment->count--;
}
