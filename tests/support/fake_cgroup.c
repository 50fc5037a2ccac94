/* A cgroup v2 hierarchy of plain files: what the kernel does on a write is done here. */

#include "tests/support/fake_cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/fake_children.h"
#include "tests/support/refused.h"

#define PLACES_MAX 4096
#define PATH_BYTES 1600

struct fake_cgroup fake_cgroup;

/* Which process is in which cgroup, by absolute path. */
struct place {
	pid_t pid;
	char path[PATH_BYTES];
};

static struct place places[PLACES_MAX];
static size_t place_count;
static bool opened;

int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_rmdir(const char *path);
ssize_t __wrap_write(int fd, const void *data, size_t size);
int __wrap_open(const char *path, int flags, ...);
int __real_mkdir(const char *path, mode_t mode);
int __real_rmdir(const char *path);
ssize_t __real_write(int fd, const void *data, size_t size);
int __real_open(const char *path, int flags, ...);

static void fail(const char *what, const char *path)
{
	fprintf(stderr, "fake_cgroup: %s: %s: %s\n", path, what, strerror(errno));
	abort();
}

static bool is_below_mount(const char *path)
{
	size_t length = strlen(fake_cgroup.mount);
	return opened && strncmp(path, fake_cgroup.mount, length) == 0 &&
	       (path[length] == '/' || path[length] == '\0');
}

static void write_file(const char *directory, const char *file, const char *text)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof path, "%.1500s/%s", directory, file);
	size_t size = strlen(text);
	/* Cut after and not before: ext4 flushes a file that was cut to nothing. */
	int fd = __real_open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || __real_write(fd, text, size) != (ssize_t)size ||
		ftruncate(fd, (off_t)size) != 0)
		fail("write", path);
	close(fd);
}

static bool read_file(const char *directory, const char *file, char *text, size_t size)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof path, "%.1500s/%s", directory, file);
	int fd = __real_open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t length = read(fd, text, size - 1);
	close(fd);
	text[length > 0 ? (size_t)length : 0] = '\0';
	return true;
}

static bool exists(const char *directory, const char *file)
{
	char path[PATH_BYTES];
	struct stat status;
	snprintf(path, sizeof path, "%.1500s/%s", directory, file);
	return stat(path, &status) == 0;
}

/* Writes cgroup.procs and cgroup.events anew. */
static void refresh(const char *directory)
{
	char procs[PLACES_MAX * 12] = "";
	size_t length = 0;
	size_t below = strlen(directory);
	bool populated = false;
	for (size_t i = 0; i < place_count; i++) {
		const char *path = places[i].path;
		if (strncmp(path, directory, below) != 0 ||
			(path[below] != '/' && path[below] != '\0'))
			continue;
		populated = true;
		if (path[below] == '\0')
			length += (size_t)snprintf(procs + length, sizeof procs - length, "%ld\n",
				(long)places[i].pid);
	}
	write_file(directory, "cgroup.procs", procs);
	if (exists(directory, "cgroup.events"))
		write_file(directory, "cgroup.events",
			populated ? "populated 1\nfrozen 0\n" : "populated 0\nfrozen 0\n");
}

static void refresh_up(const char *directory)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof path, "%s", directory);
	while (is_below_mount(path)) {
		if (exists(path, "cgroup.procs"))
			refresh(path);
		*strrchr(path, '/') = '\0';
	}
}

void fake_cgroup_take_out(pid_t pid)
{
	for (size_t i = 0; i < place_count; i++) {
		if (places[i].pid != pid)
			continue;
		struct place left = places[i];
		places[i] = places[--place_count];
		refresh_up(left.path);
		return;
	}
}

static void put(const char *directory, pid_t pid)
{
	fake_cgroup_take_out(pid);
	if (place_count == PLACES_MAX)
		fail("too many processes", directory);
	places[place_count].pid = pid;
	snprintf(places[place_count].path, sizeof places[0].path, "%s", directory);
	place_count++;
	refresh_up(directory);
}

static bool hands_out_memory(const char *directory)
{
	char text[128];
	return read_file(directory, "cgroup.subtree_control", text, sizeof text) &&
	       strstr(text, "memory") != NULL;
}

