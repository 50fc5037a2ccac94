#include "tests/bench/demo/cgroup_files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES 4096

static int file_open(const char *directory, const char *name, int flags)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/%s", directory, name) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	flags = open(path, flags | O_CLOEXEC);
	return flags < 0 ? -errno : flags;
}

static int file_text(const char *directory, const char *name, char text[TEXT_BYTES])
{
	int fd = file_open(directory, name, O_RDONLY);
	ssize_t size;

	if (fd < 0)
		return fd;
	size = read(fd, text, TEXT_BYTES - 1);
	close(fd);
	if (size < 0)
		return -EIO;
	text[size] = '\0';
	return 0;
}

/* The first of the two names that is there. */
static uint64_t file_number(const char *directory, const char *name, const char *old_name)
{
	char text[TEXT_BYTES];

	if (file_text(directory, name, text) < 0 && file_text(directory, old_name, text) < 0)
		return 0;
	return strtoull(text, NULL, 10);
}

uint64_t cgroup_usage_bytes(const char *directory)
{
	return file_number(directory, "memory.current", "memory.usage_in_bytes");
}

uint64_t cgroup_peak_bytes(const char *directory)
{
	return file_number(directory, "memory.peak", "memory.max_usage_in_bytes");
}

uint64_t cgroup_limit_bytes(const char *directory)
{
	return file_number(directory, "memory.max", "memory.limit_in_bytes");
}

uint64_t cgroup_oom_kills(const char *directory)
{
	static const char key[] = "oom_kill ";
	char text[TEXT_BYTES];

	if (file_text(directory, "memory.events", text) < 0 &&
		file_text(directory, "memory.oom_control", text) < 0)
		return 0;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, sizeof(key) - 1) == 0)
			return strtoull(line + sizeof(key) - 1, NULL, 10);
	}
	return 0;
}

int cgroup_enter(const char *directory)
{
	int fd = file_open(directory, "cgroup.procs", O_WRONLY);
	int rc = 0;

	if (fd < 0)
		return fd;
	if (write(fd, "0", 1) != 1)
		rc = -errno;
	close(fd);
	return rc;
}
