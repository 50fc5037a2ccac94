/* Reads a file of text as a whole. */
#include "config/text_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0, or -errno: -ENOTSUP for what is no regular file.  Whoever reads a FIFO or a device waits for
 * its writer, and the supervisor reads the file again in its loop. */
static int open_regular(const char *path, int *fd)
{
	struct stat status;
	int opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (opened < 0)
		return -errno;
	int error = fstat(opened, &status) == 0 ? 0 : -errno;
	if (error == 0 && S_ISDIR(status.st_mode))
		error = -EISDIR;
	else if (error == 0 && !S_ISREG(status.st_mode))
		error = -ENOTSUP;
	if (error != 0)
		close(opened);
	else
		*fd = opened;
	return error;
}

int text_file_read(const char *path, char **text, size_t *length)
{
	char *buffer = malloc(TEXT_FILE_BYTES_MAX + 1);
	int fd = -1;
	size_t used = 0;
	ssize_t got = 1;
	int error = 0;

	if (buffer == NULL)
		return -ENOMEM;
	error = open_regular(path, &fd);
	if (error != 0)
		goto out;
	while (got != 0 && used <= TEXT_FILE_BYTES_MAX) {
		got = read(fd, buffer + used, TEXT_FILE_BYTES_MAX + 1 - used);
		if (got < 0 && errno != EINTR) {
			error = -errno;
			goto out;
		}
		if (got > 0)
			used += (size_t)got;
	}
	if (used > TEXT_FILE_BYTES_MAX) {
		error = -EFBIG;
		goto out;
	}
	*text = buffer;
	*length = used;
	buffer = NULL;
out:
	if (fd >= 0)
		close(fd);
	free(buffer);
	return error;
}
