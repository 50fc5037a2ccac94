/* Finds the disks of a service's limits, and writes the limits into its leaf. */
#include "supervisor/cgroup/cgroup_io.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "supervisor/base/log.h"
#include "supervisor/base/root.h"
#include "supervisor/cgroup/cgroup_directory.h"

#define LIST_TEXT_BYTES 4096
#define SYS_PATH_BYTES 64

/* One line of the file; a rate of 0 is none. */
struct line {
	struct cgroup_io_disk disk;
	uint64_t most[CONFIG_IO_KINDS];
};

static int stat_disk(const char *path, struct cgroup_io_disk *disk)
{
	struct stat status;
	if (stat(path, &status) != 0)
		return -errno;
	dev_t device = S_ISBLK(status.st_mode) ? status.st_rdev : status.st_dev;
	/* Major 0 is no disk: tmpfs, overlay, network file systems. */
	if (major(device) == 0 || S_ISCHR(status.st_mode))
		return -ENOTBLK;
	*disk = (struct cgroup_io_disk){.major = major(device), .minor = minor(device)};
	return 0;
}

static int read_device(int fd, struct cgroup_io_disk *disk)
{
	char text[32];
	ssize_t length = read(fd, text, sizeof text - 1);
	if (length < 0)
		return -errno;
	text[length] = '\0';
	return sscanf(text, "%u:%u", &disk->major, &disk->minor) == 2 ? 0 : -EPROTO;
}

/* In sysfs the folder of a partition is in that of its disk. */
static int leave_partition(int root_fd, struct cgroup_io_disk *disk)
{
	char path[SYS_PATH_BYTES];
	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/partition", disk->major, disk->minor);
	int fd = root_open_file(root_fd, path);
	if (fd < 0)
		return 0;
	close(fd);
	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/../dev", disk->major, disk->minor);
	fd = root_open_file(root_fd, path);
	if (fd < 0)
		return -errno;
	int error = read_device(fd, disk);
	close(fd);
	return error;
}

int cgroup_io_find(int root_fd, const struct config_io_max *limit, struct cgroup_io_disk *disk)
{
	struct cgroup_io_disk found = {.major = limit->major, .minor = limit->minor};
	int error = limit->path != NULL ? stat_disk(limit->path, &found) : 0;
	if (error == 0)
		error = leave_partition(root_fd, &found);
	if (error == 0)
		*disk = found;
	return error;
}

static struct line *find_line(struct line *lines, size_t count, struct cgroup_io_disk disk)
{
	for (size_t i = 0; i < count; i++)
		if (lines[i].disk.major == disk.major && lines[i].disk.minor == disk.minor)
			return &lines[i];
	return NULL;
}

static void lower(struct line *line, const struct config_io_max *limit)
{
	for (size_t i = 0; i < CONFIG_IO_KINDS; i++)
		if (limit->most[i] != 0 && (line->most[i] == 0 || limit->most[i] < line->most[i]))
			line->most[i] = limit->most[i];
}

static void complain(const struct config_service *config, const char *what, int error)
{
	log_warn("%s: io_max has no effect: %s: %s", config->name, what,
		error == -ENOTBLK ? "not on a disk" : strerror(-error));
}

/* The lines that the leaf is to have; their count. */
static size_t collect(const struct config_service *config, struct line *lines)
{
	size_t count = 0;
	int root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t i = 0; i < config->io_max_count; i++) {
		const struct config_io_max *limit = &config->io_max[i];
		struct cgroup_io_disk disk;
		int error = cgroup_io_find(root_fd, limit, &disk);
		if (error != 0) {
			complain(config, limit->path != NULL ? limit->path : "/sys/dev/block",
				error);
			continue;
		}
		struct line *line = find_line(lines, count, disk);
		if (line == NULL) {
			line = &lines[count++];
			line->disk = disk;
		}
		lower(line, limit);
	}
	if (root_fd >= 0)
		close(root_fd);
	return count;
}

static int write_line(int leaf_fd, const struct line *line)
{
	static const char *const names[CONFIG_IO_KINDS] = {
		[CONFIG_IO_RBPS] = "rbps",
		[CONFIG_IO_WBPS] = "wbps",
		[CONFIG_IO_RIOPS] = "riops",
		[CONFIG_IO_WIOPS] = "wiops",
	};
	char text[192];
	int length = snprintf(text, sizeof text, "%u:%u", line->disk.major, line->disk.minor);
	for (size_t i = 0; i < CONFIG_IO_KINDS; i++) {
		if (line->most[i] == 0)
			length += snprintf(
				text + length, sizeof text - (size_t)length, " %s=max", names[i]);
		else
			length += snprintf(text + length, sizeof text - (size_t)length,
				" %s=%" PRIu64, names[i], line->most[i]);
	}
	return cgroup_directory_write(leaf_fd, "io.max", text);
}

/* What an earlier config has asked for. */
static void take_back(int leaf_fd, struct line *lines, size_t count)
{
	char text[LIST_TEXT_BYTES];
	char *state = NULL;
	if (cgroup_directory_read(leaf_fd, "io.max", text, sizeof text) < 0)
		return;
	for (char *row = strtok_r(text, "\n", &state); row != NULL;
		row = strtok_r(NULL, "\n", &state)) {
		struct line line = {0};
		if (sscanf(row, "%u:%u ", &line.disk.major, &line.disk.minor) == 2 &&
			find_line(lines, count, line.disk) == NULL)
			(void)write_line(leaf_fd, &line);
	}
}

void cgroup_io_write(int leaf_fd, const struct config_service *config)
{
	struct line *lines = calloc(config->io_max_count + 1, sizeof *lines);
	if (lines == NULL) {
		complain(config, "io.max", -ENOMEM);
		return;
	}
	size_t count = collect(config, lines);
	for (size_t i = 0; i < count; i++) {
		char what[48];
		int error = write_line(leaf_fd, &lines[i]);
		snprintf(what, sizeof what, "disk %u:%u", lines[i].disk.major, lines[i].disk.minor);
		if (error != 0)
			complain(config, what, error);
	}
	take_back(leaf_fd, lines, count);
	free(lines);
}
