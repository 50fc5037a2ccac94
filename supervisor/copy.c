/* Copies the program and its library into a folder. */
#include "supervisor/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "supervisor/process/shim_check.h"

#define PIECE_BYTES (1 << 20)

static int pour(int from_fd, int to_fd)
{
	ssize_t sent;
	do
		sent = sendfile(to_fd, from_fd, NULL, PIECE_BYTES);
	while (sent > 0);
	return sent == 0 ? 0 : -errno;
}

/* Everybody may read and run it, whatever our umask is. */
static int write_file(int from_fd, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0755);
	if (fd < 0)
		return -errno;
	int error = pour(from_fd, fd);
	if (error == 0 && fchmod(fd, 0755) != 0)
		error = -errno;
	if (close(fd) != 0 && error == 0)
		error = -errno;
	return error;
}

/* FOLDER/PLACE/NAME, by way of a file beside it. */
static int copy_file(const char *from, const char *folder, const char *place, const char *name)
{
	char directory[PATH_MAX];
	char made[PATH_MAX];
	char path[PATH_MAX];
	int length = snprintf(directory, sizeof directory, "%s/%s", folder, place);
	if (length >= PATH_MAX ||
		snprintf(made, sizeof made, "%s/.%s.new", directory, name) >= PATH_MAX ||
		snprintf(path, sizeof path, "%s/%s", directory, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	if (mkdir(directory, 0755) != 0 && errno != EEXIST)
		return -errno;
	int from_fd = open(from, O_RDONLY | O_CLOEXEC);
	if (from_fd < 0)
		return -errno;
	int error = write_file(from_fd, made);
	close(from_fd);
	if (error == 0 && rename(made, path) != 0)
		error = -errno;
	if (error != 0)
		unlink(made);
	return error;
}

static int refuse(const char *what, int error)
{
	fprintf(stderr, "spillway: copy-to %s: %s\n", what, strerror(-error));
	return EXIT_FAILURE;
}

int copy_to(const char *folder)
{
	char program[PATH_MAX];
	char library[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
	if (length < 0)
		return refuse("/proc/self/exe", -errno);
	program[length] = '\0';
	int error = shim_find(program, SHIM_LIBRARY, library);
	if (error != 0)
		return refuse("no " SHIM_LIBRARY " in ../lib of this program", error);
	error = copy_file(program, folder, "bin", "spillway");
	if (error == 0)
		error = copy_file(library, folder, "lib", SHIM_LIBRARY);
	/* Only a service with allocator = keep or auto needs it. */
	if (error == 0 && shim_find(program, SHIM_AGENT, library) == 0)
		error = copy_file(library, folder, "lib", SHIM_AGENT);
	return error == 0 ? EXIT_SUCCESS : refuse(folder, error);
}
