/* libcgroup in a process of its own: what it does there, and how it is asked. */
#include "supervisor/cgroup/cgroup_library.h"

#include <errno.h>
#include <libcgroup.h>
#include <linux/magic.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/cgroup/mode.h"

#define ANSWER_MS 1000

struct request {
	uint64_t max_bytes;
	uint64_t high_bytes;
	char name[MODE_PATH_BYTES]; /* relative to the mount point */
};

/* --- in the process ----------------------------------------------------------------------------
 */

/* 0, or -ENOSYS: the library sees the hierarchy elsewhere. */
static int open_library(const char *mount)
{
	char *point = NULL;
	int error = cgroup_init();
	if (error == 0)
		error = cgroup_get_subsys_mount_point("memory", &point);
	if (error == 0 && strcmp(point, mount) != 0)
		error = -ENOSYS;
	free(point);
	return error == 0 ? 0 : -ENOSYS;
}

static void format_bytes(char text[static 32], uint64_t bytes)
{
	if (bytes == UINT64_MAX)
		snprintf(text, 32, "max");
	else
		snprintf(text, 32, "%llu", (unsigned long long)bytes);
}

static int create(const struct request *request)
{
	char max[32];
	char high[32];
	format_bytes(max, request->max_bytes);
	format_bytes(high, request->high_bytes);
	struct cgroup *group = cgroup_new_cgroup(request->name);
	struct cgroup_controller *memory =
		group != NULL ? cgroup_add_controller(group, "memory") : NULL;
	int error = 0;
	if (memory == NULL || cgroup_add_value_string(memory, "memory.max", max) != 0 ||
		cgroup_add_value_string(memory, "memory.high", high) != 0 ||
		cgroup_create_cgroup(group, 1) != 0)
		error = -ENOSYS;
	cgroup_free(&group);
	return error;
}

/* Until the supervisor has closed its end. */
static void serve(int fd, const char *mount)
{
	struct request request;
	prctl(PR_SET_NAME, "spillway-cgroup");
	int unusable = open_library(mount);
	while (recv(fd, &request, sizeof request, 0) == (ssize_t)sizeof request) {
		int error = unusable != 0 ? unusable : create(&request);
		if (send(fd, &error, sizeof error, MSG_NOSIGNAL) < 0)
			break;
	}
	_exit(0);
}

/* --- in the supervisor -------------------------------------------------------------------------
 */

static int start(struct cgroup_library *library, const char *mount)
{
	int ends[2];
	struct statfs status;
	if (statfs(mount, &status) != 0 || status.f_type != CGROUP2_SUPER_MAGIC)
		return -ENOSYS;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		close(ends[0]);
		serve(ends[1], mount);
	}
	int error = pid < 0 ? -errno : 0;
	close(ends[1]);
	if (error != 0)
		close(ends[0]);
	else
		*library = (struct cgroup_library){.fd = ends[0], .pid = pid};
	return error;
}

static int ask(const struct cgroup_library *library, const struct request *request)
{
	int answer;
	struct pollfd ready = {.fd = library->fd, .events = POLLIN};
	if (send(library->fd, request, sizeof *request, MSG_NOSIGNAL) < 0)
		return -errno;
	if (poll(&ready, 1, ANSWER_MS) != 1)
		return -ETIMEDOUT;
	return recv(library->fd, &answer, sizeof answer, MSG_DONTWAIT) == (ssize_t)sizeof answer
		       ? answer
		       : -EPIPE;
}

int cgroup_library_create(struct cgroup_library *library, const char *mount, const char *path,
	uint64_t max_bytes, uint64_t high_bytes)
{
	struct request request = {.max_bytes = max_bytes, .high_bytes = high_bytes};
	const char *name = path + strlen(mount);
	name += strspn(name, "/");
	if (strlen(name) >= sizeof request.name)
		return -ENAMETOOLONG;
	memcpy(request.name, name, strlen(name) + 1);
	int error = library->fd < 0 ? start(library, mount) : 0;
	if (error == 0)
		error = ask(library, &request);
	/* One that does not answer may still do so, to another request. */
	if (error == -ETIMEDOUT) {
		kill(library->pid, SIGKILL);
		cgroup_library_end(library);
	}
	return error;
}

void cgroup_library_end(struct cgroup_library *library)
{
	if (library->fd < 0)
		return;
	/* A service that has not run exec yet holds the socket as well. */
	shutdown(library->fd, SHUT_RDWR);
	close(library->fd);
	while (waitpid(library->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*library = CGROUP_LIBRARY_NONE;
}
