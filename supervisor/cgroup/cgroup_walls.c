/* Finds the tightest limit from a cgroup up to the root that we can see. */
#include "supervisor/cgroup/cgroup_walls.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/root.h"
#include "supervisor/cgroup/mode.h"
#include "supervisor/policy/wall.h"

/* One component less; false where path is the mount already, or not below it. */
static bool path_up(char *path, const char *mount)
{
	size_t mount_length = strlen(mount);
	while (mount_length > 1 && mount[mount_length - 1] == '/')
		mount_length--;
	if (strncmp(path, mount, mount_length) != 0 || strlen(path) <= mount_length)
		return false;
	char *slash = strrchr(path, '/');
	if (slash == NULL)
		return false;
	if (slash == path)
		slash++;
	*slash = '\0';
	return strlen(path) >= mount_length;
}

static void close_level(struct cgroup_walls *walls, size_t i)
{
	cgroup_files_close(&walls->level[i]);
	if (walls->high_fd[i] >= 0)
		close(walls->high_fd[i]);
	free(walls->directory[i]);
	walls->directory[i] = NULL;
}

/* false where there is nothing to see, or no memory to note it.  The lowest level is kept whatever
 * it has, since it is the cgroup itself. */
static bool open_level(struct cgroup_walls *walls, size_t i, int root_fd, const char *directory,
	enum cgroup_version version)
{
	int fd = root_open_directory(root_fd, directory);
	if (fd < 0)
		return false;
	cgroup_files_open(&walls->level[i], fd, version);
	walls->high_fd[i] = openat(fd, "memory.high", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	walls->directory[i] = strdup(directory);
	close(fd);
	if (walls->directory[i] != NULL && (walls->level[i].limit_fd >= 0 || i == 0))
		return true;
	close_level(walls, i);
	return false;
}

void cgroup_walls_open(struct cgroup_walls *walls, int root_fd, const char *path, const char *mount,
	enum cgroup_version version)
{
	char directory[MODE_PATH_BYTES];
	walls->count = 0;
	if (*path == '\0' || strlen(path) >= sizeof directory)
		return;
	memcpy(directory, path, strlen(path) + 1);
	size_t length = strlen(directory);
	while (length > 1 && directory[length - 1] == '/')
		directory[--length] = '\0';
	do {
		walls->count += open_level(walls, walls->count, root_fd, directory, version);
	} while (walls->count < CGROUP_LEVELS_MAX && path_up(directory, mount));
}

void cgroup_walls_close(struct cgroup_walls *walls)
{
	for (size_t i = 0; i < walls->count; i++)
		close_level(walls, i);
	walls->count = 0;
}

void cgroup_walls_watch(const struct cgroup_walls *walls, const struct limit_watch *watch)
{
	struct limit_mark mark;
	for (size_t i = 0; i < walls->count; i++) {
		limit_watch_add(watch, walls->level[i].limit_fd, &mark);
		limit_watch_add(watch, walls->high_fd[i], &mark);
	}
}

static uint64_t limit_of(const struct cgroup_files *files, int high_fd)
{
	char text[32];
	uint64_t limit_bytes;
	uint64_t high_bytes;
	if (cgroup_files_limit(files, &limit_bytes) != 0)
		limit_bytes = SAMPLE_NO_LIMIT;
	int length = cgroup_files_read(high_fd, text, sizeof text);
	if (length < 0 || cgroup_text_limit(text, (size_t)length, &high_bytes) != 0)
		high_bytes = SAMPLE_NO_LIMIT;
	return high_bytes < limit_bytes ? high_bytes : limit_bytes;
}

/* false where the level is no wall: it tells no usage, or it is not our own and has no limit.
 * memory.stat, which takes the kernel longer than all other files, is not read for nothing. */
static bool read_level(const struct cgroup_walls *walls, size_t i, struct wall_sample *wall)
{
	const struct cgroup_files *files = &walls->level[i];
	*wall = (struct wall_sample){.limit_bytes = limit_of(files, walls->high_fd[i])};
	if (i != 0 && wall->limit_bytes == SAMPLE_NO_LIMIT)
		return false;
	if (cgroup_files_usage(files, &wall->current_bytes) != 0)
		return false;
	(void)cgroup_files_reclaimable(files, wall);
	if (wall->reclaimable_bytes > wall->current_bytes)
		wall->reclaimable_bytes = wall->current_bytes;
	return true;
}

void cgroup_walls_read(const struct cgroup_walls *walls, struct wall_sample *wall, size_t *level)
{
	*wall = (struct wall_sample){.limit_bytes = SAMPLE_NO_LIMIT};
	*level = 0;
	for (size_t i = 0; i < walls->count; i++) {
		struct wall_sample here;
		if (!read_level(walls, i, &here))
			continue;
		if (i == 0 || wall_is_tighter(&here, wall)) {
			*wall = here;
			*level = i;
		}
	}
}

void cgroup_walls_events(const struct cgroup_walls *walls, struct events_sample *events)
{
	*events = (struct events_sample){0};
	for (size_t i = 0; i < walls->count; i++) {
		struct events_sample local;
		cgroup_files_events_local(&walls->level[i], &local);
		if (!local.known)
			continue;
		events->known = true;
		events->high += local.high;
		events->max += local.max;
		events->oom += local.oom;
	}
	struct events_sample below;
	if (walls->count > 0) {
		cgroup_files_events(&walls->level[0], &below);
		events->oom_kill = below.oom_kill;
	}
}
