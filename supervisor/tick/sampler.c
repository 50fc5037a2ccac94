/* Reads control files and link slots into samples, each file as often as it bears. */
#include "supervisor/tick/sampler.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/cgroup/cgroup_files.h"
#include "supervisor/base/root.h"
#include "supervisor/cgroup/cgroup_walls.h"
#include "supervisor/policy/machine.h"
#include "supervisor/policy/wall.h"

/* MemAvailable is on its third line. */
#define MEMINFO_TEXT_BYTES 512

struct sampler {
	int root_fd;
	const struct mode *mode;
	char *base_directory;
	bool settled;
	int oom_fd; /* where the kernel counts the OOM kills of all services; -1 = nowhere */
	int proc_fd;
	struct cgroup_walls walls;
	size_t wall_level;
	bool limited;
	/* Stall of our own cgroup, and the machine's for when there is neither that nor a limit. */
	struct stall_source stall;
	struct stall_source machine;
	int meminfo_fd; /* -1 = none */
	uint64_t usage_bytes;
	uint64_t wall_bytes; /* as last read */
	struct wall_sample cgroup_wall;
	struct wall_sample machine_wall;
};

static int open_pressure(int root_fd, const struct mode *mode, const char *base_directory)
{
	char path[MODE_PATH_BYTES + 32];
	const char *directory = mode->v2 ? base_directory : mode->pressure_directory;
	/* The root's file tells about the whole machine. */
	if (directory[0] == '\0' || (mode->machine_root && strcmp(directory, mode->mount) == 0))
		return -1;
	snprintf(path, sizeof path, "%s/memory.pressure", directory);
	return root_open_file(root_fd, path);
}

static void read_walls(struct sampler *sampler, struct wall_sample *wall)
{
	cgroup_walls_read(&sampler->walls, wall, &sampler->wall_level);
	sampler->limited = wall->limit_bytes != SAMPLE_NO_LIMIT;
	sampler->wall_bytes = wall->limit_bytes;
}

static int open_oom_kills(int root_fd, const struct mode *mode, const char *base_directory)
{
	char path[MODE_PATH_BYTES + 32];
	if (base_directory[0] == '\0')
		return -1;
	snprintf(path, sizeof path, "%s/%s", base_directory,
		mode->v2 ? "memory.events" : "memory.oom_control");
	return root_open_file(root_fd, path);
}

int sampler_open(
	int root_fd, const struct mode *mode, const char *base_directory, struct sampler **sampler)
{
	if (strlen(base_directory) >= MODE_PATH_BYTES)
		return -ENAMETOOLONG;
	struct sampler *made = calloc(1, sizeof *made);
	char *directory = strdup(base_directory);
	if (made == NULL || directory == NULL) {
		free(made);
		free(directory);
		return -ENOMEM;
	}
	*made = (struct sampler){.root_fd = root_fd,
		.mode = mode,
		.base_directory = directory,
		.proc_fd = -1,
		.stall = {.fd = -1},
		.machine = {.fd = -1},
		.meminfo_fd = -1,
		.wall_bytes = SAMPLE_NO_LIMIT,
		.cgroup_wall = {.limit_bytes = SAMPLE_NO_LIMIT},
		.machine_wall = {.limit_bytes = SAMPLE_NO_LIMIT}};
	made->oom_fd = open_oom_kills(root_fd, mode, base_directory);
	*sampler = made;
	return 0;
}

bool sampler_settle(struct sampler *sampler)
{
	struct wall_sample wall;
	int root_fd = sampler->root_fd;
	if (sampler->settled)
		return false;
	sampler->settled = true;
	/* Without it all processes that have a slot count as living. */
	sampler->proc_fd = root_open_directory(root_fd, "proc");
	cgroup_walls_open(&sampler->walls, root_fd, sampler->base_directory, sampler->mode->mount,
		sampler->mode->v2 ? CGROUP_V2 : CGROUP_V1);
	sampler->stall.fd = open_pressure(root_fd, sampler->mode, sampler->base_directory);
	sampler->meminfo_fd = root_open_file(root_fd, "proc/meminfo");
	if (sampler->stall.fd < 0)
		sampler->machine.fd = root_open_file(root_fd, "proc/pressure/memory");
	read_walls(sampler, &wall);
	return true;
}

