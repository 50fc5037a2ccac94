/* Reads values that are one of a few names, or may be. */
#include "config/keys_choice.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "config/config.h"
#include "config/units.h"

/* Longer than a release takes, and shorter than what health checks wait for. */
#define FREEZE_USUAL_MS 500U
#define FREEZE_MOST_MS 60000U

/* Which of the names it is. */
static int parse_name(const char *text, const char *const *names, size_t count, size_t *index)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(names[i], text) == 0) {
			*index = i;
			return 0;
		}
	}
	return -EINVAL;
}

static const char *const level_names[LEVELS - 1] = {
	[LEVEL_LAZY - 1] = "lazy",
	[LEVEL_EAGER - 1] = "eager",
	[LEVEL_FULL - 1] = "full",
};

int keys_parse_level(const char *text, void *field, const char **why)
{
	size_t index;

	(void)why;
	if (parse_name(text, level_names, LEVELS - 1, &index) != 0)
		return -EINVAL;
	*(enum level *)field = (enum level)(index + LEVEL_LAZY);
	return 0;
}

int keys_parse_last_resort(const char *text, void *field, const char **why)
{
	static const char *const names[] = {
		[CONFIG_LAST_NONE] = "none",
		[CONFIG_LAST_STOP] = "stop",
		[CONFIG_LAST_RESTART] = "restart",
	};
	size_t index;

	(void)why;
	if (parse_name(text, names, sizeof names / sizeof names[0], &index) != 0)
		return -EINVAL;
	*(enum config_last_resort *)field = (enum config_last_resort)index;
	return 0;
}

int keys_parse_freeze(const char *text, void *field, const char **why)
{
	uint32_t freeze_ms = 0;
	int error = 0;

	(void)why;
	if (strcmp(text, "yes") == 0)
		freeze_ms = FREEZE_USUAL_MS;
	else if (strcmp(text, "no") != 0 && strcmp(text, "off") != 0)
		error = units_parse_duration(text, &freeze_ms);
	if (error != 0 || freeze_ms > FREEZE_MOST_MS)
		return -EINVAL;
	*(uint32_t *)field = freeze_ms;
	return 0;
}

int keys_parse_type(const char *text, void *field, const char **why)
{
	static const char *const names[] = {"simple", "oneshot"};
	size_t index;

	(void)why;
	if (parse_name(text, names, sizeof names / sizeof names[0], &index) != 0)
		return -EINVAL;
	*(bool *)field = index == 1;
	return 0;
}

int keys_parse_on_exit(const char *text, void *field, const char **why)
{
	static const char *const names[] = {
		[CONFIG_ON_EXIT_NONE] = "none",
		[CONFIG_ON_EXIT_SHUTDOWN] = "shutdown",
	};
	size_t index;

	(void)why;
	if (parse_name(text, names, sizeof names / sizeof names[0], &index) != 0)
		return -EINVAL;
	*(enum config_on_exit *)field = (enum config_on_exit)index;
	return 0;
}

static const char *const runtime_names[CONFIG_RUNTIMES] = {
	[CONFIG_RUNTIME_AUTO] = "auto",
	[CONFIG_RUNTIME_OFF] = "off",
	[CONFIG_RUNTIME_NODE] = "node",
	[CONFIG_RUNTIME_JAVA] = "java",
	[CONFIG_RUNTIME_GO] = "go",
	[CONFIG_RUNTIME_DOTNET] = "dotnet",
	[CONFIG_RUNTIME_PYTHON] = "python",
	[CONFIG_RUNTIME_PHP] = "php",
	[CONFIG_RUNTIME_RUBY] = "ruby",
};

const char *keys_runtime_name(enum config_runtime runtime)
{
	return runtime_names[runtime];
}

int keys_parse_runtime(const char *text, void *field, const char **why)
{
	size_t index;

	(void)why;
	if (parse_name(text, runtime_names, CONFIG_RUNTIMES, &index) != 0)
		return -EINVAL;
	*(enum config_runtime *)field = (enum config_runtime)index;
	return 0;
}

int keys_parse_allocator(const char *text, void *field, const char **why)
{
	static const char *const names[CONFIG_ALLOCATORS] = {
		[CONFIG_ALLOCATOR_SPILLWAY] = "spillway",
		[CONFIG_ALLOCATOR_KEEP] = "keep",
		[CONFIG_ALLOCATOR_AUTO] = "auto",
	};
	size_t index;

	(void)why;
	if (parse_name(text, names, CONFIG_ALLOCATORS, &index) != 0)
		return -EINVAL;
	*(enum config_allocator *)field = (enum config_allocator)index;
	return 0;
}

int keys_parse_scavenge(const char *text, void *field, const char **why)
{
	static const char *const names[CONFIG_SCAVENGES] = {
		[CONFIG_SCAVENGE_ADAPTIVE] = "adaptive",
		[CONFIG_SCAVENGE_OFF] = "off",
		[CONFIG_SCAVENGE_GO1_11] = "go1.11",
		[CONFIG_SCAVENGE_GO1_12] = "go1.12",
		[CONFIG_SCAVENGE_GO1_13] = "go1.13",
		[CONFIG_SCAVENGE_DECAY] = "decay",
	};
	size_t index;

	(void)why;
	if (parse_name(text, names, CONFIG_SCAVENGES, &index) != 0)
		return -EINVAL;
	*(enum config_scavenge *)field = (enum config_scavenge)index;
	return 0;
}

int keys_parse_madvise(const char *text, void *field, const char **why)
{
	static const char *const names[CONFIG_MADVISES] = {
		[CONFIG_MADVISE_AUTO] = "auto",
		[CONFIG_MADVISE_DONTNEED] = "dontneed",
	};
	size_t index;

	(void)why;
	if (parse_name(text, names, CONFIG_MADVISES, &index) != 0)
		return -EINVAL;
	*(enum config_madvise *)field = (enum config_madvise)index;
	return 0;
}
