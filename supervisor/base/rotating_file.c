/* A file that is appended to, up to a size; then it is renamed, and another one is begun. */
#include "supervisor/base/rotating_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE 0644
/* So far beyond its size the end of a line is looked for. */
#define LINE_MORE 4096U

int rotating_file_init(
	struct rotating_file *file, const char *path, uint64_t max_bytes, unsigned backups)
{
	char *copy = strdup(path);
	if (copy == NULL)
		return -ENOMEM;
	*file = (struct rotating_file){
		.path = copy, .max_bytes = max_bytes, .backups = backups, .fd = -1};
	return 0;
}

int rotating_file_open(struct rotating_file *file)
{
	struct stat status;
	int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	if (file->fd >= 0)
		return 0;
	/* The name can be guessed and the directory may be everybody's: nothing that is there
	 * already is followed or written to. */
	if (file->is_ours)
		flags |= O_NOFOLLOW;
	if (file->is_ours && !file->was_opened) {
		unlink(file->path);
		flags |= O_EXCL;
	}
	int fd = open(file->path, flags, MODE);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) != 0) {
		int error = -errno;
		close(fd);
		return error;
	}
	file->fd = fd;
	file->was_opened = true;
	file->is_regular = S_ISREG(status.st_mode);
	file->size = file->is_regular ? (uint64_t)status.st_size : 0;
	file->is_within_line = false;
	return 0;
}

void rotating_file_close(struct rotating_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}

void rotating_file_fini(struct rotating_file *file)
{
	rotating_file_close(file);
	free(file->path);
	file->path = NULL;
}

/* PATH.OLD, or PATH for 0, becomes PATH.NEW.  One that is not there is none to move. */
static int move(const struct rotating_file *file, unsigned old, unsigned new)
{
	char *from = NULL;
	char *to = NULL;
	int error = -ENOMEM;
	if (asprintf(&to, "%s.%u", file->path, new) < 0)
		return -ENOMEM;
	if (old == 0)
		from = strdup(file->path);
	else if (asprintf(&from, "%s.%u", file->path, old) < 0)
		from = NULL;
	if (from != NULL)
		error = rename(from, to) == 0 || errno == ENOENT ? 0 : -errno;
	free(from);
	free(to);
	return error;
}

static int rotate(struct rotating_file *file)
{
	int error = 0;
	for (unsigned i = file->backups; error == 0 && i > 0; i--)
		error = move(file, i - 1, i);
	if (error == 0 && file->backups == 0 && unlink(file->path) != 0 && errno != ENOENT)
		error = -errno;
	file->stuck_error = error;
	if (error != 0) {
		file->size = 0;
		return error;
	}
	rotating_file_close(file);
	return rotating_file_open(file);
}

/* How many of these bytes go into the file as it is; 0 = it is to be rotated first. */
static size_t fitting(const struct rotating_file *file, const char *bytes, size_t length)
{
	uint64_t room = file->max_bytes > file->size ? file->max_bytes - file->size : 0;
	if (file->max_bytes == 0 || !file->is_regular || length <= room)
		return length;
	const char *newline = room > 0 ? memrchr(bytes, '\n', (size_t)room) : NULL;
	/* Its last line is finished where its end is near: pieces of a pipe end anywhere. */
	if (newline == NULL && file->is_within_line)
		newline = memchr(
			bytes, '\n', length - room > LINE_MORE ? (size_t)room + LINE_MORE : length);
	if (newline != NULL)
		return (size_t)(newline - bytes) + 1;
	return file->is_within_line || file->size == 0 ? (size_t)room : 0;
}

/* Others may write to it, make it shorter, or have rotated it: several services may have one file.
 */
static void look_again(struct rotating_file *file)
{
	struct stat named;
	struct stat open;
	if (file->fd < 0 || !file->is_regular || file->max_bytes == 0)
		return;
	if (stat(file->path, &named) != 0 || fstat(file->fd, &open) != 0 ||
		named.st_ino != open.st_ino || named.st_dev != open.st_dev)
		rotating_file_close(file);
	else if (file->stuck_error == 0)
		file->size = (uint64_t)open.st_size;
}

int rotating_file_write(
	struct rotating_file *file, const char *bytes, size_t length, size_t *written)
{
	look_again(file);
	int error = rotating_file_open(file);
	*written = 0;
	while (error == 0 && *written < length) {
		size_t part = fitting(file, bytes + *written, length - *written);
		if (part == 0) {
			error = rotate(file);
			if (error != 0 && file->fd >= 0)
				error = 0;
			continue;
		}
		ssize_t got = write(file->fd, bytes + *written, part);
		if (got <= 0) {
			error = got == 0 || errno != EINTR ? (got == 0 ? -EIO : -errno) : 0;
			continue;
		}
		*written += (size_t)got;
		file->size += (uint64_t)got;
		file->is_within_line = bytes[*written - 1] != '\n';
	}
	return error;
}
