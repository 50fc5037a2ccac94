/* The memory files of the process's own cgroup and of those above it. */
#include "shim/cgroup.h"

#include "shim/cgroup_place.h"
#include "shim/kernel.h"
#include "supervisor/policy/wall.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SHORT_TEXT_BYTES 512
/* So much of cgroup.procs is read. */
#define PROCESSES_READS 8

static void close_fd(int *fd)
{
	if (*fd >= 0)
		kernel_close(*fd);
	*fd = -1;
}

/* The text from the file's beginning on; its length, or -errno. */
static long read_text(int fd, char *text, size_t size)
{
	if (fd < 0)
		return -ENOENT;
	return kernel_call(SYS_pread64, fd, (long)text, (long)size, 0, 0, 0);
}

static void level_close(struct cgroup_level *level)
{
	close_fd(&level->limit_fd);
	close_fd(&level->usage_fd);
	close_fd(&level->stat_fd);
	close_fd(&level->events_fd);
}

/* Its inode: a cgroup's files have the same in every mount.  0: not known. */
static uint64_t file_id(int fd)
{
	struct statx status = {0};

	(void)kernel_call(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_INO, (long)&status, 0);
	return status.stx_ino;
}

/* False, and nothing stays open, where the folder has no limit or no usage. */
static bool level_open(int directory_fd, enum cgroup_version version, struct cgroup_level *level)
{
	bool v2 = version == CGROUP_V2;

	*level = (struct cgroup_level){
		.limit_fd = cgroup_place_open_file(
			directory_fd, v2 ? "memory.max" : "memory.limit_in_bytes"),
		.usage_fd = cgroup_place_open_file(
			directory_fd, v2 ? "memory.current" : "memory.usage_in_bytes"),
		.stat_fd = cgroup_place_open_file(directory_fd, "memory.stat"),
		.events_fd = cgroup_place_open_file(
			directory_fd, v2 ? "memory.events.local" : "memory.failcnt"),
	};
	if (v2 && level->events_fd < 0)
		level->events_fd = cgroup_place_open_file(directory_fd, "memory.events");
	if (level->limit_fd >= 0 && level->usage_fd >= 0) {
		level->id = file_id(level->limit_fd);
		return true;
	}
	level_close(level);
	return false;
}

/* One component less; false where that is the mount already. */
static bool path_up(char *path, const char *point)
{
	size_t point_length = strlen(point);
	char *slash = strrchr(path, '/');

	if (strlen(path) <= point_length || slash == NULL)
		return false;
	slash[slash == path ? 1 : 0] = '\0';
	return strlen(path) >= point_length;
}

static void levels_open(int root_fd, struct cgroup *cgroup)
{
	struct cgroup_room *room = &cgroup->room;

	do {
		int directory_fd = cgroup_place_open_directory(root_fd, room->directory);

		if (directory_fd < 0)
			continue;
		if (cgroup->processes_fd < 0)
			cgroup->processes_fd = cgroup_place_open_file(directory_fd, "cgroup.procs");
		if (level_open(directory_fd, cgroup->version, &cgroup->level[cgroup->count]))
			cgroup->count++;
		kernel_close(directory_fd);
	} while (cgroup->count < CGROUP_LEVELS_MAX && path_up(room->directory, room->point));
}

/* The root's file tells about the whole machine. */
static int pressure_open(int root_fd, const char *directory)
{
	int directory_fd = cgroup_place_open_directory(root_fd, directory);
	int fd = -1;

	if (directory_fd < 0)
		return -1;
	if (kernel_call(SYS_faccessat, directory_fd, (long)"cgroup.type", F_OK, 0, 0, 0) == 0)
		fd = cgroup_place_open_file(directory_fd, "memory.pressure");
	kernel_close(directory_fd);
	return fd;
}

int cgroup_open(int root_fd, struct cgroup *cgroup)
{
	struct cgroup_room *room = &cgroup->room;

	cgroup->count = 0;
	cgroup->pressure_fd = -1;
	cgroup->processes_fd = -1;
	cgroup->place = cgroup_place_read(root_fd, room);
	cgroup->version = room->v1[0] != '\0' ? CGROUP_V1 : CGROUP_V2;
	if (cgroup_place_find(root_fd, true, room->v2, room)) {
		cgroup->pressure_fd = pressure_open(root_fd, room->directory);
		if (cgroup->version == CGROUP_V2)
			levels_open(root_fd, cgroup);
	}
	if (cgroup->version == CGROUP_V1 && cgroup_place_find(root_fd, false, room->v1, room))
		levels_open(root_fd, cgroup);
	if (cgroup->count > 0)
		return 0;
	cgroup_close(cgroup);
	return -ENOENT;
}

