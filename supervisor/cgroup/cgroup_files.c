/* Reads the memory files of one cgroup, v1 or v2. */
#include "supervisor/cgroup/cgroup_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/base/log.h"

/* memory.stat of 6.18 has 2 KiB; a text that is longer is cut, and its last keys are unknown. */
#define STAT_TEXT_BYTES 8192
#define SHORT_TEXT_BYTES 512

int cgroup_files_read(int fd, char *text, size_t size)
{
	if (fd < 0)
		return -ENOENT;
	ssize_t length;
	do {
		length = pread(fd, text, size - 1, 0);
	} while (length < 0 && errno == EINTR);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	return (int)length;
}

static int open_file(int directory_fd, const char *name)
{
	int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		log_warn("%s: %s: a cgroup's memory is watched without it", name, strerror(errno));
	return fd;
}

void cgroup_files_open(struct cgroup_files *files, int directory_fd, enum cgroup_version version)
{
	bool v2 = version == CGROUP_V2;
	*files = CGROUP_FILES_NONE;
	files->version = version;
	files->limit_fd = open_file(directory_fd, v2 ? "memory.max" : "memory.limit_in_bytes");
	files->usage_fd = open_file(directory_fd, v2 ? "memory.current" : "memory.usage_in_bytes");
	files->events_fd = open_file(directory_fd, v2 ? "memory.events" : "memory.oom_control");
	files->events_local_fd =
		open_file(directory_fd, v2 ? "memory.events.local" : "memory.failcnt");
	files->stat_fd = open_file(directory_fd, "memory.stat");
	if (v2)
		files->pressure_fd = open_file(directory_fd, "memory.pressure");
}

void cgroup_files_close(struct cgroup_files *files)
{
	const int fds[] = {files->limit_fd, files->usage_fd, files->events_fd,
		files->events_local_fd, files->stat_fd, files->pressure_fd};
	for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	*files = CGROUP_FILES_NONE;
}

static int read_u64(int fd, uint64_t *value)
{
	char text[SHORT_TEXT_BYTES];
	int length = cgroup_files_read(fd, text, sizeof text);
	if (length < 0)
		return length;
	return cgroup_text_u64(text, (size_t)length, value);
}

int cgroup_files_limit(const struct cgroup_files *files, uint64_t *limit_bytes)
{
	char text[SHORT_TEXT_BYTES];
	int length = cgroup_files_read(files->limit_fd, text, sizeof text);
	if (length < 0)
		return length;
	return cgroup_text_limit(text, (size_t)length, limit_bytes);
}

int cgroup_files_usage(const struct cgroup_files *files, uint64_t *usage_bytes)
{
	return read_u64(files->usage_fd, usage_bytes);
}

int cgroup_files_reclaimable(const struct cgroup_files *files, struct wall_sample *wall)
{
	char text[STAT_TEXT_BYTES];
	int length = cgroup_files_read(files->stat_fd, text, sizeof text);
	if (length < 0)
		return length;
	wall->listed_bytes = cgroup_text_listed(text, (size_t)length, files->version);
	return cgroup_text_reclaimable(text, (size_t)length, files->version, wall);
}

static void read_events_v2(int fd, struct events_sample *events)
{
	char text[SHORT_TEXT_BYTES];
	int length = cgroup_files_read(fd, text, sizeof text);
	if (length >= 0)
		cgroup_text_events(text, (size_t)length, events);
}

static void read_events_v1(const struct cgroup_files *files, struct events_sample *events)
{
	char text[SHORT_TEXT_BYTES];
	struct events_sample read = {.known = true};
	if (read_u64(files->events_local_fd, &read.max) != 0)
		return;
	int length = cgroup_files_read(files->events_fd, text, sizeof text);
	if (length >= 0 && cgroup_text_key(text, (size_t)length, "oom_kill", &read.oom_kill))
		read.oom = read.oom_kill;
	*events = read;
}

void cgroup_files_oom_kills(int fd, uint64_t *kills)
{
	char text[SHORT_TEXT_BYTES];
	int length = cgroup_files_read(fd, text, sizeof text);
	if (length < 0 || !cgroup_text_key(text, (size_t)length, "oom_kill", kills))
		*kills = 0;
}

void cgroup_files_events(const struct cgroup_files *files, struct events_sample *events)
{
	*events = (struct events_sample){0};
	if (files->version == CGROUP_V1)
		read_events_v1(files, events);
	else
		read_events_v2(files->events_fd, events);
}

void cgroup_files_events_local(const struct cgroup_files *files, struct events_sample *events)
{
	*events = (struct events_sample){0};
	if (files->version == CGROUP_V1)
		read_events_v1(files, events);
	else if (files->events_local_fd >= 0)
		read_events_v2(files->events_local_fd, events);
	else
		read_events_v2(files->events_fd, events);
}

void cgroup_files_stall(
	const struct cgroup_files *files, uint64_t now_ms, struct stall_sample *stall)
{
	char text[SHORT_TEXT_BYTES];
	struct stall_sample read = {.known = true, .read_ms = now_ms};
	*stall = (struct stall_sample){0};
	int length = cgroup_files_read(files->pressure_fd, text, sizeof text);
	if (length >= 0 && cgroup_text_stall(text, (size_t)length, &read) == 0)
		*stall = read;
}
