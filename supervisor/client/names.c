/* Which services the words of a command line mean. */
#include "supervisor/client/names.h"

#include <stdlib.h>
#include <string.h>

bool names_is_pattern(const char *word)
{
	return strcmp(word, "all") == 0 || strchr(word, ':') != NULL;
}

static const char *text_of(const json_t *service, const char *key)
{
	const char *text = json_string_value(json_object_get(service, key));
	return text != NULL ? text : "";
}

/* "PROGRAM.PROCESS" is what a process of supervisord's is called whose name says no program. */
static bool is_process(const char *name, const char *process)
{
	size_t length = strlen(name);
	size_t tail = strlen(process);
	return strcmp(name, process) == 0 || (length > tail + 1 && name[length - tail - 1] == '.' &&
						     strcmp(name + length - tail, process) == 0);
}

static bool means(const char *word, const json_t *service)
{
	const char *colon = strchr(word, ':');
	const char *group = text_of(service, "group");
	if (strcmp(word, "all") == 0)
		return true;
	if (colon == NULL)
		return strcmp(word, text_of(service, "name")) == 0;
	size_t length = (size_t)(colon - word);
	if (strlen(group) != length || strncmp(word, group, length) != 0)
		return false;
	return strcmp(colon + 1, "*") == 0 || is_process(text_of(service, "name"), colon + 1);
}

static bool is_there(char *const *names, const char *name)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

char **names_expand(const json_t *status, char *const *words, bool backwards, const char **unknown)
{
	const json_t *services = json_object_get(status, "services");
	size_t services_count = json_array_size(services);
	char **names = calloc(services_count + 1, sizeof *names);
	size_t count = 0;
	*unknown = NULL;
	for (; names != NULL && *words != NULL; words++) {
		bool known = false;
		for (size_t i = 0; i < services_count; i++) {
			const json_t *service =
				json_array_get(services, backwards ? services_count - 1 - i : i);
			const char *name = text_of(service, "name");
			if (!means(*words, service))
				continue;
			known = true;
			if (!is_there(names, name))
				names[count++] = (char *)name;
		}
		if (!known) {
			*unknown = *words;
			free(names);
			return NULL;
		}
	}
	return names;
}
