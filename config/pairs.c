/* Joins lists of "NAME=value". */
#include "config/pairs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int pairs_put(char **list, size_t *count, char *pair)
{
	size_t length;

	if (pair == NULL)
		return -ENOMEM;
	length = strcspn(pair, "=") + 1;
	for (size_t i = 0; i < *count; i++) {
		if (strncmp(list[i], pair, length) != 0)
			continue;
		free(list[i]);
		list[i] = pair;
		return 0;
	}
	list[(*count)++] = pair;
	return 0;
}

size_t pairs_count(char *const *list)
{
	size_t count = 0;

	while (list != NULL && list[count] != NULL)
		count++;
	return count;
}

int pairs_put_all(char **list, size_t *count, char *const *pairs)
{
	int error = 0;

	for (size_t i = 0; error == 0 && pairs != NULL && pairs[i] != NULL; i++)
		error = pairs_put(list, count, strdup(pairs[i]));
	return error;
}
