/* Finds and ends what a supervisor that was killed has left in its leaves. */

#include "supervisor/cgroup/cgroup_leftover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "supervisor/cgroup/cgroup_directory.h"
#include "supervisor/base/clock.h"
#include "supervisor/base/log.h"

#define ATTRIBUTE "user.spillway.owner"

int cgroup_leftover_lock(const char *base, int *lock_fd)
{
	int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		int error = errno == EWOULDBLOCK ? -EALREADY : -errno;
		close(fd);
		return error;
	}
	*lock_fd = fd;
	return 0;
}

int cgroup_leftover_mark(const char *leaf, const char *owner)
{
	return setxattr(leaf, ATTRIBUTE, owner, strlen(owner), 0) == 0 ? 0 : -errno;
}

bool cgroup_leftover_is(const char *leaf, const char *owner)
{
	char value[PATH_MAX];
	struct stat status;
	ssize_t length = getxattr(leaf, ATTRIBUTE, value, sizeof value);
	return length == (ssize_t)strlen(owner) && memcmp(value, owner, (size_t)length) == 0 &&
	       lstat(leaf, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid();
}

static unsigned tell_leaf(const char *leaf)
{
	int fd = -1;
	if (cgroup_directory_open(leaf, &fd) != 0)
		return 0;
	/* A throttled process takes its time to end, and a frozen one does not. */
	cgroup_directory_write(fd, "memory.high", "max");
	cgroup_directory_write(fd, "cgroup.freeze", "0");
	int count = cgroup_directory_signal(fd, SIGTERM);
	close(fd);
	if (count > 0)
		log_warn("cgroup %s: left by an earlier supervisor: ending %d processes", leaf,
			count);
	return count > 0 ? (unsigned)count : 0;
}

static void end_leaf(const char *leaf, uint64_t until_ms)
{
	int fd = -1;
	uint64_t now_ms = clock_now_ms();
	if (cgroup_directory_open(leaf, &fd) != 0)
		return;
	if (!cgroup_directory_wait_empty(
		    fd, until_ms > now_ms ? (uint32_t)(until_ms - now_ms) : 0)) {
		if (cgroup_directory_write(fd, "cgroup.kill", "1") != 0)
			cgroup_directory_signal(fd, SIGKILL);
		cgroup_directory_wait_empty(fd, CGROUP_LEFTOVER_KILL_MS);
	}
	close(fd);
	cgroup_directory_remove_below(leaf);
	if (rmdir(leaf) != 0 && errno != ENOENT)
		log_warn("cgroup %s: left by an earlier supervisor, and stays: %s", leaf,
			strerror(errno));
}

/* Calls each() with the path of every folder in directory whose name begins with prefix. */
static void each_below(const char *directory, const char *prefix,
	void (*each)(const char *path, void *context), void *context)
{
	char path[PATH_MAX];
	const struct dirent *entry;
	DIR *list = opendir(directory);
	while (list != NULL && (entry = readdir(list)) != NULL) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
			strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		if (snprintf(path, sizeof path, "%s/%s", directory, entry->d_name) <
			(int)sizeof path)
			each(path, context);
	}
	if (list != NULL)
		closedir(list);
}

enum search_step {
	SEARCH_LOOKS,
	SEARCH_TELLS, /* all get SIGTERM before any is waited for */
	SEARCH_ENDS
};

struct search {
	const char *owner;
	const char *own_base;
	bool (*is_kept)(const char *leaf, const void *context); /* NULL = none is */
	const void *context;
	enum search_step step;
	uint64_t until_ms; /* then SIGKILL */
	unsigned leaves;   /* of owner */
	unsigned ended;    /* processes */
	bool is_alive;     /* one of owner's has a living supervisor */
};

static void visit_leaf(const char *path, void *context)
{
	struct search *search = context;
	if (!cgroup_leftover_is(path, search->owner))
		return;
	search->leaves++;
	if (search->is_kept != NULL && search->is_kept(path, search->context))
		return;
	if (search->step == SEARCH_TELLS)
		search->ended += tell_leaf(path);
	else if (search->step == SEARCH_ENDS)
		end_leaf(path, search->until_ms);
}

static void end_leaves(const char *base, struct search *search)
{
	search->step = SEARCH_TELLS;
	each_below(base, "", visit_leaf, search);
	search->step = SEARCH_ENDS;
	search->until_ms = clock_now_ms() + CGROUP_LEFTOVER_TERM_MS;
	each_below(base, "", visit_leaf, search);
}

unsigned cgroup_leftover_end(const char *base, const char *owner,
	bool (*is_kept)(const char *leaf, const void *context), const void *context)
{
	struct search search = {.owner = owner, .is_kept = is_kept, .context = context};
	end_leaves(base, &search);
	return search.ended;
}

/* It is named after the process that made it, which is gone. */
static bool is_abandoned(const char *path)
{
	struct stat status;
	char *end;
	const char *number = strrchr(path, '/') + sizeof CGROUP_LEFTOVER_BASE;
	errno = 0;
	long pid = strtol(number, &end, 10);
	if (errno != 0 || *end != '\0' || pid <= 1 || pid > INT_MAX)
		return false;
	return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == geteuid() &&
	       kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

static void visit_base(const char *path, void *context)
{
	struct search *search = context;
	char self[PATH_MAX + sizeof "/supervisor"];
	int lock_fd = -1;
	if (strcmp(path, search->own_base) == 0)
		return;
	int error = cgroup_leftover_lock(path, &lock_fd);
	struct search here = {.owner = search->owner, .step = SEARCH_LOOKS};
	if (error == 0)
		end_leaves(path, &here);
	else
		each_below(path, "", visit_leaf, &here);
	if (error == -EALREADY && here.leaves > 0)
		search->is_alive = true;
	if (error != 0)
		return;
	search->ended += here.ended;
	/* A supervisor that was killed before it made a leaf has left no mark of its file.  Fails
	 * for what others have in it, which is as it should be. */
	if (here.leaves > 0 || is_abandoned(path)) {
		snprintf(self, sizeof self, "%s/supervisor", path);
		rmdir(self);
		rmdir(path);
	}
	close(lock_fd);
}

int cgroup_leftover_end_beside(const char *base, const char *owner, unsigned *ended)
{
	char parent[PATH_MAX];
	struct search search = {.owner = owner, .own_base = base};
	snprintf(parent, sizeof parent, "%s", base);
	char *slash = strrchr(parent, '/');
	if (slash == NULL)
		return 0;
	*slash = '\0';
	each_below(parent, CGROUP_LEFTOVER_BASE, visit_base, &search);
	*ended = search.ended;
	return search.is_alive ? -EALREADY : 0;
}