void cgroup_close(struct cgroup *cgroup)
{
	for (size_t i = 0; i < cgroup->count; i++)
		level_close(&cgroup->level[i]);
	cgroup->count = 0;
	close_fd(&cgroup->pressure_fd);
	close_fd(&cgroup->processes_fd);
}

bool cgroup_has_moved(int root_fd, struct cgroup *cgroup)
{
	return cgroup_place_read(root_fd, &cgroup->room) != cgroup->place;
}

static bool usage_read(const struct cgroup_level *level, uint64_t *bytes)
{
	char text[SHORT_TEXT_BYTES];
	long length = read_text(level->usage_fd, text, sizeof text);

	return length > 0 && cgroup_text_u64(text, (size_t)length, bytes) == 0;
}

/* False where the level tells nothing. */
static bool level_read(
	const struct cgroup_level *level, struct cgroup *cgroup, struct wall_sample *wall)
{
	char *text = cgroup->room.text;
	long length = read_text(level->limit_fd, text, SHORT_TEXT_BYTES);

	*wall = (struct wall_sample){.limit_bytes = SAMPLE_NO_LIMIT};
	if (length <= 0 || cgroup_text_limit(text, (size_t)length, &wall->limit_bytes) != 0)
		wall->limit_bytes = SAMPLE_NO_LIMIT;
	if (!usage_read(level, &wall->current_bytes))
		return false;
	if (wall->limit_bytes == SAMPLE_NO_LIMIT)
		return true;
	length = read_text(level->stat_fd, text, sizeof cgroup->room.text);
	if (length > 0)
		(void)cgroup_text_reclaimable(text, (size_t)length, cgroup->version, wall);
	if (wall->reclaimable_bytes > wall->current_bytes)
		wall->reclaimable_bytes = wall->current_bytes;
	return true;
}

static void events_add(
	const struct cgroup_level *level, enum cgroup_version version, struct events_sample *sum)
{
	char text[SHORT_TEXT_BYTES];
	struct events_sample events = {0};
	long length = read_text(level->events_fd, text, sizeof text);

	if (length <= 0)
		return;
	if (version == CGROUP_V2)
		cgroup_text_events(text, (size_t)length, &events);
	else
		events.known = cgroup_text_u64(text, (size_t)length, &events.max) == 0;
	sum->known |= events.known;
	sum->high += events.high;
	sum->max += events.max;
}

size_t cgroup_read(struct cgroup *cgroup, struct wall_sample *wall, struct events_sample *events)
{
	size_t tightest = 0;

	*wall = (struct wall_sample){.limit_bytes = SAMPLE_NO_LIMIT};
	*events = (struct events_sample){0};
	for (size_t i = 0; i < cgroup->count; i++) {
		struct wall_sample here;

		if (!level_read(&cgroup->level[i], cgroup, &here))
			continue;
		events_add(&cgroup->level[i], cgroup->version, events);
		if (i == 0 || wall_is_tighter(&here, wall)) {
			*wall = here;
			tightest = i;
		}
	}
	return tightest;
}

bool cgroup_read_own(struct cgroup *cgroup, struct wall_sample *own)
{
	char *text = cgroup->room.text;
	long length;

	*own = (struct wall_sample){.limit_bytes = SAMPLE_NO_LIMIT};
	if (cgroup->version == CGROUP_V1 && strcmp(cgroup->room.v1, "/") == 0)
		return false;
	if (!usage_read(&cgroup->level[0], &own->current_bytes))
		return false;
	length = read_text(cgroup->level[0].stat_fd, text, sizeof cgroup->room.text);
	if (length > 0)
		(void)cgroup_text_reclaimable(text, (size_t)length, cgroup->version, own);
	if (own->reclaimable_bytes > own->current_bytes)
		own->reclaimable_bytes = own->current_bytes;
	return true;
}

void cgroup_read_stall(struct cgroup *cgroup, uint64_t now_ms, struct stall_sample *stall)
{
	char text[SHORT_TEXT_BYTES];
	struct stall_sample read = {.known = true, .read_ms = now_ms};
	long length = read_text(cgroup->pressure_fd, text, sizeof text);

	*stall = (struct stall_sample){0};
	if (length > 0 && cgroup_text_stall(text, (size_t)length, &read) == 0)
		*stall = read;
}

uint32_t cgroup_processes(struct cgroup *cgroup)
{
	char text[SHORT_TEXT_BYTES] = {0};
	uint32_t count = 0;
	long at = 0;

	for (int reads = 0; reads < PROCESSES_READS && cgroup->processes_fd >= 0; reads++) {
		long got = kernel_call(
			SYS_pread64, cgroup->processes_fd, (long)text, sizeof text, at, 0, 0);

		if (got <= 0)
			break;
		at += got;
		for (long i = 0; i < got; i++)
			count += text[i] == '\n';
	}
	return count > 0 ? count : 1;
}
