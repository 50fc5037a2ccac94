/* Reads values that are about a service's process and its life. */
#include "config/keys_process.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/command.h"
#include "config/config.h"
#include "config/names.h"
#include "config/units.h"

#define RETRIES_MOST 1000000
#define UMASK_MOST 0777
#define BACKUPS_MOST 1000
/* The bits of exitcodes. */
#define CODES_BYTES (sizeof((struct config_service *)NULL)->exitcodes)

/* "0,2" with blanks anywhere between; one empty entry at the end is fine. */
int keys_parse_exitcodes(const char *text, void *field, const char **why)
{
	uint8_t codes[CODES_BYTES] = {0};
	const char *at = text + strspn(text, " \t");

	(void)why;
	if (*at == '\0')
		return -EINVAL;
	while (*at != '\0') {
		char *end;
		unsigned long code;
		if (!isdigit((unsigned char)*at))
			return -EINVAL;
		code = strtoul(at, &end, 10);
		if (code > UINT8_MAX)
			return -ERANGE;
		codes[code / 8] |= (uint8_t)(1U << (code % 8));
		at = end + strspn(end, " \t");
		if (*at != ',' && *at != '\0')
			return -EINVAL;
		if (*at == ',')
			at += 1 + strspn(at + 1, " \t");
	}
	memcpy(field, codes, sizeof codes);
	return 0;
}

int keys_parse_retries(const char *text, void *field, const char **why)
{
	int retries;
	int error;

	(void)why;
	if (strcmp(text, "off") == 0) {
		*(uint32_t *)field = CONFIG_RETRIES_ENDLESS;
		return 0;
	}
	error = units_parse_integer(text, 0, RETRIES_MOST, &retries);
	if (error == 0)
		*(uint32_t *)field = (uint32_t)retries;
	return error;
}

int keys_parse_order(const char *text, void *field, const char **why)
{
	(void)why;
	return units_parse_integer(text, INT_MIN, INT_MAX, field);
}

int keys_parse_optional_path(const char *text, void *field, const char **why)
{
	char *copy;

	if (text[text[0] == '-'] != '/')
		return -EINVAL;
	copy = strdup(text);
	if (copy == NULL) {
		*why = "out of memory";
		return -ENOMEM;
	}
	free(*(char **)field);
	*(char **)field = copy;
	return 0;
}

/* "db,cache" with blanks anywhere between, or only blanks. */
int keys_parse_names(const char *text, void *field, const char **why)
{
	static const char separators[] = " \t,";
	size_t room = strlen(text) / 2 + 2;
	char **names = calloc(room, sizeof *names);
	size_t count = 0;
	int error = names != NULL ? 0 : -ENOMEM;

	for (const char *at = text + strspn(text, separators); error == 0 && *at != '\0';
		at += strspn(at, separators)) {
		size_t length = strcspn(at, separators);
		names[count] = strndup(at, length);
		if (names[count] == NULL)
			error = -ENOMEM;
		else if (!names_valid(names[count++]))
			error = -EINVAL;
		at += length;
	}
	if (error == 0 && count == 0)
		error = -EINVAL;
	if (error == -ENOMEM)
		*why = "out of memory";
	if (error != 0) {
		command_free(names);
		return error;
	}
	command_free(*(char ***)field);
	*(char ***)field = names;
	return 0;
}

/* Into the service, since 0 is a mask as well. */
int keys_parse_umask(const char *text, void *field, const char **why)
{
	struct config_service *service = field;
	char *end;
	unsigned long mask = strtoul(text, &end, 8);

	(void)why;
	if (!isdigit((unsigned char)text[0]) || *end != '\0')
		return -EINVAL;
	if (mask > UMASK_MOST)
		return -ERANGE;
	service->has_umask = true;
	service->umask = (int)mask;
	return 0;
}

/* Names of our own descriptors. */
static enum config_log_kind ours(const char *path)
{
	static const struct {
		const char *path;
		enum config_log_kind kind;
	} names[] = {
		{"/dev/stdout", CONFIG_LOG_STDOUT},
		{"/dev/fd/1", CONFIG_LOG_STDOUT},
		{"/proc/self/fd/1", CONFIG_LOG_STDOUT},
		{"/dev/stderr", CONFIG_LOG_STDERR},
		{"/dev/fd/2", CONFIG_LOG_STDERR},
		{"/proc/self/fd/2", CONFIG_LOG_STDERR},
		{"/dev/null", CONFIG_LOG_NONE},
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (strcmp(names[i].path, path) == 0)
			return names[i].kind;
	return CONFIG_LOG_FILE;
}

int keys_parse_logfile(const char *text, void *field, const char **why)
{
	struct config_log *log = field;
	enum config_log_kind kind = ours(text);
	char *path = NULL;

	if (strcasecmp(text, "AUTO") == 0) {
		kind = CONFIG_LOG_AUTO;
	} else if (strcasecmp(text, "NONE") == 0 || strcasecmp(text, "off") == 0) {
		kind = CONFIG_LOG_NONE;
	} else if (strcasecmp(text, "syslog") == 0) {
		*why = "nothing is sent to syslog: write to /dev/stdout and let who runs spillway "
		       "collect it, or use logger(1)";
		return -EINVAL;
	} else if (text[0] != '/') {
		return -EINVAL;
	}
	if (kind == CONFIG_LOG_FILE) {
		path = strdup(text);
		if (path == NULL) {
			*why = "out of memory";
			return -ENOMEM;
		}
	}
	free(log->path);
	log->path = path;
	log->kind = kind;
	return 0;
}

int keys_parse_log_bytes(const char *text, void *field, const char **why)
{
	(void)why;
	return units_parse_size(text, field);
}

int keys_parse_log_backups(const char *text, void *field, const char **why)
{
	(void)why;
	return units_parse_integer(text, 0, BACKUPS_MOST, field);
}
