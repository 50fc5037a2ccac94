/* The text in which a supervisor notes what it runs, for the one that may come after it. */
#include "supervisor/fleet/left_state.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "spillway 1"

/* The next word of the line; NULL = there is none. */
static char *take_word(char **line)
{
	char *word = strsep(line, " ");
	return word != NULL && word[0] != '\0' ? word : NULL;
}

static bool take_number(char **line, uint64_t most, uint64_t *number)
{
	const char *word = take_word(line);
	char *after;
	if (word == NULL || word[0] < '0' || word[0] > '9')
		return false;
	errno = 0;
	*number = strtoull(word, &after, 10);
	return errno == 0 && *after == '\0' && *number <= most;
}

static bool take_text(char **line, char *text, size_t size)
{
	const char *word = take_word(line);
	if (word == NULL || strlen(word) >= size)
		return false;
	memcpy(text, word, strlen(word) + 1);
	return true;
}

/* "-" stands for nothing. */
static bool take_optional(char **line, char *text, size_t size)
{
	if (!take_text(line, text, size))
		return false;
	if (strcmp(text, "-") == 0)
		text[0] = '\0';
	return true;
}

static int parse_service(char *line, struct left_state *state)
{
	struct left_service read = {0};
	uint64_t pid;
	if (!take_text(&line, read.name, sizeof read.name) || !take_number(&line, INT_MAX, &pid) ||
		pid <= 1 || !take_number(&line, UINT64_MAX, &read.start_ticks) ||
		!take_number(&line, UINT64_MAX, &read.mark) ||
		!take_optional(&line, read.leaf, sizeof read.leaf) ||
		!take_optional(&line, read.link, sizeof read.link) ||
		!take_optional(&line, read.last, sizeof read.last) || line != NULL)
		return -EINVAL;
	read.pid = (pid_t)pid;
	struct left_service *grown =
		realloc(state->service, (state->count + 1) * sizeof *state->service);
	if (grown == NULL)
		return -ENOMEM;
	state->service = grown;
	grown[state->count++] = read;
	return 0;
}

/* The rest of the line, blanks and all. */
static int parse_rest(const char *line, char *text, size_t size)
{
	if (line == NULL || strlen(line) >= size)
		return -EINVAL;
	memcpy(text, line, strlen(line) + 1);
	return 0;
}

static int parse_line(char *line, struct left_state *state)
{
	const char *key = take_word(&line);
	if (key == NULL)
		return -EINVAL;
	if (strcmp(key, "boot") == 0)
		return parse_rest(line, state->boot, sizeof state->boot);
	if (strcmp(key, "pids") == 0)
		return take_number(&line, UINT64_MAX, &state->pid_namespace) ? 0 : -EINVAL;
	if (strcmp(key, "listener") == 0)
		return parse_rest(line, state->listener, sizeof state->listener);
	if (strcmp(key, "base") == 0)
		return parse_rest(line, state->base, sizeof state->base);
	return strcmp(key, "service") == 0 ? parse_service(line, state) : -EINVAL;
}

int left_state_parse(char *text, struct left_state *state)
{
	const char *first = strsep(&text, "\n");
	char *line;
	int error = strcmp(first, FORMAT) == 0 ? 0 : -EINVAL;
	*state = (struct left_state){0};
	while (error == 0 && (line = strsep(&text, "\n")) != NULL)
		if (line[0] != '\0' || text != NULL)
			error = parse_line(line, state);
	if (error != 0)
		left_state_free(state);
	return error;
}

static const char *or_none(const char *text)
{
	return text[0] != '\0' ? text : "-";
}

void left_state_format(const struct left_state *state, FILE *stream)
{
	fprintf(stream, FORMAT "\nboot %s\npids %llu\nlistener %s\n", state->boot,
		(unsigned long long)state->pid_namespace, state->listener);
	if (state->base[0] != '\0')
		fprintf(stream, "base %s\n", state->base);
	for (size_t i = 0; i < state->count; i++) {
		const struct left_service *service = &state->service[i];
		fprintf(stream, "service %s %d %llu %llu %s %s %s\n", service->name,
			(int)service->pid, (unsigned long long)service->start_ticks,
			(unsigned long long)service->mark, or_none(service->leaf),
			or_none(service->link), or_none(service->last));
	}
}

void left_state_free(struct left_state *state)
{
	free(state->service);
	*state = (struct left_state){0};
}

const char *left_state_token(const struct left_service *service)
{
	const char *colon = strrchr(service->link, ':');
	return colon != NULL && strlen(colon + 1) == LINK_TOKEN_CHARS ? colon + 1 : NULL;
}
