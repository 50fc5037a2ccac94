/* Reads values that are about a service's share of processors and disks. */
#include "config/keys_cgroup.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "config/units.h"

/* The kernel's bounds of cpu.weight and io.weight. */
#define WEIGHT_MOST 10000
/* The kernel hands out no less than 1 ms in a period, which is 100 ms here. */
#define CPU_LEAST_PERMILLE 10

static const char *const io_names[CONFIG_IO_KINDS] = {
	[CONFIG_IO_RBPS] = "rbps",
	[CONFIG_IO_WBPS] = "wbps",
	[CONFIG_IO_RIOPS] = "riops",
	[CONFIG_IO_WIOPS] = "wiops",
};

int keys_parse_cpu_max(const char *text, void *field, const char **why)
{
	uint32_t permille = 0;
	int error = strcmp(text, "off") == 0 ? 0 : units_parse_cpus(text, &permille);

	(void)why;
	if (error == 0 && strcmp(text, "off") != 0 && permille < CPU_LEAST_PERMILLE)
		error = -ERANGE;
	if (error == 0)
		*(uint32_t *)field = permille;
	return error;
}

int keys_parse_weight(const char *text, void *field, const char **why)
{
	(void)why;
	if (strcmp(text, "off") != 0)
		return units_parse_integer(text, 1, WEIGHT_MOST, field);
	*(int *)field = 0;
	return 0;
}

/* "MAJOR:MINOR", both numbers that the kernel's dev_t has room for, or an absolute path. */
static int parse_device(const char *text, struct config_io_max *limit)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (text[0] == '/') {
		limit->path = strdup(text);
		return limit->path != NULL ? 0 : -ENOMEM;
	}
	if (text[0] < '0' || text[0] > '9' || *end != ':' || end[1] < '0' || end[1] > '9')
		return -EINVAL;
	if (number >= 1UL << 12)
		return -ERANGE;
	limit->major = (unsigned)number;
	number = strtoul(end + 1, &end, 10);
	if (*end != '\0')
		return -EINVAL;
	if (number >= 1UL << 20)
		return -ERANGE;
	limit->minor = (unsigned)number;
	return 0;
}

/* "wbps=10M"; a rate that stands twice is refused, since one of them would be lost. */
static int parse_rate(const char *text, struct config_io_max *limit)
{
	for (size_t i = 0; i < CONFIG_IO_KINDS; i++) {
		size_t length = strlen(io_names[i]);
		uint64_t rate;
		int error;
		if (strncmp(text, io_names[i], length) != 0 || text[length] != '=')
			continue;
		error = units_parse_size(text + length + 1, &rate);
		if (error == 0 && limit->most[i] != 0)
			error = -EINVAL;
		if (error == 0 && (rate == 0 || (i >= CONFIG_IO_RIOPS && rate > UINT32_MAX)))
			error = -ERANGE;
		if (error == 0)
			limit->most[i] = rate;
		return error;
	}
	return -EINVAL;
}

/* "DEVICE RATE..." of words between blanks; text is cut into them. */
static int parse_limit(char *text, struct config_io_max *limit)
{
	char *state = NULL;
	char *word = strtok_r(text, " \t", &state);
	int error = word != NULL ? parse_device(word, limit) : -EINVAL;
	size_t rates = 0;

	for (; error == 0 && (word = strtok_r(NULL, " \t", &state)) != NULL; rates++)
		error = parse_rate(word, limit);
	return error == 0 && rates == 0 ? -EINVAL : error;
}

static void free_limits(struct config_io_max *limits, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(limits[i].path);
	free(limits);
}

/* text is cut.  The limits so far are the caller's to free also on failure. */
static int parse_limits(char *text, struct config_io_max *limits, size_t *count)
{
	char *state = NULL;
	int error = 0;

	for (char *entry = strtok_r(text, ",", &state); error == 0 && entry != NULL;
		entry = strtok_r(NULL, ",", &state))
		error = parse_limit(entry, &limits[(*count)++]);
	return error == 0 && *count == 0 ? -EINVAL : error;
}

int keys_parse_io_max(const char *text, void *field, const char **why)
{
	struct config_service *service = field;
	char *copy = strdup(text);
	struct config_io_max *limits = calloc(strlen(text) / 2 + 1, sizeof *limits);
	size_t count = 0;
	int error = copy != NULL && limits != NULL ? 0 : -ENOMEM;

	if (error == 0 && strcmp(text, "off") != 0)
		error = parse_limits(copy, limits, &count);
	free(copy);
	if (error == -ENOMEM)
		*why = "out of memory";
	if (error != 0 || count == 0) {
		free_limits(limits, count);
		limits = NULL;
	}
	if (error == 0) {
		free_limits(service->io_max, service->io_max_count);
		service->io_max = limits;
		service->io_max_count = count;
	}
	return error;
}
