/* What a service's section says of the files of its cgroup. */
#include "supervisor/cgroup/cgroup_settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/cgroup/cgroup_directory.h"
#include "supervisor/cgroup/cgroup_io.h"

#define SETTINGS 11
#define NEEDS_MEMORY CGROUP_CONTROLLERS
#define ANY (-1)
/* The kernel's default, of processors and disks. */
#define WEIGHT_USUAL 100
#define WEIGHT_MOST 10000
#define BFQ_WEIGHT_MOST 1000
#define CPU_PERIOD_US 100000

uint64_t cgroup_settings_bytes(struct config_amount amount, uint64_t wall_bytes)
{
	if (amount.permille == 0)
		return amount.bytes == 0 ? UINT64_MAX : amount.bytes;
	if (wall_bytes == UINT64_MAX)
		wall_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	return wall_bytes / 1000 * amount.permille + wall_bytes % 1000 * amount.permille / 1000;
}

struct setting {
	const char *key;
	const char *file;
	char text[32];
	bool asked; /* other than the kernel's default */
	int needs;  /* an enum cgroup_controller, or NEEDS_MEMORY */
};

static void format(struct setting *setting, uint64_t value)
{
	if (value == UINT64_MAX)
		snprintf(setting->text, sizeof setting->text, "max");
	else
		snprintf(setting->text, sizeof setting->text, "%llu", (unsigned long long)value);
}

static struct setting number(
	const char *key, const char *file, uint64_t value, bool asked, int needs)
{
	struct setting setting = {.key = key, .file = file, .asked = asked, .needs = needs};
	format(&setting, value);
	return setting;
}

static struct setting protection(
	const char *key, const char *file, struct config_amount amount, uint64_t wall_bytes)
{
	bool asked = amount.bytes != 0 || amount.permille != 0;
	return number(key, file, asked ? cgroup_settings_bytes(amount, wall_bytes) : 0, asked,
		NEEDS_MEMORY);
}

static struct setting bound(
	const char *key, const char *file, struct config_optional limit, uint64_t wall_bytes)
{
	bool nothing = limit.amount.bytes == 0 && limit.amount.permille == 0;
	uint64_t value = UINT64_MAX;
	if (limit.set)
		value = nothing ? 0 : cgroup_settings_bytes(limit.amount, wall_bytes);
	return number(key, file, value, limit.set, NEEDS_MEMORY);
}

/* The time that all its processes together have in a period. */
static struct setting cpu_max(const struct config_service *config)
{
	struct setting setting = {.key = "cpu_max",
		.file = "cpu.max",
		.asked = config->cpu_max_permille != 0,
		.needs = CGROUP_CPU};
	uint64_t quota_us = (uint64_t)config->cpu_max_permille * CPU_PERIOD_US / 1000;
	format(&setting, setting.asked ? quota_us : UINT64_MAX);
	size_t length = strlen(setting.text);
	snprintf(setting.text + length, sizeof setting.text - length, " %d", CPU_PERIOD_US);
	return setting;
}

static struct setting weight(const char *key, const char *file, int weight, int needs)
{
	return number(
		key, file, (uint64_t)(weight != 0 ? weight : WEIGHT_USUAL), weight != 0, needs);
}

static void describe(
	const struct config_service *config, uint64_t wall_bytes, struct setting settings[SETTINGS])
{
	const struct setting all[SETTINGS] = {
		protection("memory_min", "memory.min", config->memory_min, wall_bytes),
		protection("memory_low", "memory.low", config->memory_low, wall_bytes),
		bound("memory_swap_max", "memory.swap.max", config->memory_swap_max, wall_bytes),
		bound("memory_zswap_max", "memory.zswap.max", config->memory_zswap_max, wall_bytes),
		number("oom_group", "memory.oom.group", config->oom_group, config->oom_group,
			NEEDS_MEMORY),
		number("pids_max", "pids.max",
			config->pids_max != 0 ? (uint64_t)config->pids_max : UINT64_MAX,
			config->pids_max != 0, CGROUP_PIDS),
		/* One that an earlier supervisor has frozen goes on. */
		number("freeze", "cgroup.freeze", 0, config->freeze_ms != 0, NEEDS_MEMORY),
		cpu_max(config),
		weight("cpu_weight", "cpu.weight", config->cpu_weight, CGROUP_CPU),
		weight("io_weight", "io.weight", config->io_weight, CGROUP_IO),
		{.key = "io_max", .asked = config->io_max_count != 0, .needs = CGROUP_IO},
	};
	memcpy(settings, all, sizeof all);
}

/* needs: ANY for all that ask for something. */
static void name(const struct config_service *config, int needs, char names[CGROUP_SETTINGS_TEXT])
{
	struct setting settings[SETTINGS];
	size_t length = 0;
	describe(config, UINT64_MAX, settings);
	names[0] = '\0';
	for (size_t i = 0; i < SETTINGS; i++)
		if (settings[i].asked && (needs == ANY || settings[i].needs == needs))
			length += (size_t)snprintf(names + length, CGROUP_SETTINGS_TEXT - length,
				"%s%s", length != 0 ? ", " : "", settings[i].key);
}

void cgroup_settings_asked(const struct config_service *config, char names[CGROUP_SETTINGS_TEXT])
{
	name(config, ANY, names);
}

void cgroup_settings_needing(const struct config_service *config, enum cgroup_controller controller,
	char names[CGROUP_SETTINGS_TEXT])
{
	name(config, (int)controller, names);
}

/* A kernel may have the weights of one of its two schedulers only: that of BFQ goes up to 1000. */
static int write_io_weight(int leaf_fd, struct setting *setting, int weight)
{
	int error = cgroup_directory_write(leaf_fd, setting->file, setting->text);
	if (error != -ENOENT)
		return error;
	if (weight > WEIGHT_USUAL)
		weight = WEIGHT_USUAL + (weight - WEIGHT_USUAL) * (BFQ_WEIGHT_MOST - WEIGHT_USUAL) /
						(WEIGHT_MOST - WEIGHT_USUAL);
	format(setting, (uint64_t)(weight != 0 ? weight : WEIGHT_USUAL));
	return cgroup_directory_write(leaf_fd, "io.bfq.weight", setting->text);
}

static void write_setting(int leaf_fd, const struct config_service *config, struct setting *setting)
{
	int error = strcmp(setting->key, "io_weight") == 0
			    ? write_io_weight(leaf_fd, setting, config->io_weight)
			    : cgroup_directory_write(leaf_fd, setting->file, setting->text);
	if (error != 0 && setting->asked)
		log_warn("%s: %s has no effect: %s: %s", config->name, setting->key, setting->file,
			error == -ENOENT ? "not in this kernel" : strerror(-error));
}

bool cgroup_settings_need_wall(const struct config_service *config)
{
	return config->memory_max.permille != 0 || config->memory_high.permille != 0 ||
	       config->memory_min.permille != 0 || config->memory_low.permille != 0 ||
	       config->memory_swap_max.amount.permille != 0 ||
	       config->memory_zswap_max.amount.permille != 0;
}

void cgroup_settings_write(
	int leaf_fd, const struct config_service *config, uint64_t wall_bytes, bool is_new)
{
	struct setting settings[SETTINGS];
	describe(config, wall_bytes, settings);
	for (size_t i = 0; i < SETTINGS; i++)
		if (settings[i].file != NULL && (settings[i].asked || !is_new))
			write_setting(leaf_fd, config, &settings[i]);
	if (config->io_max_count != 0 || !is_new)
		cgroup_io_write(leaf_fd, config);
}
