/* Wakes those who sleep on a link that an earlier supervisor has left. */
#include "supervisor/link/link_left.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/protocol.h"

struct file {
	int fd; /* of the process */
	unsigned long long device;
	unsigned long long inode;
};

/* Opens what path leads to when it is the file.  A process may have anything there, so nothing is
 * opened in earnest before that is known. */
static int open_file(const char *path, const struct file *file)
{
	char again[32];
	struct stat status;
	int fd = -1;
	int path_fd = open(path, O_PATH | O_CLOEXEC);
	if (path_fd < 0)
		return -errno;
	if (fstat(path_fd, &status) == 0 && S_ISREG(status.st_mode) &&
		status.st_dev == file->device && status.st_ino == file->inode) {
		snprintf(again, sizeof again, "/proc/self/fd/%d", path_fd);
		fd = open(again, O_RDONLY | O_CLOEXEC);
	} else {
		errno = ENOENT;
	}
	int error = fd >= 0 ? fd : -errno;
	close(path_fd);
	return error;
}

/* Where it is mapped, for a process that has closed its descriptors. */
static int open_mapped(pid_t pid, const struct file *file)
{
	char path[64];
	char *line = NULL;
	size_t room = 0;
	int fd = -ENOENT;
	snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	FILE *maps = fopen(path, "re");
	if (maps == NULL)
		return -errno;
	while (fd == -ENOENT && getline(&line, &room, maps) > 0) {
		unsigned long long start;
		unsigned long long end;
		unsigned long long inode;
		if (sscanf(line, "%llx-%llx %*s %*s %*s %llu", &start, &end, &inode) != 3 ||
			inode != file->inode)
			continue;
		snprintf(path, sizeof path, "/proc/%d/map_files/%llx-%llx", (int)pid, start, end);
		fd = open_file(path, file);
	}
	free(line);
	fclose(maps);
	return fd;
}

int link_left_wake(pid_t pid, const char *text)
{
	char path[64];
	struct file file;
	if (sscanf(text, "%*u:%d:%llu:%llu:", &file.fd, &file.device, &file.inode) != 3)
		return -EINVAL;
	snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, file.fd);
	int fd = open_file(path, &file);
	if (fd < 0)
		fd = open_mapped(pid, &file);
	if (fd < 0)
		return fd;
	struct link_header *header = mmap(NULL, LINK_HEADER_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	int error = header == MAP_FAILED ? -errno : 0;
	close(fd);
	if (error != 0)
		return error;
	syscall(SYS_futex, &header->sequence, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
	munmap(header, LINK_HEADER_BYTES);
	return 0;
}
