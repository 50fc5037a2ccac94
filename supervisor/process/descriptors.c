/* The descriptors that we were given, and how many we may have. */
#include "supervisor/process/descriptors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of one service: the link's two, the notifier's, the result of its start, its leaf and six files
 * of that, two watches of two, what it tells us by and a check of it.  Of all: the loop, signals,
 * timers, the walls' files, the listener and its connections, and what is open for a moment. */
#define OF_ONE_SERVICE 19
#define OF_ALL 128

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

/* By the kernel's call, since opendir() takes 32 KiB for the few there are. */
static int note_listed(struct descriptors *descriptors, int directory)
{
	_Alignas(struct dirent64) char list[1024];
	int error = 0;
	ssize_t length;
	while (error == 0 && (length = getdents64(directory, list, sizeof list)) > 0) {
		const struct dirent64 *entry;
		for (ssize_t at = 0; error == 0 && at < length; at += entry->d_reclen) {
			entry = (const void *)(list + at);
			int fd = (int)strtol(entry->d_name, NULL, 10);
			/* A /proc that is not ours lists another's. */
			if (fd > 2 && fd != directory && fcntl(fd, F_GETFD) >= 0)
				error = note(descriptors, fd);
		}
	}
	return error;
}

/* The kernel tells how many are open, since Linux 6.2, as the size of their folder. */
static bool is_only_standard(void)
{
	struct stat status;
	return stat("/proc/self/fd", &status) == 0 && status.st_size == 3;
}

int descriptors_note(struct descriptors *descriptors)
{
	struct descriptors noted = {0};
	int error = fill_standard();
	if (error != 0)
		return error;
	if (is_only_standard()) {
		*descriptors = noted;
		return 0;
	}
	int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory >= 0) {
		error = note_listed(&noted, directory);
		close(directory);
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

void descriptors_raise(struct descriptors *descriptors)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	struct rlimit raised = limit;
	raised.rlim_cur = limit.rlim_max < DESCRIPTORS_MOST ? limit.rlim_max : DESCRIPTORS_MOST;
	if (raised.rlim_cur > limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &raised) == 0)
		descriptors->limit = limit;
}

void descriptors_restore(const struct descriptors *descriptors)
{
	if (descriptors->limit.rlim_max != 0)
		setrlimit(RLIMIT_NOFILE, &descriptors->limit);
}

void descriptors_set_aside(struct descriptors *descriptors)
{
	while (descriptors->spare_count < DESCRIPTORS_SPARE) {
		int fd = open("/", O_PATH | O_CLOEXEC);
		if (fd < 0)
			return;
		descriptors->spare[descriptors->spare_count++] = fd;
	}
}

void descriptors_give_up(struct descriptors *descriptors)
{
	while (descriptors->spare_count > 0)
		close(descriptors->spare[--descriptors->spare_count]);
}

size_t descriptors_needed(size_t services)
{
	return OF_ALL + services * OF_ONE_SERVICE;
}

void descriptors_close(struct descriptors *descriptors)
{
	for (size_t i = 0; i < descriptors->count; i++)
		close(descriptors->inherited[i]);
	free(descriptors->inherited);
	descriptors->inherited = NULL;
	descriptors->count = 0;
}

static int sockets_handed_over(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *count = getenv("LISTEN_FDS");
	if (pid == NULL || count == NULL || strtol(pid, NULL, 10) != (long)getpid())
		return 0;
	long value = strtol(count, NULL, 10);
	return value > 0 && value < DESCRIPTORS_MOST ? (int)value : 0;
}

void descriptors_close_unasked(struct descriptors *descriptors)
{
	int first = STDERR_FILENO + 1 + sockets_handed_over();
	for (size_t i = 0; i < descriptors->count; i++)
		if (descriptors->inherited[i] >= first)
			close(descriptors->inherited[i]);
	descriptors->count = 0;
}

void descriptors_free(struct descriptors *descriptors)
{
	descriptors_give_up(descriptors);
	free(descriptors->inherited);
	*descriptors = (struct descriptors){0};
}