static void add_memory_files(const char *directory)
{
	write_file(directory, "memory.max", "max\n");
	write_file(directory, "memory.high", "max\n");
	write_file(directory, "memory.current", "0\n");
	write_file(directory, "memory.stat", "inactive_file 0\nactive_file 0\n");
	write_file(directory, "memory.events",
		"low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n");
	write_file(directory, "memory.events.local",
		"low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n");
	write_file(directory, "memory.pressure",
		"some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
		"full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
}

static void fill(const char *directory)
{
	char parent[PATH_BYTES];
	snprintf(parent, sizeof parent, "%s", directory);
	*strrchr(parent, '/') = '\0';
	write_file(directory, "cgroup.type", "domain\n");
	write_file(directory, "cgroup.events", "populated 0\nfrozen 0\n");
	write_file(directory, "cgroup.controllers", "memory\n");
	write_file(directory, "cgroup.subtree_control", "\n");
	write_file(directory, "cgroup.procs", "");
	if (!fake_cgroup.no_kill_file)
		write_file(directory, "cgroup.kill", "");
	if (hands_out_memory(parent) || strcmp(directory, fake_cgroup.mount) == 0)
		add_memory_files(directory);
}

int __wrap_mkdir(const char *path, mode_t mode)
{
	if (is_below_mount(path) && fake_cgroup.refuse_mkdir_errno != 0) {
		errno = fake_cgroup.refuse_mkdir_errno;
		return -1;
	}
	if (__real_mkdir(path, mode) != 0)
		return -1;
	if (is_below_mount(path))
		fill(path);
	return 0;
}

static const char *const control_files[] = {"cgroup.type", "cgroup.events", "cgroup.controllers",
	"cgroup.subtree_control", "cgroup.procs", "cgroup.kill", "memory.max", "memory.high",
	"memory.current", "memory.stat", "memory.events", "memory.events.local", "memory.pressure"};

int __wrap_rmdir(const char *path)
{
	char text[64] = "";
	struct stat status;
	if (!is_below_mount(path))
		return __real_rmdir(path);
	read_file(path, "cgroup.events", text, sizeof text);
	if (strstr(text, "populated 1") != NULL ||
		(stat(path, &status) == 0 && status.st_nlink > 2)) {
		errno = EBUSY;
		return -1;
	}
	for (size_t i = 0; i < sizeof control_files / sizeof control_files[0]; i++) {
		char file[PATH_BYTES];
		snprintf(file, sizeof file, "%.1500s/%s", path, control_files[i]);
		unlink(file);
	}
	return __real_rmdir(path);
}

static void kill_all_below(const char *directory)
{
	/* The table changes under the loop as they end. */
	pid_t pids[PLACES_MAX];
	size_t count = 0;
	size_t below = strlen(directory);
	for (size_t i = 0; i < place_count; i++)
		if (strncmp(places[i].path, directory, below) == 0)
			pids[count++] = places[i].pid;
	for (size_t i = 0; i < count; i++) {
		struct fake_child *child = fake_children_find(pids[i]);
		if (child != NULL && !child->unkillable)
			fake_children_killed(child, SIGKILL);
	}
}

static ssize_t write_control(const char *directory, const char *file, const char *text)
{
	if (fake_cgroup.refuse_file != NULL && strcmp(file, fake_cgroup.refuse_file) == 0) {
		errno = fake_cgroup.refuse_errno;
		fake_cgroup.refuse_file = NULL;
		return -1;
	}
	if (strcmp(file, "cgroup.procs") == 0) {
		pid_t pid = (pid_t)strtol(text, NULL, 10);
		const struct fake_child *child = fake_children_find(pid);
		if (pid != getpid() && (child == NULL || child->state != FAKE_CHILD_ALIVE)) {
			errno = ESRCH;
			return -1;
		}
		put(directory, pid);
	} else if (strcmp(file, "cgroup.kill") == 0) {
		kill_all_below(directory);
	} else if (strcmp(file, "cgroup.subtree_control") == 0) {
		write_file(directory, file, strcmp(text, "+memory") == 0 ? "memory\n" : "\n");
	} else if (strcmp(file, "memory.pressure") != 0) {
		/* A trigger is not what the file says. */
		write_file(directory, file, text);
	}
	return (ssize_t)strlen(text);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	char link[64];
	char path[PATH_BYTES];
	char text[256];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = opened ? readlink(link, path, sizeof path - 1) : -1;
	path[length > 0 ? (size_t)length : 0] = '\0';
	char *slash = strrchr(path, '/');
	if (slash == NULL || !is_below_mount(path) || size >= sizeof text)
		return __real_write(fd, data, size);
	memcpy(text, data, size);
	text[size] = '\0';
	*slash = '\0';
	return write_control(path, slash + 1, text);
}

int __wrap_open(const char *path, int flags, ...)
{
	mode_t mode = 0;
	if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
		va_list arguments;
		va_start(arguments, flags);
		mode = va_arg(arguments, mode_t);
		va_end(arguments);
	}
	if (refused_now(REFUSED_DESCRIPTORS))
		return -1;
	if (opened && strcmp(path, "/") == 0)
		path = fake_cgroup.tree.path;
	return __real_open(path, flags, mode);
}

