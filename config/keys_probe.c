/* Reads values that say how it is found out whether a service is up or of use. */
#include "config/keys_probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/command.h"
#include "config/config.h"
#include "config/units.h"

#define FD_LEAST 3
#define FD_MOST 199 /* the library's own are above */
#define PORT_MOST 65535
#define HTTP_PORT "80"
#define FAILURES_MOST 1000
#define HOST_BYTES 64

static int out_of_memory(const char **why)
{
	*why = "out of memory";
	return -ENOMEM;
}

/* "ADDRESS:PORT", "[ADDRESS]:PORT"; "PORT" or "ADDRESS" where the caller has a default for the
 * other: *port is 0 when it is not there. */
static int read_address(const char *text, bool is_port_alone, struct config_probe *probe)
{
	char host[HOST_BYTES];
	const char *end = text[0] == '[' ? strchr(text, ']') : strchr(text, ':');
	const char *from = text[0] == '[' ? text + 1 : text;
	const char *port;

	if (text[0] == '[' && end == NULL)
		return -EINVAL;
	if (end == NULL && is_port_alone) {
		port = text;
		snprintf(host, sizeof host, "localhost");
	} else {
		size_t length = end != NULL ? (size_t)(end - from) : strlen(from);
		if (length >= sizeof host)
			return -EINVAL;
		memcpy(host, from, length);
		host[length] = '\0';
		port = end != NULL ? end + (text[0] == '[') : "";
		if (*port != '\0' && *port++ != ':')
			return -EINVAL;
	}
	probe->is_v6 = text[0] == '[';
	if (!probe->is_v6 && strcmp(host, "localhost") == 0)
		snprintf(host, sizeof host, "127.0.0.1");
	if (inet_pton(probe->is_v6 ? AF_INET6 : AF_INET, host, probe->address) != 1)
		return -EINVAL;
	if (end == NULL || (text[0] == '[' && end[1] == '\0' && !is_port_alone))
		port = is_port_alone ? port : HTTP_PORT;
	if (units_parse_integer(port, 1, PORT_MOST, &probe->number) != 0)
		return -EINVAL;
	return 0;
}

static int read_port(const char *text, struct config_probe *probe, const char **why)
{
	(void)why;
	probe->kind = CONFIG_PROBE_PORT;
	return read_address(text, true, probe);
}

static int read_http(const char *text, struct config_probe *probe, const char **why)
{
	size_t length = strcspn(text, "/");
	char address[HOST_BYTES * 2];
	const char *path = text[length] == '/' ? text + length : "/";

	probe->kind = CONFIG_PROBE_HTTP;
	if (length >= sizeof address)
		return -EINVAL;
	for (const char *at = path; *at != '\0'; at++)
		if (*at <= ' ' || *at == '\x7f')
			return -EINVAL;
	memcpy(address, text, length);
	address[length] = '\0';
	probe->path = strdup(path);
	return probe->path != NULL ? read_address(address, false, probe) : out_of_memory(why);
}

static int read_exec(const char *text, struct config_probe *probe, const char **why)
{
	probe->kind = CONFIG_PROBE_EXEC;
	return command_split(text, &probe->argv, why);
}

static int read_fd(const char *text, struct config_probe *probe, const char **why)
{
	(void)why;
	probe->kind = CONFIG_PROBE_FD;
	return units_parse_integer(text, FD_LEAST, FD_MOST, &probe->number);
}

static int read_none(const char *text, struct config_probe *probe, const char **why)
{
	(void)why;
	probe->kind = CONFIG_PROBE_NONE;
	return text[0] == '\0' ? 0 : -EINVAL;
}

static int read_systemd(const char *text, struct config_probe *probe, const char **why)
{
	(void)why;
	probe->kind = CONFIG_PROBE_SYSTEMD;
	return text[0] == '\0' ? 0 : -EINVAL;
}

static const struct {
	const char *start;
	int (*read)(const char *rest, struct config_probe *probe, const char **why);
	bool is_told; /* by the service: no check can be made at any time */
} forms[] = {
	{"none", read_none, false},
	{"systemd", read_systemd, true},
	{"fd:", read_fd, true},
	{"port:", read_port, false},
	{"http://", read_http, false},
	{"exec:", read_exec, false},
};

static int parse(const char *text, bool may_be_told, struct config_probe *probe, const char **why)
{
	struct config_probe parsed = {0};
	size_t i = 0;
	int error = -EINVAL;

	while (i < sizeof forms / sizeof forms[0] &&
		(strncmp(text, forms[i].start, strlen(forms[i].start)) != 0 ||
			(forms[i].is_told && !may_be_told)))
		i++;
	if (i < sizeof forms / sizeof forms[0])
		error = forms[i].read(text + strlen(forms[i].start), &parsed, why);
	if (error == 0) {
		parsed.text = strdup(text);
		if (parsed.text == NULL)
			error = out_of_memory(why);
	}
	/* The new one comes in, or goes again. */
	if (error == 0) {
		struct config_probe before = *probe;
		*probe = parsed;
		parsed = before;
	}
	free(parsed.text);
	free(parsed.path);
	command_free(parsed.argv);
	return error;
}

int keys_parse_notify(const char *text, void *field, const char **why)
{
	return parse(text, true, field, why);
}

int keys_parse_health(const char *text, void *field, const char **why)
{
	return parse(text, false, field, why);
}

int keys_parse_period(const char *text, void *field, const char **why)
{
	uint32_t period_ms;
	int error = units_parse_duration(text, &period_ms);

	(void)why;
	if (error == 0 && period_ms == 0)
		error = -ERANGE;
	if (error == 0)
		*(uint32_t *)field = period_ms;
	return error;
}

int keys_parse_failures(const char *text, void *field, const char **why)
{
	(void)why;
	return units_parse_integer(text, 1, FAILURES_MOST, field);
}