static void close_source(struct stall_source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	*source = (struct stall_source){.fd = -1};
}

void sampler_close(struct sampler *sampler)
{
	if (sampler == NULL)
		return;
	cgroup_walls_close(&sampler->walls);
	close_source(&sampler->stall);
	close_source(&sampler->machine);
	if (sampler->meminfo_fd >= 0)
		close(sampler->meminfo_fd);
	if (sampler->proc_fd >= 0)
		close(sampler->proc_fd);
	if (sampler->oom_fd >= 0)
		close(sampler->oom_fd);
	free(sampler->base_directory);
	free(sampler);
}

void sampler_service_open(struct sampler_service *service, int leaf_fd, struct link *link)
{
	*service = SAMPLER_SERVICE_NONE;
	service->link = link;
	if (leaf_fd < 0)
		return;
	service->has_leaf = true;
	cgroup_files_open(&service->leaf, leaf_fd, CGROUP_V2);
	service->stall.fd = service->leaf.pressure_fd;
	service->leaf.pressure_fd = -1;
}

void sampler_service_close(struct sampler_service *service)
{
	cgroup_files_close(&service->leaf);
	close_source(&service->stall);
	*service = SAMPLER_SERVICE_NONE;
}

void sampler_note_trigger(struct sampler *sampler, bool armed)
{
	sampler->stall.slow = armed;
	sampler->machine.slow = armed;
}

void sampler_watch_limits(const struct sampler *sampler, const struct limit_watch *watch)
{
	cgroup_walls_watch(&sampler->walls, watch);
}

static void read_stall(struct stall_source *source, uint64_t now_ms, struct stall_sample *stall)
{
	uint64_t period_ms = source->slow ? SAMPLER_STALL_TRIGGER_MS : SAMPLER_STALL_MS;
	struct cgroup_files files = CGROUP_FILES_NONE;
	files.pressure_fd = source->fd;
	if (source->fd >= 0 && (!source->last.known || now_ms - source->last.read_ms >= period_ms))
		cgroup_files_stall(&files, now_ms, &source->last);
	*stall = source->last;
}

static uint64_t own_limit(struct sampler_service *from)
{
	bool holds = from->rests && from->tells_limit && from->limit_known;
	if (!holds && cgroup_files_limit(&from->leaf, &from->limit_bytes) != 0)
		from->limit_bytes = SAMPLE_NO_LIMIT;
	from->limit_known = true;
	return from->limit_bytes;
}

/* Into own, which has limit and usage already. */
static void read_own_stat(struct sampler_service *from, struct wall_sample *own, uint64_t now_ms)
{
	bool holds = from->rests && from->stat.reclaimable_known &&
		     from->stat.current_bytes == own->current_bytes &&
		     now_ms - from->stat_ms < SAMPLER_STAT_MS;
	if (holds) {
		uint64_t limit_bytes = own->limit_bytes;
		*own = from->stat;
		own->limit_bytes = limit_bytes;
		return;
	}
	(void)cgroup_files_reclaimable(&from->leaf, own);
	from->stat = *own;
	from->stat_ms = now_ms;
}

static void read_leaf(struct sampler_service *from, uint64_t now_ms, struct service_sample *to)
{
	if (cgroup_files_usage(&from->leaf, &to->current_bytes) != 0)
		to->current_bytes = 0;
	to->own.limit_bytes = own_limit(from);
	to->own.current_bytes = to->current_bytes;
	if (to->own.limit_bytes != SAMPLE_NO_LIMIT)
		read_own_stat(from, &to->own, now_ms);
	to->can_brake = true;
	if (!from->rests || !from->tells_events || !from->events_known)
		cgroup_files_events(&from->leaf, &from->events);
	from->events_known = true;
	to->events = from->events;
	read_stall(&from->stall, now_ms, &to->stall);
}