static void path_of(char path[PATH_BYTES], const char *cgroup)
{
	snprintf(path, PATH_BYTES, "%s%s%s", fake_cgroup.mount, cgroup[0] != '\0' ? "/" : "",
		cgroup);
}

static void write_proc(const char *own)
{
	char text[512];
	snprintf(text, sizeof text, "0::/%s\n", own);
	fake_tree_write(&fake_cgroup.tree, "proc/self/cgroup", text);
	snprintf(text, sizeof text, "30 23 0:26 / %s rw,nosuid - cgroup2 cgroup2 rw\n",
		fake_cgroup.mount);
	fake_tree_write(&fake_cgroup.tree, "proc/self/mountinfo", text);
}

void fake_cgroup_open(const char *own, bool machine_root)
{
	char path[PATH_BYTES];
	fake_cgroup = (struct fake_cgroup){0};
	place_count = 0;
	fake_tree_open(&fake_cgroup.tree);
	/* The tree's own path, seen from inside the tree. */
	fake_tree_link(&fake_cgroup.tree, fake_cgroup.tree.path + 1, fake_cgroup.tree.path);
	snprintf(
		fake_cgroup.mount, sizeof fake_cgroup.mount, "%.55s/cgroup", fake_cgroup.tree.path);
	opened = true;
	if (__wrap_mkdir(fake_cgroup.mount, 0755) != 0)
		fail("mkdir", fake_cgroup.mount);
	if (machine_root)
		fake_cgroup_remove_file("", "cgroup.type");
	if (own[0] != '\0')
		write_file(fake_cgroup.mount, "cgroup.subtree_control", "memory\n");
	fake_cgroup_make(own);
	fake_cgroup_put(own, getpid());
	path_of(path, own);
	write_proc(own);
	fake_children.ended = fake_cgroup_take_out;
}

void fake_cgroup_close(void)
{
	opened = false;
	fake_children.ended = NULL;
	fake_tree_close(&fake_cgroup.tree);
}

struct mode fake_cgroup_mode(const char *own)
{
	struct mode mode = {.letter = MODE_A, .v2 = true, .window_ms = 500};
	char path[PATH_BYTES];
	path_of(path, own);
	snprintf(mode.directory, sizeof mode.directory, "%.1000s", path);
	snprintf(mode.mount, sizeof mode.mount, "%s", fake_cgroup.mount);
	mode.machine_root = !exists(path, "cgroup.type");
	return mode;
}

void fake_cgroup_make(const char *cgroup)
{
	char path[PATH_BYTES];
	path_of(path, cgroup);
	if (cgroup[0] == '\0')
		return;
	for (char *slash = strchr(path + strlen(fake_cgroup.mount) + 1, '/'); slash != NULL;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		__wrap_mkdir(path, 0755);
		write_file(path, "cgroup.subtree_control", "memory\n");
		*slash = '/';
	}
	if (__wrap_mkdir(path, 0755) != 0 && errno != EEXIST)
		fail("mkdir", path);
}

void fake_cgroup_put(const char *cgroup, pid_t pid)
{
	char path[PATH_BYTES];
	path_of(path, cgroup);
	put(path, pid);
}

bool fake_cgroup_has(const char *cgroup, pid_t pid)
{
	char path[PATH_BYTES];
	path_of(path, cgroup);
	for (size_t i = 0; i < place_count; i++)
		if (places[i].pid == pid)
			return strcmp(places[i].path, path) == 0;
	return false;
}

bool fake_cgroup_exists(const char *cgroup)
{
	char path[PATH_BYTES];
	path_of(path, cgroup);
	return exists(path, "cgroup.procs");
}

bool fake_cgroup_reads(const char *cgroup, const char *file, const char *text)
{
	char path[PATH_BYTES];
	char got[4096];
	path_of(path, cgroup);
	if (!read_file(path, file, got, sizeof got))
		return false;
	got[strcspn(got, "\n")] = '\0';
	return strcmp(got, text) == 0;
}

void fake_cgroup_set(const char *cgroup, const char *file, const char *text)
{
	char path[PATH_BYTES];
	path_of(path, cgroup);
	write_file(path, file, text);
}

void fake_cgroup_remove_file(const char *cgroup, const char *file)
{
	char path[PATH_BYTES];
	path_of(path, cgroup);
	snprintf(path + strlen(path), sizeof path - strlen(path), "/%s", file);
	if (unlink(path) != 0)
		fail("unlink", path);
}
