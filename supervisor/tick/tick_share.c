/* What part of the memory limit, and how many CPUs, a service may count on. */
#include "supervisor/tick/tick_private.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "supervisor/cgroup/cgroup_settings.h"

static uint64_t own_bytes(const struct tick_service *service, uint64_t wall_bytes)
{
	return cgroup_settings_bytes(service->config.memory_max, wall_bytes);
}

uint64_t tick_service_share_bytes(const struct tick *tick, const struct tick_service *service)
{
	uint64_t sharing = 0;
	uint64_t wall = sampler_wall_bytes(tick->sampler);
	uint64_t own = own_bytes(service, wall);
	if (own != UINT64_MAX)
		return own < wall ? own : wall;
	for (size_t i = 0; i < tick->count; i++)
		sharing += own_bytes(tick->service[i], UINT64_MAX) == UINT64_MAX;
	return wall == UINT64_MAX || sharing == 0 ? wall : wall / sharing;
}

/* The quota of that cgroup in whole CPUs, rounded up; 0 = none is known. */
static uint64_t quota_cpus(const char *directory)
{
	char path[MODE_PATH_BYTES + 16];
	char text[64];
	uint64_t quota_us;
	uint64_t period_us;
	int fd = -1;
	if (snprintf(path, sizeof path, "%s/cpu.max", directory) < (int)sizeof path)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	int length = cgroup_files_read(fd, text, sizeof text);
	close(fd);
	if (length <= 0 || sscanf(text, "%" SCNu64 " %" SCNu64, &quota_us, &period_us) != 2 ||
		period_us == 0)
		return 0;
	return quota_us / period_us + (quota_us % period_us != 0);
}

void tick_service_share(
	struct tick *tick, const struct tick_service *service, struct tick_share *share)
{
	cpu_set_t cpus;
	/* The first start comes before the first turn. */
	tick_settle(tick);
	share->limit_bytes = tick_service_share_bytes(tick, service);
	share->cpus = 1;
	if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
		share->cpus = (unsigned)CPU_COUNT(&cpus);
	uint64_t quota = quota_cpus(tick->mode.directory);
	if (quota != 0 && quota < share->cpus)
		share->cpus = (unsigned)quota;
}
