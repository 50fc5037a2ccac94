#include "supervisor/descriptors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Without /proc, these are asked for one by one. */
#define BLIND_MAX 1024

static int fill_standard(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/* The lowest free number is this one. */
		if (open("/dev/null", O_RDWR | O_CLOEXEC) < 0 && open("/", O_PATH | O_CLOEXEC) < 0)
			return -errno;
	}
	return 0;
}

static int note(struct descriptors *descriptors, int fd)
{
	int *grown = realloc(descriptors->inherited, (descriptors->count + 1) * sizeof *grown);
	if (grown == NULL)
		return -ENOMEM;
	grown[descriptors->count++] = fd;
	descriptors->inherited = grown;
	return 0;
}

static int note_listed(struct descriptors *descriptors, DIR *directory)
{
	int error = 0;
	const struct dirent *entry;
	while (error == 0 && (entry = readdir(directory)) != NULL) {
		int fd = (int)strtol(entry->d_name, NULL, 10);
		if (fd > 2 && fd != dirfd(directory))
			error = note(descriptors, fd);
	}
	return error;
}

int descriptors_note(struct descriptors *descriptors)
{
	struct descriptors noted = {0};
	int error = fill_standard();
	if (error != 0)
		return error;
	DIR *directory = opendir("/proc/self/fd");
	if (directory != NULL) {
		error = note_listed(&noted, directory);
		closedir(directory);
	} else {
		for (int fd = 3; error == 0 && fd < BLIND_MAX; fd++)
			if (fcntl(fd, F_GETFD) >= 0)
				error = note(&noted, fd);
	}
	if (error != 0)
		free(noted.inherited);
	else
		*descriptors = noted;
	return error;
}

void descriptors_close(struct descriptors *descriptors)
{
	for (size_t i = 0; i < descriptors->count; i++)
		close(descriptors->inherited[i]);
	descriptors_free(descriptors);
}

void descriptors_free(struct descriptors *descriptors)
{
	free(descriptors->inherited);
	*descriptors = (struct descriptors){0};
}