void sampler_read_service(const struct sampler *sampler, struct sampler_service *from,
	uint64_t now_ms, struct service_sample *to)
{
	to->own = (struct wall_sample){.limit_bytes = SAMPLE_NO_LIMIT};
	to->current_bytes = 0;
	to->can_brake = false;
	to->events = (struct events_sample){0};
	to->stall = (struct stall_sample){0};
	if (from->has_leaf)
		read_leaf(from, now_ms, to);
	from->usage_bytes = to->current_bytes;
	if (from->link != NULL)
		link_read(from->link, sampler->proc_fd, now_ms, &from->totals);
	else
		from->totals = (struct link_totals){
			.heap = {.credit_left_bytes = UINT64_MAX, .answered = true}};
	to->heap = from->totals.heap;
	/* Lazily freed memory is the heaps' word: a usage that is theirs has it, and nothing knows
	 * better. */
	if (!from->has_leaf && from->soft_bytes != SAMPLE_NO_LIMIT && from->link != NULL) {
		to->own.limit_bytes = from->soft_bytes;
		to->own.current_bytes = soft_usage_bytes(
			&from->soft, from->link, &from->totals, sampler->proc_fd, now_ms);
	}
}

/* Of the cgroup that all services are in; where that tells nothing, what their heaps have. */
static void read_ours(const struct sampler *sampler, uint64_t heaps_bytes, struct wall_sample *ours)
{
	*ours = (struct wall_sample){.current_bytes = sampler->usage_bytes};
	if (sampler->usage_bytes != 0)
		(void)cgroup_files_reclaimable(&sampler->walls.level[0], ours);
	else
		ours->current_bytes = heaps_bytes;
}

/* The machine's memory, where it is nearer than any limit. */
static void read_machine(struct sampler *sampler, uint64_t heaps_bytes, struct sample *sample)
{
	struct wall_sample ours;
	struct wall_sample *machine = &sampler->machine_wall;
	char text[MEMINFO_TEXT_BYTES];
	ssize_t length = -1;
	if (sampler->meminfo_fd >= 0)
		length = cgroup_files_read(sampler->meminfo_fd, text, sizeof text);
	read_ours(sampler, heaps_bytes, &ours);
	if (length <= 0 || !machine_wall(text, (size_t)length, &ours, machine))
		*machine = (struct wall_sample){.limit_bytes = SAMPLE_NO_LIMIT};
	if (wall_is_tighter(machine, &sample->shared))
		sample->shared = *machine;
}

void sampler_read(
	struct sampler *sampler, uint64_t now_ms, uint64_t heaps_bytes, struct sample *sample)
{
	read_walls(sampler, &sample->shared);
	sampler->cgroup_wall = sample->shared;
	cgroup_walls_events(&sampler->walls, &sample->shared_events);
	if (sampler->walls.count == 0 ||
		cgroup_files_usage(&sampler->walls.level[0], &sampler->usage_bytes) != 0)
		sampler->usage_bytes = 0;
	read_machine(sampler, heaps_bytes, sample);
	if (sampler->stall.fd < 0 && !sampler->limited)
		read_stall(&sampler->machine, now_ms, &sample->shared_stall);
	else
		read_stall(&sampler->stall, now_ms, &sample->shared_stall);
}

uint64_t sampler_usage(
	const struct sampler *sampler, const struct sampler_service *service, bool *shared)
{
	*shared = !service->has_leaf;
	return service->has_leaf ? service->usage_bytes : sampler->usage_bytes;
}

uint64_t sampler_oom_kills(const struct sampler *sampler, const struct sampler_service *service)
{
	struct events_sample events = {0};
	if (service->has_leaf)
		cgroup_files_events(&service->leaf, &events);
	else
		cgroup_files_oom_kills(sampler->oom_fd, &events.oom_kill);
	return events.oom_kill;
}

void sampler_walls(
	const struct sampler *sampler, struct wall_sample *cgroup, struct wall_sample *machine)
{
	*cgroup = sampler->cgroup_wall;
	*machine = sampler->machine_wall;
}

uint64_t sampler_wall_bytes(const struct sampler *sampler)
{
	return sampler->wall_bytes;
}

const char *sampler_wall_directory(const struct sampler *sampler)
{
	return sampler->limited ? sampler->walls.directory[sampler->wall_level] : "";
}
