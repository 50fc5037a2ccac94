/* What a service's section says of the files of its cgroup. */
#include "supervisor/cgroup/cgroup_settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/cgroup/cgroup_directory.h"

#define SETTINGS 7

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
	uint64_t value; /* UINT64_MAX = max */
	bool asked;     /* other than the kernel's default */
};

static struct setting protection(
	const char *key, const char *file, struct config_amount amount, uint64_t wall_bytes)
{
	bool asked = amount.bytes != 0 || amount.permille != 0;
	return (struct setting){
		key, file, asked ? cgroup_settings_bytes(amount, wall_bytes) : 0, asked};
}

static struct setting bound(
	const char *key, const char *file, struct config_optional limit, uint64_t wall_bytes)
{
	bool nothing = limit.amount.bytes == 0 && limit.amount.permille == 0;
	uint64_t value = UINT64_MAX;
	if (limit.set)
		value = nothing ? 0 : cgroup_settings_bytes(limit.amount, wall_bytes);
	return (struct setting){key, file, value, limit.set};
}

static void describe(
	const struct config_service *config, uint64_t wall_bytes, struct setting settings[SETTINGS])
{
	settings[0] = protection("memory_min", "memory.min", config->memory_min, wall_bytes);
	settings[1] = protection("memory_low", "memory.low", config->memory_low, wall_bytes);
	settings[2] =
		bound("memory_swap_max", "memory.swap.max", config->memory_swap_max, wall_bytes);
	settings[3] =
		bound("memory_zswap_max", "memory.zswap.max", config->memory_zswap_max, wall_bytes);
	settings[4] = (struct setting){
		"oom_group", "memory.oom.group", config->oom_group, config->oom_group};
	settings[5] = (struct setting){"pids_max", "pids.max",
		config->pids_max != 0 ? (uint64_t)config->pids_max : UINT64_MAX,
		config->pids_max != 0};
	/* One that an earlier supervisor has frozen goes on. */
	settings[6] = (struct setting){"freeze", "cgroup.freeze", 0, config->freeze_ms != 0};
}

void cgroup_settings_asked(const struct config_service *config, char names[CGROUP_SETTINGS_TEXT])
{
	struct setting settings[SETTINGS];
	size_t length = 0;
	describe(config, UINT64_MAX, settings);
	names[0] = '\0';
	for (size_t i = 0; i < SETTINGS; i++)
		if (settings[i].asked)
			length += (size_t)snprintf(names + length, CGROUP_SETTINGS_TEXT - length,
				"%s%s", length != 0 ? ", " : "", settings[i].key);
}

bool cgroup_settings_need_pids(const struct config_service *config)
{
	return config->pids_max != 0;
}

void cgroup_settings_write(int leaf_fd, const struct config_service *config, uint64_t wall_bytes)
{
	struct setting settings[SETTINGS];
	describe(config, wall_bytes, settings);
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *setting = &settings[i];
		int error = cgroup_directory_write_bytes(leaf_fd, setting->file, setting->value);
		if (error != 0 && setting->asked)
			log_warn("%s: %s has no effect: %s: %s", config->name, setting->key,
				setting->file,
				error == -ENOENT ? "not in this kernel" : strerror(-error));
	}
}
